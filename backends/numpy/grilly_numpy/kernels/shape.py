"""Ops that move elements: views where NumPy gives views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import DTYPES, shape_kernels
from grilly_numpy.memory import empty

__all__ = ["KERNELS"]


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
    **shape_kernels(np, empty),
    "gather": (gather, DTYPES),
    "scatter_add": (scatter_add, DTYPES),
}
