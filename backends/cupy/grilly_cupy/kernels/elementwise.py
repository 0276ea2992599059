"""Ops that CuPy has: arithmetic, comparison, reduction, product, moving elements; arithmetic on large arrays is our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_core.extend import DTYPES, FLOATS, UFUNCS, shape_kernels
from grilly_cupy.kernels import matrix
from grilly_cupy.lazy import cp
from grilly_cupy.source import launch, launch_each

__all__ = ["KERNELS", "rows_block"]

Array = Any
_NUMBERS = tuple(dtype for dtype in DTYPES if dtype != "bool")

# Ops of the kernel ``elementwise/apply``, as it numbers them.
_VECTORISED = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "absolute", "sqrt")
_LARGE = 1 << 18  # elements, from which on it is faster than CuPy's kernels


def _vectorised(op: int, x: Array, y: Array | None) -> Array | None:
    """The result of the kernel; None where the arrays are small, of other dtypes, shapes or orders."""
    if x.size < _LARGE:
        return None
    for array in (x,) if y is None else (x, y):
        aligned = array.flags.c_contiguous and array.data.ptr % 16 == 0
        if not aligned or array.dtype.kind != "f" or array.shape != x.shape:
            return None
    out = cp.empty(x.shape, x.dtype)
    threads = -(-x.size * x.itemsize // 16)
    launch_each("elementwise/apply", x.dtype, threads, (x, y, out, x.size), OP=op)
    return out


def _binary(name: str) -> Callable[..., Any]:
    op = _VECTORISED.index(name) if name in _VECTORISED else None

    def kernel(device: Any, x: Array, y: Array, /) -> Array:
        made = None if op is None else _vectorised(op, x, y)
        return getattr(cp, name)(x, y) if made is None else made

    return kernel


def _unary(name: str) -> Callable[..., Any]:
    op = _VECTORISED.index(name) if name in _VECTORISED else None

    def kernel(device: Any, x: Array, /) -> Array:
        made = None if op is None else _vectorised(op, x, None)
        return getattr(cp, name)(x) if made is None else made

    return kernel


def cast(device: Any, x: Array, /, *, dtype: str) -> Array:
    return x.astype(dtype)


def sum(device: Any, x: Array, /, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    if not axis:
        return x.copy()
    return x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype)


def max(device: Any, x: Array, /, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    if not axis:
        return x.copy()
    if not x.size:
        shape = [1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis]
        return cp.empty(tuple(shape), x.dtype)
    return x.max(axis=axis, keepdims=keepdims)


def rows_block(n: int) -> int:
    """Threads for a row of ``n`` elements that a block works on: a power of two from 32 to 256.

    Example:
        >>> rows_block(10), rows_block(100), rows_block(5000)
        (32, 128, 256)
    """
    return min(256, 1 << (n - 1).bit_length()) if n > 32 else 32


def argmax(device: Any, x: Array, /, *, axis: int) -> Array:
    n, inner = x.shape[axis], 1
    for extent in x.shape[axis + 1 :]:
        inner *= extent
    out = cp.empty((*x.shape[:axis], *x.shape[axis + 1 :]), "int32")
    args = (cp.ascontiguousarray(x), out, n, inner)
    launch("indexing/argmax", x.dtype, (out.size,), (rows_block(n),), args)
    return out


def matmul(device: Any, x: Array, y: Array, /) -> Array:
    made = matrix.matmul(device, x, y)
    return cp.matmul(x, y) if made is None else made


def sigmoid(device: Any, x: Array, /) -> Array:
    half = x.dtype.type(0.5)
    return cp.tanh(x * half) * half + half


def relu(device: Any, x: Array, /) -> Array:
    return cp.maximum(x, x.dtype.type(0))


def spike(device: Any, u: Array, /, *, surrogate: Any) -> Array:
    return cp.greater_equal(u, u.dtype.type(0)).astype(u.dtype)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **{
        op: (_binary(name) if arrays == 2 else _unary(name), dtypes)
        for op, (name, arrays, dtypes) in UFUNCS.items()
    },
    **shape_kernels(cp, lambda shape, dtype: cp.empty(shape, dtype)),
    "cast": (cast, DTYPES),
    "sum": (sum, _NUMBERS),
    "max": (max, _NUMBERS),
    "argmax": (argmax, _NUMBERS),
    "matmul": (matmul, FLOATS),
    "sigmoid": (sigmoid, FLOATS),
    "relu": (relu, FLOATS),
    "spike": (spike, FLOATS),
}
