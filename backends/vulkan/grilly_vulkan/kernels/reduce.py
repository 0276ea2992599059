"""Reductions over any axes of a view."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray, merge_axes

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

NUMBERS = ("float32", "int32", "uint32")
_CODE = {"float32": 0, "int32": 1, "uint32": 2}
_SUM, _MAX, _ARGMAX = 0, 1, 2


def _reduce(device: Any, x: DeviceArray, axis: Shape, keepdims: bool, op: int) -> DeviceArray:
    shape = tuple([1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis])
    out: DeviceArray = device.empty(shape, "int32" if op == _ARGMAX else x.dtype)
    if not out.size:
        return out
    if not x.size:
        zeros: DeviceArray = device.full(shape, 0, x.dtype)
        return zeros
    strides = x.full_strides()
    kept = [i for i in range(len(x.shape)) if i not in axis]
    inside, (kept_strides,) = merge_axes(tuple([x.shape[i] for i in kept]), [strides[i] for i in kept])
    over, (over_strides,) = merge_axes(tuple([x.shape[i] for i in axis]), [strides[i] for i in axis])
    fill = 8 - len(inside) - len(over)
    scalars = (out.size, math.prod(over), len(inside), len(over))
    packed = (*inside, *over, *(1,) * fill, *kept_strides, *over_strides, *(0,) * fill)
    device.run_each("reduce", out.size, (x,), (out,), (*scalars, *packed), (op, _CODE[x.dtype]))
    return out


def sum(device: Any, x: DeviceArray, /, *, axis: Shape, keepdims: bool) -> DeviceArray:
    return _reduce(device, x, axis, keepdims, _SUM)


def max(device: Any, x: DeviceArray, /, *, axis: Shape, keepdims: bool) -> DeviceArray:
    return _reduce(device, x, axis, keepdims, _MAX)


def argmax(device: Any, x: DeviceArray, /, *, axis: int) -> DeviceArray:
    return _reduce(device, x, (axis,), False, _ARGMAX)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, NUMBERS) for kernel in (sum, max, argmax)
}
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {}
