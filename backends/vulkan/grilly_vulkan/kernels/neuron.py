"""Spiking neurons, forward: one dispatch for one step or for all, potentials in registers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_vulkan.array import DeviceArray, merge_axes

__all__ = ["DECLINES", "KERNELS", "STRIDED", "float32", "kind_of", "rounds", "spaced"]

FLOAT = ("float32",)
_INTEGRATE, _DECAYED, _PLAIN = 0, 1, 2
_UNROLLED = 32  # so many steps are read ahead, and run without a loop if there are no more


def kind_of(decay_input: bool) -> int:
    """The charge of a leaky neuron, as the shaders number it."""
    return _DECAYED if decay_input else _PLAIN


def rounds(steps: int) -> tuple[bool, int]:
    """Whether all steps are one round, and the steps of a round."""
    return (True, steps) if steps <= _UNROLLED else (False, _UNROLLED)


@functools.lru_cache(maxsize=1024)
def float32(value: float) -> float:
    """A constant rounded once; one too large for float32 is infinite, as in core."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def spaced(device: Any, array: DeviceArray, first: int) -> tuple[DeviceArray, int]:
    """The array with the stride of its elements from axis ``first`` on: 1, or 0 where all of them are one.

    Arrays of any other layout are made row-major: neighbours that are far apart in memory are slow to read.
    """
    if array.strides is None:
        return array, 1
    strides = array.strides[first:]
    if not any(strides):
        return array, 0
    extents, (merged,) = merge_axes(array.shape[first:], strides)
    if not extents or merged in ([0], [1]):
        return array, merged[0] if merged else 0
    return device.contiguous(array), 1


def _multi(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    k_at: DeviceArray | None,
    k: float,
    kind: int,
    v_threshold: float,
    v_reset: float | None,
    save_h: bool,
) -> tuple[DeviceArray, ...]:
    spikes: DeviceArray = device.empty(x.shape, "float32")
    last: DeviceArray = device.empty(v.shape, "float32")
    h: DeviceArray | None = device.empty(x.shape, "float32") if save_h else None
    n, steps = v.size, x.shape[0]
    if n:
        x, x_stride = spaced(device, x, 1)
        v, v_stride = spaced(device, v, 0)
        scalars = (
            n, steps, x.strides[0] if x.strides else n, x_stride, v_stride,
            float32(k), float32(v_threshold), float32(v_reset or 0.0),
        )  # fmt: skip
        constants = (kind, v_reset is None, k_at is not None, save_h, *rounds(steps))
        device.run_each("snn-multistep-forward", n, (x, v, k_at), (spikes, last, h), scalars, constants)
    return (spikes, last) if h is None else (spikes, last, h)


def _single(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    k_at: DeviceArray | None,
    k: float,
    kind: int,
    v_threshold: float,
    v_reset: float | None,
) -> tuple[DeviceArray, DeviceArray]:
    spikes: DeviceArray = device.empty(x.shape, "float32")
    following: DeviceArray = device.empty(x.shape, "float32")
    if x.size:
        v, v_stride = spaced(device, v, 0)
        scalars = (x.size, v_stride, float32(k), float32(v_threshold), float32(v_reset or 0.0))
        constants = (kind, v_reset is None, k_at is not None)
        reads = (device.contiguous(x), v, k_at)
        device.run_each("snn-node-forward", x.size, reads, (spikes, following), scalars, constants)
    return spikes, following


def if_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    return _single(device, x, v, None, 0.0, _INTEGRATE, v_threshold, v_reset)


def lif_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    return _single(device, x, v, None, k, kind_of(decay_input), v_threshold, v_reset)


def plif_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    k: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    return _single(device, x, v, k, 0.0, kind_of(decay_input), v_threshold, v_reset)


def if_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[DeviceArray, ...]:
    return _multi(device, x, v, None, 0.0, _INTEGRATE, v_threshold, v_reset, save_h)


def lif_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[DeviceArray, ...]:
    return _multi(device, x, v, None, k, kind_of(decay_input), v_threshold, v_reset, save_h)


def plif_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    k: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[DeviceArray, ...]:
    return _multi(device, x, v, k, 0.0, kind_of(decay_input), v_threshold, v_reset, save_h)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT)
    for kernel in (if_step, lif_step, plif_step, if_multi_step, lif_multi_step, plif_multi_step)
}
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {}
