"""Attention over time steps: a block of threads for each row, which reads it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_cupy.kernels.elementwise import relu, rows_block, sigmoid
from grilly_cupy.lazy import cp
from grilly_cupy.source import index_type, launch, launch_each, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any


def row_sum_max(device: Any, x: Array, /) -> tuple[Array, Array]:
    rows, k = x.shape
    total, top = (cp.empty((rows,), x.dtype) for _ in range(2))
    launch("rows/sum_max", x.dtype, (rows,), (rows_block(k),), (row_major(x), total, top, k))
    return total, top


def row_dots(device: Any, g: Array, x: Array, top: Array, /) -> tuple[Array, Array]:
    rows, k = x.shape
    products, hits = (cp.empty((rows,), x.dtype) for _ in range(2))
    args = (*map(row_major, (g, x, top)), products, hits, k)
    launch("rows/dots", x.dtype, (rows,), (rows_block(k),), args)
    return products, hits


def row_scale_vjp(
    device: Any, g: Array, x: Array, top: Array, scale: Array, shift: Array, share: Array, /
) -> Array:
    out = cp.empty(x.shape, x.dtype)
    args = (*map(row_major, (g, x, top, scale, shift, share)), out, out.size, x.shape[1])
    launch_each("rows/scale_back", x.dtype, out.size, args, INDEX=index_type(out.size))
    return out


def temporal_attention(device: Any, x: Array, fc1: Array, fc2: Array, /) -> tuple[Array, Array, Array]:
    steps, n, extent = x.shape
    total, top = (v.reshape(steps, n) for v in row_sum_max(device, x.reshape(steps * n, extent)))
    mean = total * x.dtype.type(1.0 / extent)
    both = relu(device, cp.matmul(fc1, mean)) + relu(device, cp.matmul(fc1, top))
    scale = sigmoid(device, cp.matmul(fc2, both))
    return x * scale.reshape(steps, n, 1), mean, top


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (row_sum_max, row_dots, row_scale_vjp, temporal_attention)
}
DECLINES: dict[str, Callable[..., str | None]] = {}
