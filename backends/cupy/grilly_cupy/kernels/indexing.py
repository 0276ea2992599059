"""Slices by number and their sums, and random bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import DTYPES
from grilly_cupy.lazy import cp
from grilly_cupy.source import launch_each, row_major

__all__ = ["KERNELS"]

Array = Any


def gather(device: Any, x: Array, index: Array, /, *, axis: int) -> Array:
    return cp.take(x, index, axis=axis)


def scatter_add(device: Any, x: Array, index: Array, src: Array, /, *, axis: int) -> Array:
    """Slices are sorted by where they go, and one thread adds up those of one element, in their order."""
    extent, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    out = cp.empty(x.shape, x.dtype)
    if not index.size:
        out[...] = x
        return out
    flat = index.reshape(-1)
    order = cp.argsort(flat, kind="stable").astype("int64")
    starts = cp.searchsorted(flat[order], cp.arange(extent + 1, dtype="int32")).astype("int64")
    args = (row_major(x), order, starts, row_major(src), out, x.size, extent, flat.size, inner)
    launch_each("indexing/scatter_add", x.dtype, x.size, args, BOOL=int(x.dtype.kind == "b"))
    return out


def random_bits(device: Any, /, *, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> Array:
    out = cp.empty(shape, "uint32")
    words = [np.uint32(word >> at & 0xFFFFFFFF) for word in (seed, stream) for at in (0, 32)]
    launch_each("random/philox", "uint32", -(-out.size // 4), (out, out.size, *words, np.int32(32 - bits)))
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "gather": (gather, DTYPES),
    "random_bits": (random_bits, ("uint32",)),
    "scatter_add": (scatter_add, DTYPES),
}
