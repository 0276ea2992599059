"""Rows by number, their sum back, and numbers as rows of zeros with a one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.backend import word
from grilly_vulkan.division import divisor

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

ALL = ("float32", "int32", "uint32", "bool")
_CODE = {"float32": 0, "int32": 1, "uint32": 2, "bool": 3}
_COMPARISONS = 1 << 24  # so many comparisons of indices take less time than making lists
_LONGEST = 2048
_COUNT, _ALLOT, _FILL, _ORDER = range(4)


def gather(device: Any, x: DeviceArray, index: DeviceArray, /, *, axis: int) -> DeviceArray:
    out: DeviceArray = device.empty((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)
    if out.size:
        inner, picks = math.prod(x.shape[axis + 1 :]), index.size
        numbers = (out.size, x.shape[axis], picks, inner, *divisor(inner), *divisor(picks))
        device.run_each("gather", out.size, (x, index), (out,), numbers)
    return out


def scatter_add(
    device: Any, x: DeviceArray, index: DeviceArray, src: DeviceArray, /, *, axis: int
) -> DeviceArray:
    """Every element of the result adds its own picks in their order, so that the bits are the same every time.

    Finding them takes a look at every index for every element, up to 2**24 looks together; beyond, lists of the picks of
    each row are made first (five small dispatches), and an element looks at its own picks only. Sorting a list compares all
    its pairs, so rows with more than 2048 picks get none: each of their elements goes through all indices, one after the
    other (about 10 ms for a million indices on a large GPU; there are fewer than ``picks / 2048`` such rows).
    """
    index, src = device.contiguous(index), device.contiguous(src)
    spread = x.strides is not None and not any(x.strides)
    x = x if spread else device.contiguous(x)
    out: DeviceArray = device.empty(x.shape, x.dtype)
    if out.size:
        inner, extent, picks = math.prod(x.shape[axis + 1 :]), x.shape[axis], index.size
        listed = out.size * picks > _COMPARISONS
        lists = _lists(device, index, extent) if listed else (None, None, None)
        sizes = (out.size, extent, picks, inner, _LONGEST, *divisor(inner), *divisor(extent))
        constants = (_CODE[x.dtype], listed, spread)
        device.run_each("scatter-add", out.size, (x, index, src, *lists), (out,), sizes, constants)
    return out


def _lists(device: Any, index: DeviceArray, extent: int) -> tuple[DeviceArray, ...]:
    """Of every row: how many picks it has, where its list of them ends, the lists."""
    picks = index.size
    count = device.filled((extent + 1,), 0, "uint32")
    following, filled, ordered = (device.empty((n,), "uint32") for n in (extent, picks, picks))
    for step in (_COUNT, _ALLOT, _FILL, _ORDER):
        device.run_each(
            "scatter-lists",
            extent if step == _ALLOT else picks,
            (index,),
            (count, following, filled, ordered),
            (picks, extent, _LONGEST),
            (step,),
        )
    return count, following, ordered


def one_hot(device: Any, labels: DeviceArray, /, *, classes: int, dtype: str) -> DeviceArray:
    out: DeviceArray = device.empty((*labels.shape, classes), dtype)
    if out.size:
        numbers = (out.size, word(1, dtype), classes, *divisor(classes))
        device.run_each("one-hot", out.size, (labels,), (out,), numbers)
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "gather": (gather, ALL),
    "scatter_add": (scatter_add, ALL),
    "one_hot": (one_hot, ("int32",)),
}
STRIDED = frozenset({"scatter_add"})
DECLINES: dict[str, Callable[..., str | None]] = {}
