"""Attention over time steps: blocks of rows, each read once while it is in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.kernels.scratch import Scratch
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "row_dots", "row_scale_vjp", "row_sum_max", "temporal_attention"]

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 1 << 19  # of one array


def _each_block(x: Array, body: Callable[[slice], object]) -> None:
    """``body`` on slices of rows ``[R, K]``, on the threads."""
    height = max(1, _BLOCK_BYTES // (x.shape[1] * x.itemsize))
    parallel_for(-(-x.shape[0] // height), lambda i: body(slice(i * height, (i + 1) * height)))


def _buffers(x: Array) -> Scratch:
    """Room for a block of x."""
    size = max(x.shape[1], min(x.size, _BLOCK_BYTES // x.itemsize))
    return Scratch(lambda: np.empty(size, x.dtype))


def _room(buffer: Array, like: Array) -> Array:
    return buffer[: like.size].reshape(like.shape)


def row_sum_max(device: object, x: Array, /) -> tuple[Array, Array]:
    """Sum and largest element of every row.

    Example:
        >>> [v.tolist() for v in row_sum_max(None, np.array([[1.0, 3.0], [2.0, -1.0]]))]
        [[4.0, 1.0], [3.0, 2.0]]
    """
    total, top = np.empty(x.shape[0], x.dtype), np.empty(x.shape[0], x.dtype)

    def body(rows: slice) -> None:
        part = x[rows]
        np.add.reduce(part, axis=1, out=total[rows])
        np.maximum.reduce(part, axis=1, out=top[rows])

    _each_block(x, body)
    return total, top


def row_dots(device: object, g: Array, x: Array, top: Array, /) -> tuple[Array, Array]:
    """Of every row the sum of ``g x`` and how many elements of x are ``top``."""
    dots, hits = np.empty_like(top), np.empty_like(top)
    scratch = _buffers(x)

    def body(rows: slice) -> None:
        part = x[rows]
        with scratch.borrow() as buffer:
            np.add.reduce(np.multiply(g[rows], part, out=_room(buffer, part)), axis=1, out=dots[rows])
        hit = (part == top[rows, None]).view(np.uint8)
        hits[rows] = np.add.reduce(hit, axis=1, dtype=np.uint32)

    _each_block(x, body)
    return dots, hits


def row_scale_vjp(
    device: object, g: Array, x: Array, top: Array, scale: Array, shift: Array, share: Array, /
) -> Array:
    """``g scale + shift``, and ``share`` more where x is ``top``."""
    y = empty(x.shape, x.dtype)

    def body(rows: slice) -> None:
        out = np.multiply(g[rows], scale[rows, None], out=y[rows])
        out += shift[rows, None]
        np.add(out, share[rows, None], out=out, where=x[rows] == top[rows, None])

    _each_block(x, body)
    return y


def temporal_attention(device: object, x: Array, fc1: Array, fc2: Array, /) -> tuple[Array, Array, Array]:
    """Steps ``x [T, N, K]`` scaled by what ``fc1 [H, T]`` and ``fc2 [T, H]`` make of their means and largest elements.

    Example:
        >>> y, mean, top = temporal_attention(None, np.ones((1, 1, 2)), np.zeros((1, 1)), np.zeros((1, 1)))
        >>> y.tolist(), mean.tolist(), top.tolist()
        ([[[0.5, 0.5]]], [[1.0]], [[1.0]])
    """
    steps, n, extent = x.shape
    rows = x.reshape(steps * n, extent)
    total, top = (v.reshape(steps, n) for v in row_sum_max(device, rows))
    kind = x.dtype.type
    with np.errstate(all="ignore"):
        mean = total * kind(1.0 / extent)
        both = np.maximum(fc1 @ mean, kind(0)) + np.maximum(fc1 @ top, kind(0))
        weight = (np.tanh((fc2 @ both) * kind(0.5)) * kind(0.5) + kind(0.5)).reshape(-1, 1)
    y = empty(rows.shape, x.dtype)
    _each_block(rows, lambda part: np.multiply(rows[part], weight[part], out=y[part]))
    return y.reshape(x.shape), mean, top


KERNELS = {kernel.__name__: kernel for kernel in (row_dots, row_scale_vjp, row_sum_max, temporal_attention)}
