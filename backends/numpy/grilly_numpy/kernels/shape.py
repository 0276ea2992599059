"""Ops that move elements: views where NumPy gives views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import DTYPES
from grilly_numpy.memory import empty

__all__ = ["KERNELS"]


def reshape(device: Any, x: np.ndarray, /, *, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


def transpose(device: Any, x: np.ndarray, /, *, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def broadcast_to(device: Any, x: np.ndarray, /, *, shape: tuple[int, ...]) -> Any:
    return np.broadcast_to(x, shape)


def strided_slice(
    device: Any, x: np.ndarray, /, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
) -> Any:
    return x[tuple([slice(a, b, s) for a, b, s in zip(start, stop, step, strict=True)])]


def pad(
    device: Any,
    x: np.ndarray,
    /,
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...] | None,
    value: float,
) -> Any:
    between = interior or (0,) * x.ndim
    spans = [n + (n - 1) * i if n else 0 for n, i in zip(x.shape, between, strict=True)]
    out = empty(tuple([a + n + b for a, n, b in zip(low, spans, high, strict=True)]), x.dtype)
    out.fill(value)
    out[tuple([slice(a, a + n, i + 1) for a, n, i in zip(low, spans, between, strict=True)])] = x
    return out


def concat(device: Any, xs: list[np.ndarray], /, *, axis: int) -> Any:
    extents = list(xs[0].shape)
    extents[axis] = sum([x.shape[axis] for x in xs])
    return np.concatenate(xs, axis=axis, out=empty(tuple(extents), xs[0].dtype))


def _in_range(index: np.ndarray, extent: int) -> None:
    if index.size and (index.min() < 0 or index.max() >= extent):
        raise IndexError(
            f"indices from {index.min()} to {index.max()} are out of range for an axis of extent {extent}"
        )


def gather(device: Any, x: np.ndarray, index: np.ndarray, /, *, axis: int) -> Any:
    _in_range(index, x.shape[axis])
    return np.take(x, index, axis=axis)


def scatter_add(device: Any, x: np.ndarray, index: np.ndarray, src: np.ndarray, /, *, axis: int) -> Any:
    _in_range(index, x.shape[axis])
    out = x.copy()
    at: Any = (slice(None),) * axis + (index,)
    np.add.at(out, at, src)
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, DTYPES)
    for kernel in (reshape, transpose, broadcast_to, strided_slice, pad, concat, gather, scatter_add)
}
