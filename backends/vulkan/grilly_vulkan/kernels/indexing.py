"""Rows by number, and their sum back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

ALL = ("float32", "int32", "uint32", "bool")
_CODE = {"float32": 0, "int32": 1, "uint32": 2, "bool": 3}


def gather(device: Any, x: DeviceArray, index: DeviceArray, /, *, axis: int) -> DeviceArray:
    out: DeviceArray = device.empty((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)
    if out.size:
        inner = math.prod(x.shape[axis + 1 :])
        device.run_each("gather", out.size, (x, index), (out,), (out.size, x.shape[axis], index.size, inner))
    return out


def scatter_add(
    device: Any, x: DeviceArray, index: DeviceArray, src: DeviceArray, /, *, axis: int
) -> DeviceArray:
    out: DeviceArray = device.empty(x.shape, x.dtype)
    if out.size:
        inner = math.prod(x.shape[axis + 1 :])
        scalars = (out.size, x.shape[axis], index.size, inner)
        device.run_each("scatter-add", out.size, (x, index, src), (out,), scalars, (_CODE[x.dtype],))
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "gather": (gather, ALL),
    "scatter_add": (scatter_add, ALL),
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
