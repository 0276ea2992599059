"""Reductions over any axes of a view; :mod:`grilly_vulkan.kernels.reduce_plan` says how they are spread.

Results lie in the order in which memory is read; the array returned is a view of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray, contiguous_strides
from grilly_vulkan.kernels.reduce_plan import Plan, plan

__all__ = ["DECLINES", "KERNELS", "STRIDED", "sum"]

Shape = tuple[int, ...]

NUMBERS = ("float32", "int32", "uint32")
_CODE = {"float32": 0, "int32": 1, "uint32": 2}
_SUM, _MAX, _ARGMAX = 0, 1, 2


def _run(
    device: Any, planned: Plan, x: DeviceArray, places: DeviceArray | None, op: int
) -> tuple[DeviceArray | None, DeviceArray | None]:
    """Results in the order of memory and, for an index, where they were."""
    partial = planned.splits > 1
    shape = (planned.n, planned.splits) if partial else planned.shape
    y = device.empty(shape, x.dtype) if op != _ARGMAX or partial else None
    index = device.empty(shape, "int32") if op == _ARGMAX else None
    constants = (planned.along, op, _CODE[x.dtype], planned.axes, places is not None, partial)
    device.run("reduce", planned.groups, (x, places), (y, index), planned.scalars, constants)
    if not partial:
        return y, index
    assert y is not None
    rest = plan(shape, contiguous_strides(shape), (1,))
    return _run(device, rest, y, index, op)


def _reduce(device: Any, x: DeviceArray, axis: Shape, keepdims: bool, op: int) -> DeviceArray:
    remaining = [i for i in range(len(x.shape)) if keepdims or i not in axis]
    shape = tuple([1 if i in axis else x.shape[i] for i in remaining])
    if not math.prod(shape):
        empty: DeviceArray = device.empty(shape, "int32" if op == _ARGMAX else x.dtype)
        return empty
    if not x.size:
        zeros: DeviceArray = device.full(shape, 0, x.dtype)
        return zeros
    strides = x.full_strides()
    planned = plan(x.shape, strides, axis)
    if planned.copy:
        return _reduce(device, device.contiguous(x), axis, keepdims, op)
    if planned.first:
        return _reduce(device, _reduce(device, x, planned.first, True, op), axis, keepdims, op)
    if planned.terms == 1 and op != _ARGMAX:
        return x.view(shape, tuple([strides[i] for i in remaining]))
    out = next(array for array in _run(device, planned, x, None, op) if array is not None)
    return out.view(shape, tuple([planned.strides[i] for i in remaining]))


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
