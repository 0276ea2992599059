"""Batch normalisation over ``[M, C, L]`` in two streaming passes, a block of samples at a time.

Sums are taken of ``x - centre``. Mostly the centre is zero: the data is then read as it is, which is exact
enough while the mean is of the order of the deviation. Where it is larger, the rounded mean becomes the
centre and what the rounding took from it (``rest``) is carried along, so the result is as good for
100 +- 0.0001 as for 0 +- 1.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from grilly_numpy.kernels.scratch import Scratch
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "batch_norm", "batch_norm_vjp", "normalise", "normalise_vjp"]

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 1 << 20  # of one array; smaller blocks stay closer but change hands between threads too often
_LONG = 16  # from this length on, sum along L first
_PIECE = 512  # longest run added up in the dtype of the data; the runs are added in float64
_ROWS = 256  # the same for sums along M
_FAR = 64.0  # mean ** 2 / var from which the data is centred first


class _Block(NamedTuple):
    rows: slice
    channels: slice


def _blocks(x: Array) -> list[_Block]:
    m, c, length = x.shape
    if x.size == 0:
        return []
    width = max(1, min(c, _BLOCK_BYTES // (length * x.itemsize)))
    height = max(1, min(m, _BLOCK_BYTES // (width * length * x.itemsize)))
    return [
        _Block(slice(row, min(m, row + height)), slice(first, min(c, first + width)))
        for row in range(0, m, height)
        for first in range(0, c, width)
    ]


def _scratch(x: Array, blocks: list[_Block]) -> Scratch:
    size = x[blocks[0]].size if blocks else 0
    return Scratch(lambda: np.empty(size, x.dtype))


def _room(buffer: Array, like: Array) -> Array:
    return buffer[: like.size].reshape(like.shape)


def _column(values: Array, like: Array) -> Array:
    """Per-channel values as ``[C, 1]`` in the dtype of ``like``."""
    return values.astype(like.dtype)[:, None]


def _channel_sums(a: Array, b: Array | None = None) -> Array:
    """Sums of ``a`` or of ``a * b`` over the first and last axis, in float64: ``[M, C, L] -> [C]``."""
    m, c, length = a.shape
    total = np.zeros(c)
    if length < _LONG:
        for first in range(0, m, _ROWS):
            rows = slice(first, first + _ROWS)
            terms = a[rows] if b is None else a[rows] * b[rows]
            total += np.add.reduce(terms, axis=0).sum(axis=-1, dtype=np.float64)
        return total
    piece = _piece(length)
    for first in range(0, length, length if length % piece == 0 else piece):
        stop = first + piece if length % piece else length
        total += _row_sums(a[..., first:stop], None if b is None else b[..., first:stop], piece)
    return total


@functools.cache
def _piece(length: int) -> int:
    """The longest run up to ``_PIECE`` that divides the length, or ``_PIECE`` if all those are short."""
    for piece in range(min(_PIECE, length), _LONG - 1, -1):
        if length % piece == 0:
            return piece
    return _PIECE


def _row_sums(a: Array, b: Array | None, piece: int) -> Array:
    m, c, length = a.shape
    runs = max(1, length // piece)
    if b is None:
        sums = np.matmul(a.reshape(m, c * runs, -1), np.ones(length // runs, a.dtype))
    else:
        sums = np.matmul(a.reshape(m, c * runs, 1, -1), b.reshape(m, c * runs, -1, 1))
    return sums.sum(axis=0, dtype=np.float64).reshape(c, runs).sum(axis=1)


def _centred(x: Array, centre: Array | None, block: _Block, buffer: Array) -> Array:
    part = x[block]
    if centre is None:
        return part
    return np.subtract(part, centre[block.channels, None], out=_room(buffer, part))


def _sums(
    x: Array, centre: Array | None, other: Array | None, blocks: list[_Block], scratch: Scratch
) -> Array:
    """``[3, C]``: sums of ``x - centre``, of it times ``other`` (or itself), and of ``other``.

    With ``other`` and no centre the first row is zero: nothing needs it.
    """
    partial = np.zeros((len(blocks), 3, x.shape[1]))

    def body(i: int) -> None:
        block = blocks[i]
        with scratch.borrow() as buffer:
            part = _centred(x, centre, block, buffer)
            if other is None or centre is not None:
                partial[i, 0, block.channels] = _channel_sums(part)
            if other is None:
                partial[i, 1, block.channels] = _channel_sums(part, part)
            else:
                upstream = other[block]
                partial[i, 1, block.channels] = _channel_sums(part, upstream)
                partial[i, 2, block.channels] = _channel_sums(upstream)

    parallel_for(len(blocks), body)
    return partial.sum(axis=0)


def batch_norm(
    device: object, x: Array, weight: Array | None, bias: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise each channel to mean 0 and variance 1, then scale and shift it.

    Args:
        device: not used.
        x: ``[M, C, L]``.
        weight: ``[C]`` or None for 1.
        bias: ``[C]`` or None for 0.
        eps: added to the variance.

    Returns:
        ``y [M, C, L]``, ``mean [C]`` and the biased ``var [C]``; both are NaN for an empty batch.

    Example:
        >>> y, mean, var = batch_norm(None, np.array([[[1.0, 3.0]]]), None, None, eps=0.0)
        >>> y.tolist(), mean.tolist(), var.tolist()
        ([[[-1.0, 1.0]]], [2.0], [1.0])
    """
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    return y, *normalise(x, weight, bias, eps, y)


def normalise(
    x: Array, weight: Array | None, bias: Array | None, eps: float, y: Array
) -> tuple[Array, Array]:
    """:func:`batch_norm` of a row-major x into ``y``; returns the mean and the variance."""
    blocks = _blocks(x)
    scratch = _scratch(x, blocks)
    centre: Array | None = None
    with np.errstate(all="ignore"):
        count = np.float64(x.size // max(1, x.shape[1]))
        sums = _sums(x, None, None, blocks, scratch) / count
        mean, rest, var = sums[0], sums[0], sums[1] - sums[0] * sums[0]
        if not (mean * mean <= _FAR * var).all():
            centre = mean.astype(x.dtype)
            sums = _sums(x, centre, None, blocks, scratch) / count
            mean, rest, var = centre + sums[0], sums[0], np.maximum(sums[1] - sums[0] * sums[0], 0.0)
        factor = (1.0 if weight is None else weight.astype(np.float64)) / np.sqrt(var + eps)
        factors = _column(factor, x)
        shifts = _column((0.0 if bias is None else bias.astype(np.float64)) - rest * factor, x)

    _apply(x, centre, factors, shifts, blocks, y)
    return mean.astype(x.dtype), var.astype(x.dtype)


def _apply(
    x: Array, centre: Array | None, factors: Array, shifts: Array | None, blocks: list[_Block], y: Array
) -> None:
    """``(x - centre) factors + shifts`` into ``y``, a block at a time on the threads."""

    def body(i: int) -> None:
        block = blocks[i]
        out = y[block]
        source = x[block] if centre is None else np.subtract(x[block], centre[block.channels, None], out=out)
        np.multiply(source, factors[block.channels], out=out)
        if shifts is not None:
            out += shifts[block.channels]

    with np.errstate(all="ignore"):
        parallel_for(len(blocks), body)


def batch_norm_infer(
    device: object,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    /,
    *,
    eps: float,
) -> Array:
    """:func:`batch_norm` with given statistics."""
    x = np.ascontiguousarray(x)
    y = empty(x.shape, x.dtype)
    with np.errstate(all="ignore"):
        factor = x.dtype.type(1.0) / np.sqrt(var + x.dtype.type(eps))
        if weight is not None:
            factor = factor * weight
    _apply(x, mean, factor[:, None], None if bias is None else bias[:, None], _blocks(x), y)
    return y


def moving_average(device: object, old: Array, new: Array, /, *, momentum: float, gain: float) -> Array:
    kind = old.dtype.type
    with np.errstate(all="ignore"):
        return np.asarray(old * kind(1.0 - momentum) + new * kind(momentum * gain))


def batch_norm_vjp(
    device: object, g: Array, x: Array, mean: Array, var: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    """Gradients of :func:`batch_norm`, the mean and the variance taken as functions of ``x``.

    Args:
        device: not used.
        g: gradient of ``y``, ``[M, C, L]``.
        x: input of the forward pass.
        mean: ``[C]``, as the forward pass returned it.
        var: ``[C]``, as the forward pass returned it.
        weight: ``[C]`` or None for 1.
        eps: as in the forward pass.

    Returns:
        Gradients of ``x``, of the weight ``[C]`` and of the bias ``[C]``.

    Example:
        >>> x = np.array([[[0.0, 2.0]]])
        >>> gx, gweight, gbias = batch_norm_vjp(None, x, x, np.ones(1), np.ones(1), None, eps=0.0)
        >>> gx.tolist(), gweight.tolist(), gbias.tolist()
        ([[[0.0, 0.0]]], [2.0], [2.0])
    """
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x)
    gx = np.empty_like(x)
    return gx, *normalise_vjp(g, x, mean, var, weight, eps, gx)


def normalise_vjp(
    g: Array, x: Array, mean: Array, var: Array, weight: Array | None, eps: float, gx: Array
) -> tuple[Array, Array]:
    """:func:`batch_norm_vjp` of row-major g and x into ``gx``; returns the gradients of the weight and of the bias."""
    blocks = _blocks(x)
    scratch = _scratch(x, blocks)
    with np.errstate(all="ignore"):
        count = np.float64(x.size // max(1, x.shape[1]))
        deviation = var.astype(np.float64)
        rest = mean.astype(np.float64)
        centre = None if (rest * rest <= _FAR * deviation).all() else mean
        sums = _sums(x, centre, g, blocks, scratch)
        if centre is not None:
            rest = sums[0] / count
        total = sums[2]
        inverse = 1.0 / np.sqrt(deviation + eps)
        along = (sums[1] - rest * total) * inverse
        outer = inverse if weight is None else weight.astype(np.float64) * inverse
        slope = -outer * inverse * along / count
        outers, slopes = _column(outer, x), _column(slope, x)
        shifts = _column(-outer * total / count - slope * rest, x)

    def body(i: int) -> None:
        block = blocks[i]
        at, out = block.channels, gx[block]
        with scratch.borrow() as buffer:
            source = x[block] if centre is None else np.subtract(x[block], centre[at, None], out=out)
            np.multiply(source, slopes[at], out=out)
            out += np.multiply(g[block], outers[at], out=_room(buffer, out))
            out += shifts[at]

    parallel_for(len(blocks), body)
    return along.astype(x.dtype), total.astype(x.dtype)


KERNELS = {
    kernel.__name__: kernel for kernel in (batch_norm, batch_norm_infer, batch_norm_vjp, moving_average)
}
