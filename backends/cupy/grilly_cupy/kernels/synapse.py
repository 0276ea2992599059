"""Synapses and traces of spikes: all steps in one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, launch_each, row_major

__all__ = ["KERNELS", "stdp_trace"]

Array = Any


def _launch(function: str, like: Array, n: int, arrays: tuple[Array | None, ...], *rest: Any) -> None:
    """One thread a neuron; ``like`` is ``[T, ...]``."""
    args = (*map(row_major, arrays), n, like.shape[0], *rest)
    launch_each(f"synapse/{function}", like.dtype, n, args)


def _partial(n: int, sums: int) -> Array:
    return cp.empty((sums * -(-n // BLOCK),), "float64")


def synapse_filter(device: Any, x: Array, y: Array, decay: Array, line: Array | None, /) -> tuple[Array, ...]:
    out, last = cp.empty(x.shape, x.dtype), cp.empty(y.shape, x.dtype)
    _launch("filter", x, y.size, (x, y, decay, line, out, last), 0 if line is None else line.shape[0])
    return out, last


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
    state, dtype = g.shape[1:], g.dtype
    g_x, g_y = cp.empty(g.shape, dtype), cp.empty(state, dtype)
    g_line = cp.empty((delay, *state), dtype) if delay else None
    partial = None if x is None else _partial(g_y.size, 1)
    _launch("filter_back", g, g_y.size, (g, g_last, decay, x, y, line, g_x, g_y, g_line, partial), delay)
    learned = () if partial is None else (partial.sum().astype(dtype),)
    return (g_x, g_y, *(() if g_line is None else (g_line,)), *learned)


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
    out, fast_end, slow_end = (cp.empty(a.shape, x.dtype) for a in (x, fast, slow))
    coefficients = (decay_fast, decay_slow, w_fast, w_slow)
    _launch("dual", x, fast.size, (x, fast, slow, *coefficients, out, fast_end, slow_end))
    return out, fast_end, slow_end


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
    g_x, g_fast0, g_slow0 = (cp.empty(shape, g.dtype) for shape in (g.shape, g.shape[1:], g.shape[1:]))
    partial = None if x is None else _partial(g_fast0.size, 4)
    coefficients = (decay_fast, decay_slow, w_fast, w_slow)
    arrays = (g, g_fast, g_slow, *coefficients, x, fast, slow, g_x, g_fast0, g_slow0, partial)
    _launch("dual_back", g, g_fast0.size, arrays)
    if partial is None:
        return g_x, g_fast0, g_slow0
    return g_x, g_fast0, g_slow0, partial.reshape(-1, 4).sum(axis=0).astype(g.dtype)


def stp_synapse(
    device: Any, x: Array, u: Array, r: Array, /, *, decay_u: float, decay_r: float, use: float
) -> tuple[Array, ...]:
    out, u_end, r_end = (cp.empty(a.shape, x.dtype) for a in (x, u, r))
    x = row_major(x)
    factors = (float(decay_u), float(decay_r), float(use))
    _launch("release", x, u.size, (x, x, u, r, out, u_end, r_end), *factors)
    return out, u_end, r_end


def stp_synapse_vjp(
    device: Any, g: Array, x: Array, u: Array, r: Array, /, *, decay_u: float, decay_r: float, use: float
) -> Array:
    out = cp.empty(x.shape, x.dtype)
    factors = (float(decay_u), float(decay_r), float(use))
    _launch("release", x, u.size, (g, x, u, r, out, None, None), *factors)
    return out


def stdp_trace(device: Any, s: Array, trace: Array | None, /, *, tau: float) -> tuple[Array, Array]:
    traces, last = cp.empty(s.shape, s.dtype), cp.empty(s.shape[1:], s.dtype)
    _launch("trace", s, last.size, (s, trace, traces, last), 1.0 / tau)
    return traces, last


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        synapse_filter, synapse_filter_vjp, dual_timescale, dual_timescale_vjp, stp_synapse, stp_synapse_vjp,
        stdp_trace,
    )
}  # fmt: skip
DECLINES: dict[str, Callable[..., str | None]] = {}
