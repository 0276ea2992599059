"""Pooling over two axes and its gradients, which gather: no two invocations write one element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Pair = tuple[int, int]

FLOAT = ("float32",)


def _forward(
    device: Any, x: DeviceArray, kernel: Pair, stride: Pair, padding: Pair, largest: bool
) -> tuple[DeviceArray, DeviceArray | None]:
    n, c, height, width = x.shape
    oh, ow = [(x.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    y: DeviceArray = device.empty((n, c, oh, ow), "float32")
    place: DeviceArray | None = device.empty(y.shape, "int32") if largest else None
    if y.size:
        numbers = (y.size, height, width, oh, ow, *divisor(oh), *divisor(ow), _share(kernel))
        constants = (largest, *kernel, *stride, *padding)
        device.run_each("pool", y.size, (x,), (y, place), numbers, constants)
    return y, place


def _backward(
    device: Any,
    g: DeviceArray,
    place: DeviceArray | None,
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
) -> DeviceArray:
    gx: DeviceArray = device.empty((*g.shape[:2], *size), "float32")
    if gx.size:
        numbers = (gx.size, *size, *g.shape[2:], *divisor(size[0]), *divisor(size[1]), _share(kernel))
        constants = (place is not None, *kernel, *stride, *padding)
        device.run_each("pool-backward", gx.size, (g, place), (gx,), numbers, constants)
    return gx


def _share(kernel: Pair) -> float:
    return 1.0 / (kernel[0] * kernel[1])


def max_pool2d(
    device: Any, x: DeviceArray, /, *, kernel_size: Pair, stride: Pair, padding: Pair
) -> tuple[DeviceArray, DeviceArray | None]:
    return _forward(device, x, kernel_size, stride, padding, True)


def max_pool2d_vjp(
    device: Any,
    g: DeviceArray,
    index: DeviceArray,
    /,
    *,
    input_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
) -> DeviceArray:
    return _backward(device, g, index, input_size, kernel_size, stride, padding)


def avg_pool2d(
    device: Any, x: DeviceArray, /, *, kernel_size: Pair, stride: Pair, padding: Pair
) -> DeviceArray:
    return _forward(device, x, kernel_size, stride, padding, False)[0]


def avg_pool2d_vjp(
    device: Any, g: DeviceArray, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair
) -> DeviceArray:
    return _backward(device, g, None, input_size, kernel_size, stride, padding)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "max_pool2d": (max_pool2d, FLOAT),
    "max_pool2d_vjp": (max_pool2d_vjp, (*FLOAT, "int32")),
    "avg_pool2d": (avg_pool2d, FLOAT),
    "avg_pool2d_vjp": (avg_pool2d_vjp, FLOAT),
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {
    "max_pool2d_vjp": lambda g, index, **_: (
        None if g.dtype == "float32" else f"its kernel takes gradients in float32, not {g.dtype}"
    )
}
