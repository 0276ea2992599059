"""One NumPy call per op: arithmetic, comparison, reduction, product.

Large results of two arrays of one shape are cut in blocks for the threads and go to reused memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import DTYPES, FLOATS, UFUNCS
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS"]

NUMBERS = tuple(dtype for dtype in DTYPES if dtype != "bool")
_LARGE = 1 << 18
_BLOCK = 1 << 17
_BOOL = np.dtype(bool)
_CONDITIONS = ("greater", "greater_equal", "equal")
# The ufuncs' own methods: a microsecond less than np.sum and np.max.
_add_reduce: Any = np.add.reduce
_maximum_reduce: Any = np.maximum.reduce


def _blocked(function: Callable[..., Any], result: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """``function`` over equal ranges of contiguous arrays, on the threads."""
    flat = [a.reshape(-1) for a in arrays]
    out = result.reshape(-1)

    def run(i: int) -> None:
        part = slice(i * _BLOCK, (i + 1) * _BLOCK)
        function(*[a[part] for a in flat], out=out[part])

    parallel_for(-(-out.size // _BLOCK), run)
    return result


def _is_plain(x: Any, y: Any) -> bool:
    """Whether two large operands can be cut alike: same shape, both in row-major order."""
    return x.shape == y.shape and x.flags.c_contiguous and y.flags.c_contiguous


def _binary(function: np.ufunc, boolean: bool = False) -> Callable[..., Any]:
    def kernel(device: Any, x: np.ndarray, y: np.ndarray, /) -> Any:
        if x.size >= _LARGE and _is_plain(x, y):
            return _blocked(function, empty(x.shape, _BOOL if boolean else x.dtype), x, y)
        with np.errstate(all="ignore"):
            return function(x, y)

    return kernel


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(device: Any, x: np.ndarray, /) -> Any:
        if x.size >= _LARGE and x.flags.c_contiguous:
            return _blocked(function, empty(x.shape, x.dtype), x)
        with np.errstate(all="ignore"):
            return function(x)

    return kernel


def cast(device: Any, x: np.ndarray, /, *, dtype: str) -> Any:
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def sum(device: Any, x: np.ndarray, /, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    with np.errstate(all="ignore"):
        return _add_reduce(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def max(device: Any, x: np.ndarray, /, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    with np.errstate(all="ignore"):
        return _maximum_reduce(x, axis=axis, keepdims=keepdims)


def argmax(device: Any, x: np.ndarray, /, *, axis: int) -> Any:
    return np.argmax(x, axis=axis).astype(np.int32)


def matmul(device: Any, x: np.ndarray, y: np.ndarray, /) -> Any:
    with np.errstate(all="ignore"):
        return np.matmul(x, y)


def sigmoid(device: Any, x: np.ndarray, /) -> Any:
    half = x.dtype.type(0.5)
    with np.errstate(all="ignore"):
        return np.tanh(x * half) * half + half


def relu(device: Any, x: np.ndarray, /) -> Any:
    return np.maximum(x, x.dtype.type(0))


def spike(device: Any, u: np.ndarray, /, *, surrogate: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.greater_equal(u, 0).astype(u.dtype)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **{
        op: (
            _binary(getattr(np, name), name in _CONDITIONS) if arrays == 2 else _unary(getattr(np, name)),
            dtypes,
        )
        for op, (name, arrays, dtypes) in UFUNCS.items()
    },
    "cast": (cast, DTYPES),
    "sum": (sum, NUMBERS),
    "max": (max, NUMBERS),
    "argmax": (argmax, NUMBERS),
    "matmul": (matmul, FLOATS),
    "sigmoid": (sigmoid, FLOATS),
    "relu": (relu, FLOATS),
    "spike": (spike, FLOATS),
}
