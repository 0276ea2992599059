"""Neurons with more than a leak, forward and backward: one dispatch for all steps, states in registers.

Words that cross memory for one step of one neuron: 2 forward (x, s) and 3 backward (g, x, g_x); 4, and two words for 32
steps, where there are more than 32, since the input is read twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels import reduce
from grilly_vulkan.kernels.neuron import float32, kind_of, rounds, spaced
from grilly_vulkan.kernels.neuron_vjp import derivative_constants, unknown_surrogate

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)
_GROUP = 256  # invocations that add up one partial sum
_Numbers = tuple[float, float, float, float, float | None]
"""rate, carry, beta, v_threshold, v_reset."""


def _scalars(numbers: _Numbers) -> tuple[float, ...]:
    return tuple([float32(number or 0.0) for number in numbers])


def _forward(
    device: Any,
    shader: str,
    x: DeviceArray,
    v: DeviceArray,
    p: DeviceArray,
    inverse: DeviceArray | None,
    numbers: _Numbers,
    kind: int,
    save_v: bool,
) -> tuple[DeviceArray, ...]:
    """``p`` is the second state, or the slope, which is 0-d and does not come back."""
    spikes: DeviceArray = device.empty(x.shape, "float32")
    states: tuple[DeviceArray, ...] = tuple(
        [device.empty(v.shape, "float32") for _ in range(1 if shader == "snn-klif" else 2)]
    )
    seq: DeviceArray | None = device.empty(x.shape, "float32") if save_v else None
    n, steps = v.size, x.shape[0]
    if n:
        x, x_stride = spaced(device, x, 1)
        v, v_stride = spaced(device, v, 0)
        p, p_stride = spaced(device, p, 0)
        last = states if len(states) == 2 else (*states, None)
        scalars = (n, steps, x.strides[0] if x.strides else n, x_stride, v_stride, p_stride)
        constants = (kind, numbers[-1] is None, False, save_v, *rounds(steps), inverse is not None)
        writes = (spikes, *last, seq)
        device.run_each(shader, n, (x, v, p, inverse), writes, (*scalars, *_scalars(numbers)), constants)
    return (spikes, *states) if seq is None else (spikes, *states, seq)


def _backward(
    device: Any,
    shader: str,
    arriving: tuple[DeviceArray, DeviceArray | None, DeviceArray | None],
    x: DeviceArray,
    v: DeviceArray,
    p: DeviceArray,
    q: DeviceArray | None,
    numbers: _Numbers,
    kind: int,
    detach: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    """``q`` is the gradient at the last second state, or the inverse of the slope."""
    found = derivative_constants(surrogate)
    assert found is not None
    code, scale, top = found
    slope = shader == "snn-klif-backward"
    n, steps = v.size, x.shape[0]
    scaled = slope and q is not None
    shape = (2 if scaled else 1, -(-n // _GROUP)) if slope else v.shape
    g_x, g_v0, g_p = (device.empty(extent, "float32") for extent in (x.shape, v.shape, shape))
    if n:
        once, unroll = rounds(steps)
        notes = None if once else device.empty((2 * ((steps - 1) // unroll), n), "float32")
        g_s, g_v, g_seq = arriving
        device.run_each(
            shader,
            n,
            (g_s, g_v, g_seq, x, v, p, q),
            (g_x, g_v0, g_p, notes),
            (n, steps, *_scalars(numbers), scale, top),
            (kind, numbers[-1] is None, False, detach, code, once, unroll,
             g_v is not None, not slope and q is not None, g_seq is not None, scaled),
        )  # fmt: skip
    return (g_x, g_v0, reduce.sum(device, g_p, axis=(1,), keepdims=False) if slope else g_p)


def klif_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    k: DeviceArray,
    inverse: DeviceArray | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_v: bool,
) -> tuple[DeviceArray, ...]:
    numbers = (rate, 0.0, 0.0, v_threshold, v_reset)
    return _forward(device, "snn-klif", x, v, k, inverse, numbers, kind_of(decay_input), save_v)


def cuba_lif_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    c: DeviceArray,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
    save_v: bool,
) -> tuple[DeviceArray, ...]:
    numbers = (v_decay, c_decay, 0.0, v_threshold, v_reset)
    return _forward(device, "snn-cuba-lif", x, v, c, None, numbers, 0, save_v)


def alif_multi_step(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    a: DeviceArray,
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
    save_v: bool,
) -> tuple[DeviceArray, ...]:
    numbers = (rate, a_decay, beta, v_threshold, v_reset)
    return _forward(device, "snn-alif", x, v, a, None, numbers, kind_of(decay_input), save_v)


def klif_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_seq: DeviceArray | None,
    x: DeviceArray,
    v: DeviceArray,
    k: DeviceArray,
    inverse: DeviceArray | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    numbers, kind = (rate, 0.0, 0.0, v_threshold, v_reset), kind_of(decay_input)
    shader = "snn-klif-backward"
    return _backward(
        device, shader, (g_s, g_v, g_seq), x, v, k, inverse, numbers, kind, detach_reset, surrogate
    )


def cuba_lif_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_c: DeviceArray | None,
    g_seq: DeviceArray | None,
    x: DeviceArray,
    v: DeviceArray,
    c: DeviceArray,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[DeviceArray, ...]:
    numbers = (v_decay, c_decay, 0.0, v_threshold, v_reset)
    shader = "snn-cuba-lif-backward"
    return _backward(device, shader, (g_s, g_v, g_seq), x, v, c, g_c, numbers, 0, detach_reset, surrogate)


def alif_multi_step_vjp(
    device: Any,
    g_s: DeviceArray,
    g_v: DeviceArray | None,
    g_a: DeviceArray | None,
    g_seq: DeviceArray | None,
    x: DeviceArray,
    v: DeviceArray,
    a: DeviceArray,
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
) -> tuple[DeviceArray, ...]:
    numbers, kind = (rate, a_decay, beta, v_threshold, v_reset), kind_of(decay_input)
    shader = "snn-alif-backward"
    return _backward(device, shader, (g_s, g_v, g_seq), x, v, a, g_a, numbers, kind, detach_reset, surrogate)


_FORWARD = (klif_multi_step, cuba_lif_multi_step, alif_multi_step)
_BACKWARD = (klif_multi_step_vjp, cuba_lif_multi_step_vjp, alif_multi_step_vjp)

KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (*_FORWARD, *_BACKWARD)
}
STRIDED = frozenset(kernel.__name__ for kernel in _FORWARD)
DECLINES: dict[str, Callable[..., str | None]] = {kernel.__name__: unknown_surrogate for kernel in _BACKWARD}
