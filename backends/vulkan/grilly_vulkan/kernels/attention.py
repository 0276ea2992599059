"""Attention over time steps: x is read once for both sums, and once more for what they scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor
from grilly_vulkan.kernels import reduce
from grilly_vulkan.kernels.reduce_plan import lanes, spread

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)


def _sums(
    device: Any, g: DeviceArray | None, x: DeviceArray, top: DeviceArray | None
) -> tuple[DeviceArray, DeviceArray]:
    """Two results of every row; long rows in chunks, whose results are reduced."""
    rows, extent = x.shape
    backward = g is not None
    if not rows:
        return device.empty((0,), "float32"), device.empty((0,), "float32")
    depth = lanes(rows, extent, True)
    groups, splits, chunk = spread(rows, extent, depth)
    first, second = device.empty((rows, splits), "float32"), device.empty((rows, splits), "float32")
    numbers = (rows, extent, chunk, depth)
    device.run("snn-temporal-attention-sums", groups, (g, x, top), (first, second), numbers, (True, backward))
    join = reduce.sum if backward else reduce.max
    return (
        reduce.sum(device, first, axis=(1,), keepdims=False),
        join(device, second, axis=(1,), keepdims=False),
    )


def row_sum_max(device: Any, x: DeviceArray, /) -> tuple[DeviceArray, DeviceArray]:
    return _sums(device, None, x, None)


def row_dots(
    device: Any, g: DeviceArray, x: DeviceArray, top: DeviceArray, /
) -> tuple[DeviceArray, DeviceArray]:
    return _sums(device, g, x, top)


def row_scale_vjp(
    device: Any,
    g: DeviceArray,
    x: DeviceArray,
    top: DeviceArray,
    scale: DeviceArray,
    shift: DeviceArray,
    share: DeviceArray,
    /,
) -> DeviceArray:
    y: DeviceArray = device.empty(x.shape, "float32")
    if y.size:
        numbers = (y.size, *divisor(x.shape[1]))
        reads = (g, x, top, scale, shift, share)
        device.run_each("snn-temporal-attention-backward", y.size, reads, (y,), numbers)
    return y


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (row_dots, row_scale_vjp, row_sum_max)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
