"""Spiking neurons, backward through time: from saved potentials, or from the input, whose potentials are computed again.

Words that cross memory for one step of one neuron, forward and backward together: 6 with potentials saved (x, s, H;
g, H, g_x), 5 from the input (x, s; g, x, g_x), for a learned leak 7 and 5. More than 32 steps read the input
twice: 6, and a word for 32 steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from grilly_core.extend import fused_surrogate
from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels import reduce
from grilly_vulkan.kernels.neuron import float32, kind_of, rounds, spaced

__all__ = ["DECLINES", "KERNELS", "STRIDED", "derivative_constants", "unknown_surrogate"]

FLOAT = ("float32",)
_GROUP = 256  # invocations that add up one partial sum


@functools.lru_cache(maxsize=256)
def derivative_constants(surrogate: Any) -> tuple[int, float, float] | None:
    """A built-in surrogate as ``surrogate.glsl`` takes it: which one, scale and top; None for any other."""
    found = fused_surrogate(surrogate)
    return None if found is None else (found[0], float32(found[1]), float32(found[2]))


def unknown_surrogate(*specs: Any, surrogate: Any, **attrs: Any) -> str | None:
    if derivative_constants(surrogate) is not None:
        return None
    return f"its shader has the built-in surrogates only, not {type(surrogate).__name__}"


@functools.lru_cache(maxsize=1024)
def _constants(
    learned: bool,
    k: float,
    kind: int,
    v_threshold: float,
    v_reset: float | None,
    detach: bool,
    surrogate: Any,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Specialisation constants and scalars that follow from the attributes alone."""
    found = derivative_constants(surrogate)
    assert found is not None
    code, scale, top = found
    numbers = (k, 1.0 - k, v_threshold, v_reset or 0.0)
    return (kind, v_reset is None, learned, detach, code), (*map(float32, numbers), scale, top)


_Constants = tuple[tuple[int, ...], tuple[float, ...]]


def _sum(device: Any, partial: DeviceArray | None) -> tuple[DeviceArray, ...]:
    """The gradient at k, if there is one."""
    if partial is None:
        return ()
    return (reduce.sum(device, partial, axis=(0,), keepdims=False),)


def _back(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_h: DeviceArray | None,
    h: DeviceArray,
    learned: tuple[DeviceArray, ...],
    constants: _Constants,
) -> tuple[DeviceArray, ...]:
    g_x: DeviceArray = device.empty(h.shape, "float32")
    g_v0: DeviceArray = device.empty(h.shape[1:], "float32")
    n, steps = g_v0.size, h.shape[0]
    partial = device.empty((-(-n // _GROUP),), "float32") if learned else None
    if n:
        fixed, scalars = constants
        device.run_each(
            "snn-multistep-backward",
            n,
            (g_s, g_v, g_h, h, *(learned or (None, None, None))),
            (g_x, g_v0, partial),
            (n, steps, *scalars),
            (*fixed, *rounds(steps), g_v is not None, g_h is not None),
        )
    return (g_x, g_v0, *_sum(device, partial))


def _recompute(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    x: DeviceArray,
    v: DeviceArray,
    k_at: DeviceArray | None,
    constants: _Constants,
) -> tuple[DeviceArray, ...]:
    g_x: DeviceArray = device.empty(x.shape, "float32")
    g_v0: DeviceArray = device.empty(v.shape, "float32")
    n, steps = v.size, x.shape[0]
    partial = device.empty((-(-n // _GROUP),), "float32") if k_at is not None else None
    if n:
        fixed, scalars = constants
        g_s, g_stride = spaced(device, g_s, 1)
        x, x_stride = spaced(device, x, 1)
        v, v_stride = spaced(device, v, 0)
        g_v = None if g_v is None else device.contiguous(g_v)
        once, unroll = rounds(steps)
        notes = None if once else device.empty(((steps - 1) // unroll, n), "float32")
        g_time, x_time = g_s.strides[0] if g_s.strides else n, x.strides[0] if x.strides else n
        device.run_each(
            "snn-node-backward" if steps == 1 else "snn-multistep-recompute",
            n,
            (g_s, g_v, x, v, k_at),
            (g_x, g_v0, notes, partial),
            (n, steps, g_time, g_stride, x_time, x_stride, v_stride, *scalars),
            (*fixed, once, unroll, g_v is not None),
        )
    return (g_x, g_v0, *_sum(device, partial))


def if_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_h: DeviceArray | None,
    h: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    constants = _constants(False, 0.0, 0, v_threshold, v_reset, detach_reset, surrogate)
    return _back(device, g_s, g_v, g_h, h, (), constants)


def lif_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_h: DeviceArray | None,
    h: DeviceArray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    kind = kind_of(decay_input)
    constants = _constants(False, k, kind, v_threshold, v_reset, detach_reset, surrogate)
    return _back(device, g_s, g_v, g_h, h, (), constants)


def plif_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_h: DeviceArray | None,
    h: DeviceArray,
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
    kind = kind_of(decay_input)
    constants = _constants(True, 0.0, kind, v_threshold, v_reset, detach_reset, surrogate)
    return _back(device, g_s, g_v, g_h, h, (x, v, k), constants)


def if_multi_step_recompute_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    x: DeviceArray,
    v: DeviceArray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    constants = _constants(False, 0.0, 0, v_threshold, v_reset, detach_reset, surrogate)
    return _recompute(device, g_s, g_v, x, v, None, constants)


def lif_multi_step_recompute_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
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
    kind = kind_of(decay_input)
    constants = _constants(False, k, kind, v_threshold, v_reset, detach_reset, surrogate)
    return _recompute(device, g_s, g_v, x, v, None, constants)


def plif_multi_step_recompute_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
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
    kind = kind_of(decay_input)
    constants = _constants(True, 0.0, kind, v_threshold, v_reset, detach_reset, surrogate)
    return _recompute(device, g_s, g_v, x, v, k, constants)


_FROM_X = (if_multi_step_recompute_vjp, lif_multi_step_recompute_vjp, plif_multi_step_recompute_vjp)
_FROM_H = (if_multi_step_vjp, lif_multi_step_vjp, plif_multi_step_vjp)

KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (*_FROM_H, *_FROM_X)
}
STRIDED = frozenset(kernel.__name__ for kernel in _FROM_X)
DECLINES: dict[str, Callable[..., str | None]] = dict.fromkeys(KERNELS, unknown_surrogate)
