"""Neurons with more than a leak, backward through time over blocks of neurons.

A block runs forward again and keeps what the way back needs: the charged potentials, and the second state where the
threshold depends on it. What arrives at a slope is added up block by block in a fixed order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_numpy.kernels.neuron import over_blocks
from grilly_numpy.kernels.neuron_more import Adaptive, Array, Cuba, Neuron, Rectified
from grilly_numpy.kernels.surrogates import derivative_of, in_place
from grilly_numpy.memory import empty

__all__ = ["KERNELS"]


class _Block:
    """Rows of one block: what was kept of forward, and working memory."""

    def __init__(self, neuron: Neuron, x: Array, v: Array, aux: Array | None) -> None:
        steps, width = x.shape
        dtype, self.neuron = x.dtype, neuron
        self.h, self.aux = empty((steps, width), dtype), None if aux is None else empty((steps, width), dtype)
        self.s, self.f, self.tmp, self.u, self.g = (empty((width,), dtype) for _ in range(5))
        self.is_fired = np.empty(width, bool)
        state, second = v.copy(), self.tmp if aux is None else aux.copy()
        for t, now in enumerate(x):
            neuron.charge(now, state, second, self.h[t], self.tmp)
            if self.aux is not None:
                np.copyto(self.aux[t], second)
            f = self.spikes(t)
            neuron.reset(neuron.base(f, self.f), self.s, state, self.tmp)
            neuron.fired(self.s, second)

    def level(self, t: int) -> Array:
        return self.neuron.level(self.tmp if self.aux is None else self.aux[t], self.tmp)

    def spikes(self, t: int) -> Array:
        """Write the spikes of a step; what was compared with the threshold."""
        f = self.neuron.seen(self.h[t], self.f)
        np.greater_equal(f, self.level(t), out=self.is_fired)
        np.copyto(self.s, self.is_fired)
        return f


class _Sums:
    """What arrives at the slope and its inverse."""

    def __init__(self, neuron: Rectified) -> None:
        self.neuron = neuron
        self.k = self.inverse = 0.0

    def add_inverse(self, g_base: Array, g_v: Array, f: Array, s: Array, tmp: Array) -> None:
        if self.neuron.inverse is not None:
            self.inverse += float(np.add.reduce(np.multiply(g_base, f, out=tmp)))
            if self.neuron.soft:
                np.multiply(np.multiply(g_v, s, out=tmp), self.neuron.threshold, out=tmp)
                self.inverse -= float(np.add.reduce(tmp))

    def through(self, g: Array, h: Array, f: Array, tmp: Array) -> None:
        """From the rectified potential to the charged one."""
        np.multiply(g, np.greater(f, self.neuron.zero), out=g)
        self.k += float(np.add.reduce(np.multiply(g, h, out=tmp)))
        np.multiply(g, self.neuron.k, out=g)


def _step(
    block: _Block,
    t: int,
    g_s: Array,
    g_v: Array,
    g_aux: Array,
    g_x: Array,
    how: _Surrogate,
    sums: _Sums | None,
) -> None:
    """One step back: writes g_x, replaces g_v and g_aux."""
    neuron, u, tmp, g, s = block.neuron, block.u, block.tmp, block.g, block.s
    f = block.spikes(t)
    np.subtract(f, block.level(t), out=u)
    how.write(u, tmp)
    arriving = g_s
    if type(neuron) is Adaptive:
        arriving = np.add(g_s, g_aux, out=g)
    if not how.detach_reset:
        if neuron.soft:
            np.multiply(g_v, neuron.subtracted, out=tmp)
            arriving = np.subtract(arriving, tmp, out=g)
        else:
            np.subtract(neuron.rest, neuron.base(f, tmp), out=tmp)
            arriving = np.add(arriving, np.multiply(g_v, tmp, out=tmp), out=g)
    np.multiply(u, arriving, out=u)  # the gradient at what is compared with the threshold
    g_base = g_v if neuron.soft else np.multiply(g_v, np.subtract(neuron.one, s, out=g), out=g)
    if sums is not None:
        sums.add_inverse(g_base, g_v, f, s, tmp)
    np.add(u, neuron.base(g_base, g), out=g)
    if sums is not None:
        sums.through(g, block.h[t], f, tmp)
    neuron.back(g, u, g_v, g_aux, g_x, tmp)


class _Surrogate:
    """Writes the derivative over ``u``, built-in or not."""

    def __init__(self, surrogate: Any, detach_reset: bool, dtype: np.dtype[Any], device: Any) -> None:
        self.surrogate, self.detach_reset, self.device = surrogate, detach_reset, device
        self.fused = in_place(surrogate, 1.0, dtype)

    def write(self, u: Array, scratch: Array) -> None:
        if self.fused is not None:
            self.fused(u, scratch)
        else:
            np.copyto(u, derivative_of(self.surrogate, u, self.device))


def _backward(
    neuron: Neuron,
    how: _Surrogate,
    g_s: Array,
    g_v: Array | None,
    g_aux: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    aux: Array | None,
) -> tuple[tuple[Array, ...], list[_Sums]]:
    """Gradients at x, v and the second state, if there is one; and the sums of every block."""
    steps, n, dtype = x.shape[0], v.size, x.dtype
    g_x, g_v0 = empty(x.shape, dtype), empty(v.shape, dtype)
    g_aux0 = None if aux is None else empty(v.shape, dtype)
    x_all, g_s_all, g_x_all = (array.reshape(steps, n) for array in (x, g_s, g_x))
    seq_all = None if g_seq is None else g_seq.reshape(steps, n)

    def run(at: slice) -> _Sums | None:
        block = _Block(neuron, x_all[:, at], v.reshape(n)[at], None if aux is None else aux.reshape(n)[at])
        carried = g_v0.reshape(n)[at]
        np.copyto(carried, 0 if g_v is None else g_v.reshape(n)[at])
        second = block.tmp if g_aux0 is None else g_aux0.reshape(n)[at]
        if g_aux0 is not None:
            np.copyto(second, 0 if g_aux is None else g_aux.reshape(n)[at])
        sums = _Sums(neuron) if isinstance(neuron, Rectified) else None
        for t in reversed(range(steps)):
            if seq_all is not None:
                np.add(carried, seq_all[t, at], out=carried)
            _step(block, t, g_s_all[t, at], carried, second, g_x_all[t, at], how, sums)
        return sums

    sums = over_blocks(n, dtype, run)
    return (g_x, g_v0) if g_aux0 is None else (g_x, g_v0, g_aux0), sums


def klif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    k: Array,
    inverse: Array | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    """Gradient of ``klif_multi_step``: ``g_x [T, ...], g_v [...]`` and those of k and inverse, ``[2]`` (``[1]`` without)."""
    neuron = Rectified(k, inverse, rate, decay_input, x.dtype, v_threshold, v_reset)
    how = _Surrogate(surrogate, detach_reset, x.dtype, device)
    grads, sums = _backward(neuron, how, g_s, g_v, None, g_seq, x, v, None)
    totals = [sum(part.k for part in sums), sum(part.inverse for part in sums)]
    with np.errstate(all="ignore"):
        return (*grads, np.array(totals[: 1 if inverse is None else 2], x.dtype))


def cuba_lif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_c: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    c: Array,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    """Gradient of ``cuba_lif_multi_step``: ``g_x [T, ...], g_v, g_c [...]``."""
    neuron = Cuba(c_decay, v_decay, x.dtype, v_threshold, v_reset)
    how = _Surrogate(surrogate, detach_reset, x.dtype, device)
    return _backward(neuron, how, g_s, g_v, g_c, g_seq, x, v, c)[0]


def alif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_a: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    a: Array,
    /,
    *,
    rate: float,
    a_decay: float,
    beta: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    """Gradient of ``alif_multi_step``: ``g_x [T, ...], g_v, g_a [...]``."""
    neuron = Adaptive(a_decay, beta, rate, decay_input, x.dtype, v_threshold, v_reset)
    how = _Surrogate(surrogate, detach_reset, x.dtype, device)
    return _backward(neuron, how, g_s, g_v, g_a, g_seq, x, v, a)[0]


KERNELS = {
    "alif_multi_step_vjp": alif_multi_step_vjp,
    "cuba_lif_multi_step_vjp": cuba_lif_multi_step_vjp,
    "klif_multi_step_vjp": klif_multi_step_vjp,
}
