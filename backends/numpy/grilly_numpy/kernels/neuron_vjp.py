"""Spiking neurons, backward through time over blocks of neurons.

With ``g_V[t-1] = d g_H[t]`` the recurrence is ``G[t] = A[t] + G[t+1] Q[t]``: everything but these two
operations is computed for several time steps at once, in tiles that stay in cache. ``G`` is ``gain g_H``; the
gain and ``c = d / gain`` are folded into constants where that saves a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grilly_numpy.kernels.neuron import block_bounds
from grilly_numpy.kernels.surrogates import derivative_of, in_place
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "if_multi_step_vjp", "lif_multi_step_vjp", "plif_multi_step_vjp"]

_TILE_BYTES = 1 << 19  # a tile [time, neurons] of one scratch array


@dataclass(frozen=True)
class _Rule:
    """What distinguishes the neurons, and the attributes of the call."""

    v_threshold: float
    v_reset: float | None
    detach_reset: bool
    surrogate: Any
    gain: float = 1.0  # G = gain g_H
    carry: float = 1.0  # c: g_V[t-1] = c G[t]
    scale: float = 1.0  # g_X = scale G


class _Tiles:
    """Views of the arrays ``[T, N]`` and the constants, for the blocks to share."""

    def __init__(
        self,
        rule: _Rule,
        g_s: np.ndarray,
        g_v: np.ndarray | None,
        g_h: np.ndarray | None,
        h: np.ndarray,
        device: Any,
    ) -> None:
        self.rule, self.dtype, self.steps = rule, h.dtype, h.shape[0]
        self.g_x = empty(h.shape, h.dtype)
        self.g_v0 = empty(h.shape[1:], h.dtype)
        self.neurons = self.g_v0.size
        self.blocks = block_bounds(self.neurons, h.dtype.itemsize)
        self.h, self.g_s, self.out = self.rows(h), self.rows(g_s), self.rows(self.g_x)
        self.g_h = None if g_h is None else self.rows(g_h)
        self.g_v = None if g_v is None else g_v.reshape(self.neurons)
        self.last = self.g_v0.reshape(self.neurons)
        self.gain, self.carry, self.scale = map(self.constant, (rule.gain, rule.carry, rule.scale))
        self.one = self.constant(1)
        self.threshold, self.rest = self.constant(rule.v_threshold), self.constant(rule.v_reset or 0.0)
        self.derivative = in_place(rule.surrogate, rule.gain, h.dtype)
        self.given = None if self.derivative else self.rows(self._ask_surrogate(h, device))

    def constant(self, value: float) -> np.ndarray:
        return np.array(value, self.dtype)

    def rows(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.steps, self.neurons)

    def chunks(self, width: int) -> list[tuple[int, int]]:
        """Times ``(first, last)`` of the tiles of one block, last tile first."""
        length = max(1, _TILE_BYTES // (max(width, 1) * self.dtype.itemsize))
        return [(max(0, end - length), end) for end in range(self.steps, 0, -length)]

    def _ask_surrogate(self, h: np.ndarray, device: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return derivative_of(self.rule.surrogate, np.subtract(h, self.threshold), device)

    def write_derivative(self, t: slice, n: slice, p: np.ndarray, scratch: np.ndarray) -> None:
        """``p = gain sg``."""
        if self.derivative is not None:
            np.subtract(self.h[t, n], self.threshold, out=p)
            self.derivative(p, scratch)
        elif self.given is not None:
            np.multiply(self.given[t, n], self.gain, out=p)

    def write_reset(self, h: np.ndarray, p: np.ndarray, q: np.ndarray, fired: np.ndarray) -> None:
        """``q = gain R``; ``p = gain sg`` is used up."""
        rule = self.rule
        if rule.v_reset is None:
            if rule.detach_reset:
                q.fill(rule.gain)
            else:
                np.multiply(p, self.threshold, out=p)
                np.subtract(self.gain, p, out=q)
            return
        if not rule.detach_reset:
            # p = (H - r) gain sg
            np.multiply(p, np.subtract(h, self.rest, out=q) if rule.v_reset else h, out=p)
        np.greater_equal(h, self.threshold, out=fired)
        np.logical_not(fired, out=fired)
        np.copyto(q, fired)
        if rule.gain != 1:
            np.multiply(q, self.gain, out=q)
        if not rule.detach_reset:
            np.subtract(q, p, out=q)


def _backward(tiles: _Tiles, k_terms: _KTerms | None = None) -> None:
    if tiles.steps == 0:
        np.copyto(tiles.last, 0 if tiles.g_v is None else tiles.g_v)
        return

    def run(block: int) -> None:
        a, b = tiles.blocks[block]
        chunks = tiles.chunks(b - a)
        shape = (chunks[0][1] - chunks[0][0], b - a)
        scratch = (empty(shape, tiles.dtype), empty(shape, tiles.dtype), empty(shape, np.dtype(bool)))
        carried: np.ndarray | None = None
        for first, last in chunks:
            p, q, fired = (array[: last - first] for array in scratch)
            carried = _tile(tiles, slice(first, last), slice(a, b), carried, p, q, fired)
            if k_terms is not None:
                k_terms.add(block, slice(first, last), slice(a, b), p, q, fired)
            if tiles.rule.scale != 1:
                carried = carried.copy()
                g = tiles.out[first:last, a:b]
                np.multiply(g, tiles.scale, out=g)
        if carried is not None:
            np.multiply(carried, tiles.carry, out=tiles.last[a:b])

    parallel_for(len(tiles.blocks), run)


def _tile(
    tiles: _Tiles,
    t: slice,
    n: slice,
    carried: np.ndarray | None,
    p: np.ndarray,
    q: np.ndarray,
    fired: np.ndarray,
) -> np.ndarray:
    """Write ``G`` of one tile into the result; return its first row."""
    h, g = tiles.h[t, n], tiles.out[t, n]
    tiles.write_derivative(t, n, p, q)
    np.multiply(p, tiles.g_s[t, n], out=g)
    if tiles.g_h is not None:
        np.add(g, np.multiply(tiles.g_h[t, n], tiles.gain, out=q), out=g)
    tiles.write_reset(h, p, q, fired)
    rows, factors, tmp = list(g), list(q), p[0]
    if carried is None and tiles.g_v is not None:
        np.add(rows[-1], np.multiply(tiles.g_v[n], factors[-1], out=tmp), out=rows[-1])
    if tiles.rule.carry != 1:
        np.multiply(q, tiles.carry, out=q)
    for g_t, q_t in zip(reversed(rows), reversed(factors), strict=True):
        if carried is not None:
            np.add(g_t, np.multiply(carried, q_t, out=tmp), out=g_t)
        carried = g_t
    return rows[0]


class _KTerms:
    """Sums ``g_H (X - (V - r))``, or ``-g_H (V - r)``, over neurons and time in a fixed order."""

    def __init__(self, tiles: _Tiles, x: np.ndarray, v: np.ndarray, decay_input: bool) -> None:
        self.tiles, self.decay_input = tiles, decay_input
        self.x, self.v = tiles.rows(x), v.reshape(tiles.neurons)
        self.sums = [0.0] * len(tiles.blocks)

    def add(self, block: int, t: slice, n: slice, p: np.ndarray, q: np.ndarray, fired: np.ndarray) -> None:
        self._write_potential(t, n, p, q, fired)
        if self.decay_input:
            np.subtract(self.x[t, n], p, out=p)
        else:
            np.negative(p, out=p)
        np.multiply(p, self.tiles.out[t, n], out=p)
        self.sums[block] += float(np.add.reduce(p.reshape(-1)))

    def _write_potential(self, t: slice, n: slice, p: np.ndarray, q: np.ndarray, fired: np.ndarray) -> None:
        """``p = V - r`` before the charge: after the reset of the step before."""
        tiles = self.tiles
        skip = 0 if t.start else 1
        if skip:
            np.subtract(self.v[n], tiles.rest, out=p[0])
        h = tiles.h[t.start - 1 + skip : t.stop - 1, n]
        p, q, fired = p[skip:], q[skip:], fired[skip:]
        np.greater_equal(h, tiles.threshold, out=fired)
        np.copyto(q, fired)
        if tiles.rule.v_reset is None:
            np.multiply(q, tiles.threshold, out=q)
            np.subtract(h, q, out=p)
        else:
            # (1 - S) H + S r - r = (1 - S) (H - r)
            np.subtract(tiles.one, q, out=q)
            np.multiply(np.subtract(h, tiles.rest, out=p) if tiles.rule.v_reset else h, q, out=p)

    def total(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array(sum(self.sums), self.tiles.dtype)


def if_multi_step_vjp(
    device: Any,
    g_s: np.ndarray,
    g_v: np.ndarray | None,
    g_h: np.ndarray | None,
    h: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of ``if_multi_step``: ``g_s, g_h, h [T, ...], g_v [...] -> g_x [T, ...], g_v0 [...]``."""
    tiles = _Tiles(_Rule(v_threshold, v_reset, detach_reset, surrogate), g_s, g_v, g_h, h, device)
    _backward(tiles)
    return tiles.g_x, tiles.g_v0


def lif_multi_step_vjp(
    device: Any,
    g_s: np.ndarray,
    g_v: np.ndarray | None,
    g_h: np.ndarray | None,
    h: np.ndarray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of ``lif_multi_step``: shapes as :func:`if_multi_step_vjp`."""
    # At k = 1/2 (tau = 2) and decayed input, c is 1 and both scalings vanish.
    gain = k if decay_input and k == 0.5 else 1.0
    scale = k / gain if decay_input else 1.0
    rule = _Rule(v_threshold, v_reset, detach_reset, surrogate, gain, (1 - k) / gain, scale)
    tiles = _Tiles(rule, g_s, g_v, g_h, h, device)
    _backward(tiles)
    return tiles.g_x, tiles.g_v0


def plif_multi_step_vjp(
    device: Any,
    g_s: np.ndarray,
    g_v: np.ndarray | None,
    g_h: np.ndarray | None,
    h: np.ndarray,
    x: np.ndarray,
    v: np.ndarray,
    k: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient of ``plif_multi_step``: as :func:`if_multi_step_vjp`, and ``g_k`` 0-d."""
    rate = float(k)
    rule = _Rule(v_threshold, v_reset, detach_reset, surrogate, 1.0, 1 - rate, rate if decay_input else 1.0)
    tiles = _Tiles(rule, g_s, g_v, g_h, h, device)
    k_terms = _KTerms(tiles, x, v, decay_input)
    _backward(tiles, k_terms)
    return tiles.g_x, tiles.g_v0, k_terms.total()


KERNELS = {
    "if_multi_step_vjp": if_multi_step_vjp,
    "lif_multi_step_vjp": lif_multi_step_vjp,
    "plif_multi_step_vjp": plif_multi_step_vjp,
}
