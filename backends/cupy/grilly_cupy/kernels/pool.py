"""Max and average pooling, a thread for each element that is written or, backwards, for each window of several."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_cupy.lazy import cp
from grilly_cupy.source import index_type, launch_each, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any
Pair = tuple[int, int]
_MOST = 16  # elements of a window that one thread writes, at most
_BYTES = 16  # that a thread stores at once, at most


def _out_size(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    oh, ow = ((x.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    return oh, ow


def _launch(function: str, written: Array, args: tuple[Any, ...], *window: Pair) -> None:
    """``window``: sizes of input and output, kernel, stride and padding."""
    extents = [np.int32(extent) for pair in window for extent in pair]
    size = written.size
    launch_each(f"pool/{function}", written.dtype, size, (*args, *extents), INDEX=index_type(size))


def _side_by_side(kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether every element lies in one window at most, and the windows are small."""
    return kernel == stride and padding == (0, 0) and math.prod(kernel) <= _MOST


def _spread(function: str, size: Pair, kernel: Pair, read: tuple[Array, ...], *numbers: float) -> Array:
    """The gradient at an input of ``size`` for windows side by side; that at the result is the first array read."""
    g = read[0]
    planes, (oh, ow) = math.prod(g.shape[:2]), g.shape[2:]
    (h, w), (kh, kw) = size, kernel
    high, wide = -(-h // kh), -(-w // kw)  # with the windows at the edges that were left out
    g_x = cp.empty((*g.shape[:2], h, w), g.dtype)
    count = planes * high * wide
    if h % kh == 0:
        h, oh, high = planes * h, planes * oh, planes * high
    align = math.gcd(kw, w, _BYTES // g.dtype.itemsize) * g.dtype.itemsize
    args = (*map(row_major, read), g_x, *numbers, count, h, w, oh, ow, high, wide)
    defines = dict(INDEX=index_type(g_x.size), KH=kh, KW=kw, ALIGN=align)
    launch_each(f"pool/{function}", g.dtype, count, args, **defines)
    return g_x


def _share(kernel: Pair) -> float:
    return 1.0 / (kernel[0] * kernel[1])


def max_pool2d(
    device: Any, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair
) -> tuple[Array, Array]:
    out = _out_size(x, kernel_size, stride, padding)
    y, index = (cp.empty((*x.shape[:2], *out), dtype) for dtype in (x.dtype, "int32"))
    args = (row_major(x), y, index, y.size)
    _launch("largest", y, args, x.shape[2:], out, kernel_size, stride, padding)
    return y, index


def max_pool2d_vjp(
    device: Any,
    g: Array,
    index: Array,
    /,
    *,
    input_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
) -> Array:
    if _side_by_side(kernel_size, stride, padding):
        return _spread("largest_spread", input_size, kernel_size, (g, index))
    g_x = cp.empty((*g.shape[:2], *input_size), g.dtype)
    args = (row_major(g), row_major(index), g_x, g_x.size)
    _launch("largest_back", g_x, args, input_size, g.shape[2:], kernel_size, stride, padding)
    return g_x


def avg_pool2d(device: Any, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    out = _out_size(x, kernel_size, stride, padding)
    y = cp.empty((*x.shape[:2], *out), x.dtype)
    args = (row_major(x), y, y.size, _share(kernel_size))
    _launch("mean", y, args, x.shape[2:], out, kernel_size, stride, padding)
    return y


def avg_pool2d_vjp(
    device: Any, g: Array, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    if _side_by_side(kernel_size, stride, padding):
        return _spread("mean_spread", input_size, kernel_size, (g,), _share(kernel_size))
    g_x = cp.empty((*g.shape[:2], *input_size), g.dtype)
    args = (row_major(g), g_x, g_x.size, _share(kernel_size))
    _launch("mean_back", g_x, args, input_size, g.shape[2:], kernel_size, stride, padding)
    return g_x


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (max_pool2d, max_pool2d_vjp, avg_pool2d, avg_pool2d_vjp)
}
DECLINES: dict[str, Callable[..., str | None]] = {}
