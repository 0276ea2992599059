"""Neurons of one step with refractory period or adaptation, readout, the even rate code, surrogates alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels.neuron import float32
from grilly_vulkan.kernels.neuron_vjp import derivative_constants, unknown_surrogate

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)


def _elementwise(
    device: Any, shader: str, reads: tuple[DeviceArray, ...], scalars: tuple[float, ...]
) -> tuple[DeviceArray, ...]:
    """One dispatch that makes as many arrays as it reads, all alike."""
    n = reads[0].size
    writes: tuple[DeviceArray, ...] = tuple([device.empty(reads[0].shape, "float32") for _ in reads])
    if n:
        device.run_each(shader, n, reads, writes, (n, *map(float32, scalars)))
    return writes


def lif_neuron(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    wait: DeviceArray,
    /,
    *,
    threshold: float,
    decay: float,
    refractory: int,
) -> tuple[DeviceArray, ...]:
    return _elementwise(device, "snn-lif-neuron", (x, v, wait), (threshold, decay, float(refractory)))


def gif_neuron(
    device: Any,
    x: DeviceArray,
    v: DeviceArray,
    eta: DeviceArray,
    gamma: DeviceArray,
    /,
    *,
    v_threshold: float,
    decay: float,
    tau_eta: float,
    tau_gamma: float,
    a: float,
    b: float,
) -> tuple[DeviceArray, ...]:
    kept = (math.exp(-1.0 / tau_eta), math.exp(-1.0 / tau_gamma))
    return _elementwise(device, "snn-gif-neuron", (x, v, eta, gamma), (v_threshold, decay, *kept, a, b))


def readout(device: Any, x: DeviceArray, /, *, mode: str) -> DeviceArray:
    y: DeviceArray = device.empty(x.shape[1:], "float32")
    if y.size:
        scale = 1.0 / x.shape[0] if mode == "mean" else 1.0
        device.run_each(
            "snn-readout", y.size, (x,), (y,), (y.size, x.shape[0], float32(scale)), (mode == "max",)
        )
    return y


def continuous_to_spike(device: Any, x: DeviceArray, /, *, steps: int) -> DeviceArray:
    y: DeviceArray = device.empty((steps, *x.shape), "float32")
    if y.size:
        device.run_each("snn-continuous-to-spike", x.size, (x,), (y,), (x.size, steps))
    return y


def surrogate_gradient(device: Any, u: DeviceArray, /, *, surrogate: Any) -> DeviceArray:
    y: DeviceArray = device.empty(u.shape, "float32")
    found = derivative_constants(surrogate)
    assert found is not None
    code, scale, top = found
    if y.size:
        device.run_each("snn-surrogate-gradient", y.size, (u,), (y,), (y.size, scale, top), (code,))
    return y


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT)
    for kernel in (lif_neuron, gif_neuron, readout, continuous_to_spike, surrogate_gradient)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {"surrogate_gradient": unknown_surrogate}
