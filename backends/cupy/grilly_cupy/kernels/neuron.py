"""Spiking neurons, forward: one launch for one step or for all, potentials in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_cupy.lazy import cp
from grilly_cupy.source import launch_each, row_major

__all__ = ["DECLINES", "KERNELS", "kind_of", "starting", "unroll"]

Array = Any
_INTEGRATE, _DECAYED, _PLAIN = 0, 1, 2
_UNROLLS = (1, 4)  # few steps, compiled without a loop; others go in rounds of the last
_ROUND = 16


def kind_of(decay_input: bool) -> int:
    """The charge of a leaky neuron, as the sources number it."""
    return _DECAYED if decay_input else _PLAIN


def unroll(steps: int) -> int:
    """Steps of a round: all of them if they are few."""
    return next((most for most in _UNROLLS if steps <= most), _ROUND)


def starting(v: Array) -> tuple[Array, int]:
    """Potentials as kernels read them, and what ``START`` is: one that is broadcast to all neurons stays one."""
    if v.size > 1 and not any(v.strides):
        return v, 0
    return row_major(v), 1


def _forward(
    x: Array, v: Array, k: Array | float, kind: int, v_threshold: float, v_reset: float | None, save_h: bool
) -> tuple[Array, ...]:
    x, (v, own) = row_major(x), starting(v)
    spikes, last = cp.empty(x.shape, x.dtype), cp.empty(v.shape, x.dtype)
    saved = cp.empty(x.shape, x.dtype) if save_h else None
    k_at, rate = (None, k) if isinstance(k, float) else (k, 0.0)
    numbers = (v.size, x.shape[0], rate, float(v_threshold), float(v_reset or 0.0), v_reset is None)
    arrays = (x, v, k_at, spikes, last, saved)
    steps = unroll(x.shape[0])
    constants = dict(KIND=kind, UNROLL=steps, EXACT=int(x.shape[0] == steps), START=own, SAVE=int(save_h))
    launch_each("neuron/forward", x.dtype, v.size, (*arrays, *numbers), **constants)
    return (spikes, last) if saved is None else (spikes, last, saved)


def _one_step(
    x: Array, v: Array, k: Array | float, kind: int, v_threshold: float, v_reset: float | None
) -> tuple[Array, ...]:
    spikes, last = _forward(row_major(x)[None], v, k, kind, v_threshold, v_reset, False)
    return spikes[0], last


def if_step(
    device: Any,
    x: Array,
    v: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    return _one_step(x, v, 0.0, _INTEGRATE, v_threshold, v_reset)


def lif_step(
    device: Any,
    x: Array,
    v: Array,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    return _one_step(x, v, float(k), kind_of(decay_input), v_threshold, v_reset)


def plif_step(
    device: Any,
    x: Array,
    v: Array,
    k: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    return _one_step(x, v, k, kind_of(decay_input), v_threshold, v_reset)


def if_multi_step(
    device: Any,
    x: Array,
    v: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[Array, ...]:
    return _forward(x, v, 0.0, _INTEGRATE, v_threshold, v_reset, save_h)


def lif_multi_step(
    device: Any,
    x: Array,
    v: Array,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[Array, ...]:
    return _forward(x, v, float(k), kind_of(decay_input), v_threshold, v_reset, save_h)


def plif_multi_step(
    device: Any,
    x: Array,
    v: Array,
    k: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[Array, ...]:
    return _forward(x, v, k, kind_of(decay_input), v_threshold, v_reset, save_h)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (if_step, lif_step, plif_step, if_multi_step, lif_multi_step, plif_multi_step)
}
DECLINES: dict[str, Callable[..., str | None]] = {}
