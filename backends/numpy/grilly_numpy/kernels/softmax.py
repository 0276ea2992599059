"""Softmax and its gradients along one axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "log_softmax", "log_softmax_vjp", "softmax", "softmax_vjp"]

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 2 << 20


def softmax(device: object, x: Array, /, *, axis: int) -> Array:
    """``exp(x) / sum(exp(x))`` along ``axis``, safe for large values.

    Args:
        device: not used.
        x: any shape.
        axis: the axis that sums to 1.

    Returns:
        An array of the shape of ``x``.

    Example:
        >>> softmax(None, np.array([1000.0, 1000.0]), axis=0).tolist()
        [0.5, 0.5]
    """

    def block(out: Array, part: Array) -> None:
        np.subtract(part, part.max(axis=-1, keepdims=True), out=out)
        np.exp(out, out=out)
        out /= out.sum(axis=-1, keepdims=True)

    return _along(block, axis, x)


def log_softmax(device: object, x: Array, /, *, axis: int) -> Array:
    """The logarithm of :func:`softmax`, without rounding small probabilities to 0.

    Args:
        device: not used.
        x: any shape.
        axis: the axis whose exponentials sum to 1.

    Returns:
        An array of the shape of ``x``.

    Example:
        >>> log_softmax(None, np.array([0.0, 1000.0]), axis=0).tolist()
        [-1000.0, 0.0]
    """

    def block(out: Array, part: Array) -> None:
        np.subtract(part, part.max(axis=-1, keepdims=True), out=out)
        out -= np.log(np.exp(out).sum(axis=-1, keepdims=True))

    return _along(block, axis, x)


def softmax_vjp(device: object, g: Array, y: Array, /, *, axis: int) -> Array:
    """Gradient of :func:`softmax`: ``y * (g - sum(g * y))``.

    Args:
        device: not used.
        g: gradient of ``y``.
        y: what the forward pass returned.
        axis: as in the forward pass.

    Returns:
        An array of the shape of ``y``.

    Example:
        >>> softmax_vjp(None, np.array([1.0, 0.0]), np.array([0.5, 0.5]), axis=0).tolist()
        [0.25, -0.25]
    """

    def block(out: Array, upstream: Array, result: Array) -> None:
        np.multiply(upstream, result, out=out)
        np.subtract(upstream, out.sum(axis=-1, keepdims=True), out=out)
        out *= result

    return _along(block, axis, g, y)


def log_softmax_vjp(device: object, g: Array, y: Array, /, *, axis: int) -> Array:
    """Gradient of :func:`log_softmax`: ``g - exp(y) * sum(g)``.

    Args:
        device: not used.
        g: gradient of ``y``.
        y: what the forward pass returned.
        axis: as in the forward pass.

    Returns:
        An array of the shape of ``y``.

    Example:
        >>> log_softmax_vjp(None, np.array([1.0, 0.0]), np.log([0.5, 0.5]), axis=0).tolist()
        [0.5, -0.5]
    """

    def block(out: Array, upstream: Array, result: Array) -> None:
        np.exp(result, out=out)
        out *= upstream.sum(axis=-1, keepdims=True)
        np.subtract(upstream, out, out=out)

    return _along(block, axis, g, y)


def _along(block: Callable[..., None], axis: int, *arrays: Array) -> Array:
    """Call ``block(out, *parts)`` on parts ``[rows, n]`` with ``axis`` last; ``out`` as the arrays were."""
    length = arrays[0].shape[axis] if arrays[0].ndim else 1
    moved = [np.moveaxis(a, axis, -1) if a.ndim else a for a in arrays]
    shape = moved[0].shape
    if arrays[0].size == 0:
        return np.empty_like(arrays[0], order="C", subok=False)
    rows = [np.ascontiguousarray(a).reshape(-1, length) for a in moved]
    out = np.empty_like(rows[0])
    step = max(1, _BLOCK_BYTES // (length * out.itemsize))
    count = -(-len(out) // step)

    def body(i: int) -> None:
        at = slice(i * step, (i + 1) * step)
        block(out[at], *(a[at] for a in rows))

    parallel_for(count, body)
    out = out.reshape(shape)
    return np.ascontiguousarray(np.moveaxis(out, -1, axis)) if out.ndim else out


KERNELS: dict[str, Callable[..., Array]] = {
    "softmax": softmax,
    "softmax_vjp": softmax_vjp,
    "log_softmax": log_softmax,
    "log_softmax_vjp": log_softmax_vjp,
}
