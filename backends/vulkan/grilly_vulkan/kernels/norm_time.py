"""A batch norm for every step, and NeuNorm, whose steps are one dispatch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor
from grilly_vulkan.kernels import reduce
from grilly_vulkan.kernels.neuron import float32
from grilly_vulkan.kernels.norm import normalise
from grilly_vulkan.kernels.reduce_plan import lanes, spread

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)


def bn_through_time(
    device: Any, x: DeviceArray, weight: DeviceArray | None, /, *, eps: float
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    return normalise(device, None, x, (None, None), weight, None, eps)


def bn_through_time_vjp(
    device: Any,
    g: DeviceArray,
    x: DeviceArray,
    mean: DeviceArray,
    var: DeviceArray,
    weight: DeviceArray | None,
    /,
    *,
    eps: float,
) -> tuple[DeviceArray, DeviceArray]:
    gx, gw, _ = normalise(device, g, x, (mean, var), weight, None, eps)
    return gx, gw


@functools.lru_cache(maxsize=1024)
def _through_time(shape: tuple[int, ...], k: float) -> tuple[int, tuple[Any, ...]]:
    """Workgroups and numbers of the dispatch over ``[T, N, C, L]``."""
    steps, n, channels, extent = shape
    places = n * extent
    depth = lanes(places, channels, False)
    share = (1.0 - k) / channels**2
    numbers = (places, steps, channels, extent, *divisor(extent), depth, float32(k), float32(share))
    return -(-places // (256 >> depth)), numbers


def neunorm_multi_step(
    device: Any, s: DeviceArray, x: DeviceArray, w: DeviceArray, /, *, k: float
) -> tuple[DeviceArray, DeviceArray]:
    steps, n, channels, extent = s.shape
    y = device.empty(s.shape, "float32")
    states = device.empty((steps, n, 1, extent), "float32")
    if y.size:
        groups, numbers = _through_time(s.shape, k)
        constants = (False, False, False, w.shape[0] < channels)
        device.run("snn-neunorm", groups, (s, x, w), (y, states), numbers, constants)
    return y, states


def neunorm_multi_step_vjp(
    device: Any,
    g: DeviceArray,
    g_states: DeviceArray | None,
    states: DeviceArray,
    w: DeviceArray,
    /,
    *,
    k: float,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    _, n, channels, extent = g.shape
    g_s = device.empty(g.shape, "float32")
    g_x = device.empty((n, 1, extent), "float32")
    if not g.size:
        return g_s, g_x, device.full(w.shape, 0.0, "float32")
    groups, numbers = _through_time(g.shape, k)
    constants = (False, True, g_states is not None, w.shape[0] < channels)
    device.run("snn-neunorm", groups, (g, g_states, w), (g_s, g_x), numbers, constants)
    return g_s, g_x, _weight_gradient(device, g, states, w.shape[0] < channels)


def _weight_gradient(device: Any, g: DeviceArray, states: DeviceArray, shared: bool) -> DeviceArray:
    """At w: summed over steps and samples, in chunks if they are many, and over channels if all have one w."""
    steps, n, channels, extent = g.shape
    places, count = channels * extent, steps * n
    depth = lanes(places, count, False)
    groups, splits, chunk = spread(places, count, depth)
    partial: DeviceArray = device.empty((splits, channels, extent), "float32")
    numbers = (places, count, chunk, depth, extent, *divisor(extent))
    device.run("snn-neunorm-weight", groups, (g, states), (partial,), numbers, (False,))
    if shared:
        whole: DeviceArray = partial.view((splits * channels, extent))
        return reduce.sum(device, whole, axis=(0,), keepdims=True)
    return reduce.sum(device, partial, axis=(0,), keepdims=False)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT)
    for kernel in (bn_through_time, bn_through_time_vjp, neunorm_multi_step, neunorm_multi_step_vjp)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
