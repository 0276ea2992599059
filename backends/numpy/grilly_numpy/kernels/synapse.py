"""Synapses, forward and backward: blocks of neurons run through all time steps while their state stays in cache.

Forward follows the order of operations of core, one rounding per operation. Backward, what is summed at a coefficient
is added up block by block in a fixed order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_numpy.kernels.neuron import over_blocks
from grilly_numpy.memory import empty

__all__ = [
    "KERNELS", "dual_timescale", "dual_timescale_vjp", "stp_synapse", "stp_synapse_vjp", "synapse_filter",
    "synapse_filter_vjp",
]  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]


def _rows(array: Array, neurons: int) -> Array:
    return array.reshape(array.shape[0], neurons)


def _trace_rows(given: list[Array], y: Array, decay: Array, out: list[Array]) -> Array:
    """Write the trace of every step; return the last row."""
    for now, row in zip(given, out, strict=True):
        np.multiply(y, decay, out=row)
        y = np.add(row, now, out=row)
    return y


def synapse_filter(device: Any, x: Array, y: Array, decay: Array, line: Array | None, /) -> tuple[Array, ...]:
    """A trace: ``x [T, ...], y [...], decay 0-d, line [delay, ...] -> y [T, ...], y_last [...]``."""
    n, steps = y.size, x.shape[0]
    out = empty(x.shape, x.dtype)
    last = out[0, ...] if steps == 1 else empty(y.shape, x.dtype)
    given = [*(() if line is None else _rows(line, n)), *_rows(x, n)][:steps]
    y_all, out_all, last_all = y.reshape(n), _rows(out, n), last.reshape(n)

    def run(at: slice) -> None:
        end = _trace_rows([row[at] for row in given], y_all[at], decay, list(out_all[:, at]))
        if steps > 1:
            np.copyto(last_all[at], end)

    over_blocks(n, x.dtype, run)
    return out, last


def _back_rows(g: list[Array], g_last: Array | None, decay: Array, into: list[Array], g_y: Array) -> None:
    """Write the gradient at the input of every step, and at the state before the first into ``g_y``."""
    np.copyto(g_y, 0 if g_last is None else g_last)
    for now, row in zip(reversed(g), reversed(into), strict=True):
        np.add(g_y, now, out=row)
        np.multiply(row, decay, out=g_y)


class _Slopes:
    """One trace and its derivative by the decay, run forward over a block; the sums that are gradients."""

    def __init__(self, y: Array, decay: Array) -> None:
        self.y, self.decay = y.copy(), decay
        self.z = np.zeros_like(self.y)
        self.tmp = np.empty_like(self.y)
        self.of_decay = self.of_weight = 0.0

    def step(self, x: Array) -> None:
        np.multiply(self.z, self.decay, out=self.z)
        np.add(self.z, self.y, out=self.z)
        np.multiply(self.y, self.decay, out=self.y)
        np.add(self.y, x, out=self.y)

    def _inner(self, a: Array, b: Array) -> float:
        return float(np.add.reduce(np.multiply(a, b, out=self.tmp)))

    def add(self, g: Array | None) -> None:
        """What arrives at the trace of this step."""
        if g is not None:
            self.of_decay += self._inner(g, self.z)

    def add_weight(self, g: Array) -> None:
        """What arrives at the weighed trace of this step."""
        self.of_weight += self._inner(g, self.y)


def synapse_filter_vjp(
    device: Any,
    g: Array,
    g_last: Array | None,
    decay: Array,
    x: Array | None,
    y: Array | None,
    line: Array | None,
    /,
    *,
    delay: int,
) -> tuple[Array, ...]:
    """Gradient of ``synapse_filter``: ``g_x [T, ...], g_y [...]``, with a delay ``g_line``, with x ``g_decay`` 0-d."""
    steps, dtype = g.shape[0], g.dtype
    g_x, g_y = empty(g.shape, dtype), empty(g.shape[1:], dtype)
    n = g_y.size
    g_line = empty((delay, *g.shape[1:]), dtype) if delay else None
    into = [*(() if g_line is None else _rows(g_line, n)), *_rows(g_x, n)]
    g_all, g_y_all = _rows(g, n), g_y.reshape(n)
    last = None if g_last is None else g_last.reshape(n)
    given = None if x is None else [*(() if line is None else _rows(line, n)), *_rows(x, n)][:steps]

    def run(at: slice) -> float:
        rows, end = list(g_all[:, at]), None if last is None else last[at]
        _back_rows(rows, end, decay, [row[at] for row in into[:steps]], g_y_all[at])
        for row in into[steps:]:
            row[at] = 0
        if given is None or y is None:
            return 0.0
        slopes = _Slopes(y.reshape(n)[at], decay)
        for now, row in zip(given, rows, strict=True):
            slopes.step(now[at])
            slopes.add(row)
        slopes.add(end)
        return slopes.of_decay

    total = sum(over_blocks(n, dtype, run))
    with np.errstate(all="ignore"):
        g_decay = () if x is None else (np.array(total, dtype),)
    return (g_x, g_y, *(() if g_line is None else (g_line,)), *g_decay)


def dual_timescale(
    device: Any,
    x: Array,
    fast: Array,
    slow: Array,
    decay_fast: Array,
    decay_slow: Array,
    w_fast: Array,
    w_slow: Array,
    /,
) -> tuple[Array, ...]:
    """Two traces weighed: ``x [T, ...], fast, slow [...] -> y [T, ...], fast, slow [...]``."""
    n, dtype = fast.size, x.dtype
    out, ends = empty(x.shape, dtype), (empty(fast.shape, dtype), empty(slow.shape, dtype))
    x_all, out_all = _rows(x, n), _rows(out, n)
    starts, ends_all = (fast.reshape(n), slow.reshape(n)), [end.reshape(n) for end in ends]

    def run(at: slice) -> None:
        tmp, (a, b) = empty((at.stop - at.start,), dtype), [end[at] for end in ends_all]
        for state, start in zip((a, b), starts, strict=True):
            np.copyto(state, start[at])
        for now, row in zip(x_all[:, at], out_all[:, at], strict=True):
            np.add(np.multiply(a, decay_fast, out=a), now, out=a)
            np.add(np.multiply(b, decay_slow, out=b), now, out=b)
            np.multiply(a, w_fast, out=row)
            np.add(row, np.multiply(b, w_slow, out=tmp), out=row)

    over_blocks(n, dtype, run)
    return (out, *ends)


def dual_timescale_vjp(
    device: Any,
    g: Array,
    g_fast: Array | None,
    g_slow: Array | None,
    decay_fast: Array,
    decay_slow: Array,
    w_fast: Array,
    w_slow: Array,
    x: Array | None,
    fast: Array | None,
    slow: Array | None,
    /,
) -> tuple[Array, ...]:
    """Gradient of ``dual_timescale``: ``g_x [T, ...], g_fast, g_slow [...]``, with x those of the coefficients ``[4]``."""
    dtype = g.dtype
    g_x, g_fast0, g_slow0 = (empty(shape, dtype) for shape in (g.shape, g.shape[1:], g.shape[1:]))
    n = g_fast0.size
    g_all, g_x_all, x_all = _rows(g, n), _rows(g_x, n), None if x is None else _rows(x, n)
    arms = [
        (decay_fast, w_fast, None if g_fast is None else g_fast.reshape(n), g_fast0.reshape(n), fast),
        (decay_slow, w_slow, None if g_slow is None else g_slow.reshape(n), g_slow0.reshape(n), slow),
    ]

    def run(at: slice) -> list[float]:
        (_, _, last_a, a, _), (_, _, last_b, b, _) = arms
        a, b, tmp = a[at], b[at], empty((at.stop - at.start,), dtype)
        np.copyto(a, 0 if last_a is None else last_a[at])
        np.copyto(b, 0 if last_b is None else last_b[at])
        for now, row in zip(g_all[::-1, at], g_x_all[::-1, at], strict=True):
            np.add(a, np.multiply(now, w_fast, out=row), out=row)
            np.multiply(row, decay_fast, out=a)
            np.add(b, np.multiply(now, w_slow, out=tmp), out=tmp)
            np.multiply(tmp, decay_slow, out=b)
            np.add(row, tmp, out=row)
        of_decay, of_weight = [], []
        for decay, w, last, _, state in arms:
            if x_all is None or state is None:
                break
            slopes = _Slopes(state.reshape(n)[at], decay)
            for now, given in zip(g_all[:, at], x_all[:, at], strict=True):
                slopes.step(given)
                slopes.add(np.multiply(now, w, out=tmp))
                slopes.add_weight(now)
            slopes.add(None if last is None else last[at])
            of_decay.append(slopes.of_decay)
            of_weight.append(slopes.of_weight)
        return [*of_decay, *of_weight]

    sums = over_blocks(n, dtype, run)
    if x is None:
        return g_x, g_fast0, g_slow0
    with np.errstate(all="ignore"):
        totals = np.array([sum(column) for column in zip(*sums, strict=True)] or [0.0] * 4, dtype)
    return g_x, g_fast0, g_slow0, totals


def _release(
    value: Array, x: Array, u: Array, r: Array, decay_u: float, decay_r: float, use: float
) -> tuple[Array, Array, Array]:
    n, dtype = u.size, x.dtype
    one, zero, keep_u, keep_r, share = (np.array(c, dtype) for c in (1.0, 0.0, decay_u, decay_r, use))
    out, u_end, r_end = empty(x.shape, dtype), empty(u.shape, dtype), empty(r.shape, dtype)
    x_all, value_all, out_all = _rows(x, n), _rows(value, n), _rows(out, n)
    starts, ends = (u.reshape(n), r.reshape(n)), (u_end.reshape(n), r_end.reshape(n))

    def run(at: slice) -> None:
        width = at.stop - at.start
        spike, tmp = np.empty(width, bool), empty((width,), dtype)
        a, b = (end[at] for end in ends)
        np.copyto(a, starts[0][at])
        np.copyto(b, starts[1][at])
        for now, given, row in zip(x_all[:, at], value_all[:, at], out_all[:, at], strict=True):
            np.greater(now, zero, out=spike)
            np.multiply(a, keep_u, out=a)
            np.add(np.multiply(np.subtract(b, one, out=b), keep_r, out=b), one, out=b)
            np.multiply(np.subtract(one, a, out=tmp), share, out=tmp)
            np.copyto(a, np.add(a, tmp, out=tmp), where=spike)
            np.multiply(tmp, b, out=tmp)
            np.multiply(given, tmp, out=row)
            np.copyto(b, np.subtract(b, tmp, out=tmp), where=spike)
            np.copyto(row, zero, where=np.logical_not(spike, out=spike))

    over_blocks(n, dtype, run)
    return out, u_end, r_end


def stp_synapse(
    device: Any, x: Array, u: Array, r: Array, /, *, decay_u: float, decay_r: float, use: float
) -> tuple[Array, ...]:
    """Short-term plasticity: ``x [T, ...], u, r [...] -> y [T, ...], u, r [...]``."""
    return _release(x, x, u, r, decay_u, decay_r, use)


def stp_synapse_vjp(
    device: Any, g: Array, x: Array, u: Array, r: Array, /, *, decay_u: float, decay_r: float, use: float
) -> Array:
    """Gradient of ``stp_synapse`` at x, ``[T, ...]``."""
    return _release(g, x, u, r, decay_u, decay_r, use)[0]


KERNELS = {
    "dual_timescale": dual_timescale,
    "dual_timescale_vjp": dual_timescale_vjp,
    "stp_synapse": stp_synapse,
    "stp_synapse_vjp": stp_synapse_vjp,
    "synapse_filter": synapse_filter,
    "synapse_filter_vjp": synapse_filter_vjp,
}
