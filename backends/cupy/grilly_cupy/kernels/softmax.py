"""Softmax, its logarithm and their gradients, a block of threads for each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_cupy.kernels.elementwise import rows_block
from grilly_cupy.lazy import cp
from grilly_cupy.source import launch, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any
_SOFTMAX, _LOG_SOFTMAX, _SOFTMAX_VJP, _LOG_SOFTMAX_VJP = range(4)


def _rows(which: int, axis: int, a: Array, b: Array | None = None) -> Array:
    n = a.shape[axis] if a.ndim else 1
    inner = math.prod(a.shape[axis + 1 :])
    out = cp.empty(a.shape, a.dtype)
    grid = (out.size // n if n else 0,)
    args = (row_major(a), row_major(b), out, n, inner)
    launch("softmax/rows", a.dtype, grid, (rows_block(n),), args, WHICH=which)
    return out


def softmax(device: Any, x: Array, /, *, axis: int) -> Array:
    return _rows(_SOFTMAX, axis, x)


def log_softmax(device: Any, x: Array, /, *, axis: int) -> Array:
    return _rows(_LOG_SOFTMAX, axis, x)


def softmax_vjp(device: Any, g: Array, y: Array, /, *, axis: int) -> Array:
    return _rows(_SOFTMAX_VJP, axis, g, y)


def log_softmax_vjp(device: Any, g: Array, y: Array, /, *, axis: int) -> Array:
    return _rows(_LOG_SOFTMAX_VJP, axis, g, y)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (softmax, log_softmax, softmax_vjp, log_softmax_vjp)
}
DECLINES: dict[str, Callable[..., str | None]] = {}
