"""Max and average pooling, a block of planes at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.kernels.scratch import Scratch
from grilly_numpy.kernels.windows import span
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "avg_pool2d", "avg_pool2d_vjp", "max_pool2d", "max_pool2d_vjp"]

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]

_BLOCK_BYTES = 2 << 20  # of the input; with smaller blocks the threads wait for each other


def max_pool2d(
    device: object, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair
) -> tuple[Array, Array]:
    """Largest value of each window and where it was.

    Of equal values the first in row-major order counts, and a NaN is larger than any number.

    Args:
        device: not used.
        x: ``[N, C, H, W]``.
        kernel_size: height and width of the window.
        stride: step down and to the right.
        padding: rows and columns added on each side; they never hold the maximum.

    Returns:
        ``y [N, C, OH, OW]`` and ``index`` of the same shape: ``row * KW + column`` in the window, int32.

    Example:
        >>> x = np.array([[[[1.0, 5.0], [5.0, 2.0]]]])
        >>> y, index = max_pool2d(None, x, kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
        >>> y.item(), index.item()
        (5.0, 1)
    """
    planes, out = _planes(x), _out_size(x, kernel_size, stride, padding)
    y = np.empty((len(planes), *out), x.dtype)
    index = np.empty((len(planes), *out), np.int32)
    quarters = kernel_size == stride == (2, 2) and padding == (0, 0)
    first = None if quarters else _first_inside(x.shape[2:], out, kernel_size, stride, padding)
    blocks = _blocks(planes.shape, x.itemsize)
    scratch = Scratch(lambda: np.empty(6 * blocks[0].stop * out[0] * out[1], x.dtype))

    def body(i: int) -> None:
        block = planes[blocks[i]], y[blocks[i]], index[blocks[i]]
        if first is None:
            with scratch.borrow() as buffer:
                _max_of_quarters(*block, buffer)
        else:
            _max_of_taps(*block, first, kernel_size, stride, padding)

    parallel_for(len(blocks), body)
    return y.reshape(*x.shape[:2], *out), index.reshape(*x.shape[:2], *out)


def max_pool2d_vjp(
    device: object,
    g: Array,
    index: Array,
    /,
    *,
    input_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
) -> Array:
    """Gradient of :func:`max_pool2d`: ``g`` goes to where ``index`` says the maximum was.

    Args:
        device: not used.
        g: gradient of ``y``, ``[N, C, OH, OW]``.
        index: as the forward pass returned it.
        input_size: ``(H, W)`` of the input.
        kernel_size: as in the forward pass.
        stride: as in the forward pass.
        padding: as in the forward pass.

    Returns:
        ``[N, C, H, W]``.

    Example:
        >>> g, index = np.full((1, 1, 1, 1), 7.0), np.full((1, 1, 1, 1), 1, np.int32)
        >>> two = dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
        >>> max_pool2d_vjp(None, g, index, input_size=(2, 2), **two).tolist()
        [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    upstream, positions = _planes(g), _planes(index)
    quarters = kernel_size == stride == (2, 2) and padding == (0, 0)
    gx = (np.empty if quarters else np.zeros)((len(upstream), *input_size), g.dtype)
    blocks = _blocks(gx.shape, g.itemsize)
    scratch = Scratch(lambda: np.empty(3 * blocks[0].stop * g.shape[2] * g.shape[3], f"i{g.itemsize}"))

    def body(i: int) -> None:
        block = upstream[blocks[i]], positions[blocks[i]], gx[blocks[i]]
        if quarters:
            with scratch.borrow() as buffer:
                _spread_to_quarters(*block, buffer)
        else:
            _spread_to_taps(*block, kernel_size, stride, padding)

    parallel_for(len(blocks), body)
    return gx.reshape(*g.shape[:2], *input_size)


def avg_pool2d(device: object, x: Array, /, *, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """Mean of each window; the padding counts as zeros.

    Args:
        device: not used.
        x: ``[N, C, H, W]``.
        kernel_size: height and width of the window.
        stride: step down and to the right.
        padding: rows and columns of zeros added on each side.

    Returns:
        ``[N, C, OH, OW]``.

    Example:
        >>> x = np.ones((1, 1, 2, 2))
        >>> avg_pool2d(None, x, kernel_size=(2, 2), stride=(2, 2), padding=(1, 1)).tolist()
        [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    planes, out = _planes(x), _out_size(x, kernel_size, stride, padding)
    y = np.empty((len(planes), *out), x.dtype)
    blocks = _blocks(planes.shape, x.itemsize)

    def body(i: int) -> None:
        source = planes[blocks[i]]
        tall = np.zeros((len(source), out[0], source.shape[2]), x.dtype)
        for k in range(kernel_size[0]):
            at, rows = span(source.shape[1], out[0], k - padding[0], stride[0])
            tall[:, at] += source[:, rows]
        wide = np.zeros((len(source), *out), x.dtype)
        for k in range(kernel_size[1]):
            at, cols = span(source.shape[2], out[1], k - padding[1], stride[1])
            wide[:, :, at] += tall[:, :, cols]
        np.divide(wide, x.dtype.type(kernel_size[0] * kernel_size[1]), out=y[blocks[i]])

    parallel_for(len(blocks), body)
    return y.reshape(*x.shape[:2], *out)


def avg_pool2d_vjp(
    device: object, g: Array, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Gradient of :func:`avg_pool2d`.

    Args:
        device: not used.
        g: gradient of the result, ``[N, C, OH, OW]``.
        input_size: ``(H, W)`` of the input.
        kernel_size: as in the forward pass.
        stride: as in the forward pass.
        padding: as in the forward pass.

    Returns:
        ``[N, C, H, W]``.

    Example:
        >>> two = dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
        >>> avg_pool2d_vjp(None, np.ones((1, 1, 1, 1)), input_size=(2, 2), **two).tolist()
        [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    upstream = _planes(g)
    gx = np.zeros((len(upstream), *input_size), g.dtype)
    blocks = _blocks(gx.shape, g.itemsize)
    oh, ow = g.shape[2:]

    def body(i: int) -> None:
        share = upstream[blocks[i]] / g.dtype.type(kernel_size[0] * kernel_size[1])
        wide = np.zeros((len(share), oh, input_size[1]), g.dtype)
        for k in range(kernel_size[1]):
            at, cols = span(input_size[1], ow, k - padding[1], stride[1])
            wide[:, :, cols] += share[:, :, at]
        into = gx[blocks[i]]
        for k in range(kernel_size[0]):
            at, rows = span(input_size[0], oh, k - padding[0], stride[0])
            into[:, rows] += wide[:, at]

    parallel_for(len(blocks), body)
    return gx.reshape(*g.shape[:2], *input_size)


def _planes(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _out_size(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    oh, ow = ((x.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    return oh, ow


def _blocks(shape: tuple[int, ...], itemsize: int) -> list[slice]:
    """Planes that are worked on together; the last slice ends at the number of planes."""
    count, height, width = shape
    step = max(1, _BLOCK_BYTES // max(1, height * width * itemsize))
    return [slice(first, min(count, first + step)) for first in range(0, count, step)]


def _max_of_quarters(x: Array, y: Array, index: Array, buffer: Array) -> None:
    """2 x 2 windows side by side: compare the four corners of all windows as four arrays."""
    n, oh, ow = y.shape
    corners = buffer[: 4 * y.size].reshape(4, *y.shape)
    row = buffer[4 * y.size : 6 * y.size].reshape(n, oh, ow, 2)
    for i in (0, 1):
        # Two plain copies: short rows first, then one long run with a step of two.
        np.copyto(row.reshape(n, oh, 2 * ow), x[:, i : 2 * oh : 2, : 2 * ow])
        corners[2 * i] = row[..., 0]
        corners[2 * i + 1] = row[..., 1]
    np.maximum(corners[0], corners[1], out=y)
    np.maximum(y, corners[2], out=y)
    np.maximum(y, corners[3], out=y)
    if np.isnan(y).any():
        _max_of_taps(x, y, index, np.zeros((oh, ow), np.int32), (2, 2), (2, 2), (0, 0))
        return
    missed = corners[0] != y
    position = missed.view(np.uint8).copy()
    for corner in corners[1:3]:
        missed &= corner != y
        position += missed.view(np.uint8)
    np.copyto(index, position)


def _first_inside(size: Pair, out: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Where each window leaves the padding: it holds the maximum of a window of nothing but -inf."""
    rows, cols = (np.maximum(0, padding[i] - stride[i] * np.arange(out[i])) for i in (0, 1))
    return (rows[:, None] * kernel[1] + cols).astype(np.int32)


def _max_of_taps(
    x: Array, y: Array, index: Array, first: Array, kernel: Pair, stride: Pair, padding: Pair
) -> None:
    y[...] = -np.inf
    index[...] = first
    for i in range(kernel[0]):
        down, rows = span(x.shape[1], y.shape[1], i - padding[0], stride[0])
        for j in range(kernel[1]):
            right, cols = span(x.shape[2], y.shape[2], j - padding[1], stride[1])
            values, best = x[:, rows, cols], y[:, down, right]
            better = ~(values <= best)  # also true for a NaN on either side
            better &= best == best
            np.copyto(best, values, where=better)
            np.copyto(index[:, down, right], np.int32(i * kernel[1] + j), where=better)


def _spread_to_quarters(g: Array, index: Array, gx: Array, buffer: Array) -> None:
    # By bit masks, not by a product with 0 and 1: an infinite gradient would leave NaN in the other corners.
    n, oh, ow = g.shape
    bits = g.view(buffer.dtype)
    mask = buffer[: g.size].reshape(g.shape)
    row = buffer[g.size : 3 * g.size].reshape(n, oh, ow, 2)
    position = index.astype(np.int8)
    for i in (0, 1):
        for j in (0, 1):
            here = np.equal(position, np.int8(2 * i + j)).view(np.int8)
            np.copyto(mask, np.negative(here, out=here))
            np.bitwise_and(bits, mask, out=row[..., j])
        gx[:, i : 2 * oh : 2, : 2 * ow] = row.reshape(n, oh, 2 * ow).view(g.dtype)
    gx[:, 2 * oh :] = 0
    gx[:, :, 2 * ow :] = 0


def _spread_to_taps(g: Array, index: Array, gx: Array, kernel: Pair, stride: Pair, padding: Pair) -> None:
    for i in range(kernel[0]):
        down, rows = span(gx.shape[1], g.shape[1], i - padding[0], stride[0])
        for j in range(kernel[1]):
            right, cols = span(gx.shape[2], g.shape[2], j - padding[1], stride[1])
            here = index[:, down, right] == i * kernel[1] + j
            gx[:, rows, cols] += np.where(here, g[:, down, right], g.dtype.type(0))


KERNELS: dict[str, Callable[..., Any]] = {
    "max_pool2d": max_pool2d,
    "max_pool2d_vjp": max_pool2d_vjp,
    "avg_pool2d": avg_pool2d,
    "avg_pool2d_vjp": avg_pool2d_vjp,
}
