"""Kernels that any module with NumPy's interface runs as they stand: written once for NumPy, CuPy and others like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_core.spec import DTYPES, FLOATS

__all__ = ["UFUNCS", "shape_kernels"]

_NUMBERS = tuple(dtype for dtype in DTYPES if dtype != "bool")

UFUNCS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "add": ("add", 2, _NUMBERS),
    "sub": ("subtract", 2, _NUMBERS),
    "mul": ("multiply", 2, _NUMBERS),
    "div": ("divide", 2, FLOATS),
    "maximum": ("maximum", 2, _NUMBERS),
    "minimum": ("minimum", 2, _NUMBERS),
    "greater": ("greater", 2, DTYPES),
    "greater_equal": ("greater_equal", 2, DTYPES),
    "equal": ("equal", 2, DTYPES),
    "neg": ("negative", 1, _NUMBERS),
    "abs": ("absolute", 1, _NUMBERS),
    "exp": ("exp", 1, FLOATS),
    "log": ("log", 1, FLOATS),
    "sqrt": ("sqrt", 1, FLOATS),
    "tanh": ("tanh", 1, FLOATS),
    "atan": ("arctan", 1, FLOATS),
    "floor": ("floor", 1, FLOATS),
    "round": ("rint", 1, FLOATS),
}
"""Elementwise ops: the function of that module that does it, how many arrays it takes, and their dtypes.

Example:
    >>> UFUNCS["atan"]
    ('arctan', 1, ('float32', 'float64'))
"""

Table = dict[str, tuple[Callable[..., Any], tuple[str, ...]]]


def shape_kernels(xp: Any, empty: Callable[[tuple[int, ...], Any], Any]) -> Table:
    """Kernels of the ops that move elements, with the dtypes they take; views where ``xp`` gives views.

    Args:
        xp: the module, or what stands for it.
        empty: ``empty(shape, dtype)`` makes an array with undefined contents.

    Example:
        >>> import numpy as np
        >>> reshape, _ = shape_kernels(np, np.empty)["reshape"]
        >>> reshape(None, np.arange(4), shape=(2, 2)).tolist()
        [[0, 1], [2, 3]]
    """

    def reshape(device: Any, x: Any, /, *, shape: tuple[int, ...]) -> Any:
        return x.reshape(shape)

    def transpose(device: Any, x: Any, /, *, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def broadcast_to(device: Any, x: Any, /, *, shape: tuple[int, ...]) -> Any:
        return xp.broadcast_to(x, shape)

    def strided_slice(
        device: Any, x: Any, /, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
    ) -> Any:
        return x[tuple([slice(a, b, s) for a, b, s in zip(start, stop, step, strict=True)])]

    def pad(
        device: Any,
        x: Any,
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
        out.fill(x.dtype.type(value))
        out[tuple([slice(a, a + n, i + 1) for a, n, i in zip(low, spans, between, strict=True)])] = x
        return out

    def concat(device: Any, xs: list[Any], /, *, axis: int) -> Any:
        extents = list(xs[0].shape)
        extents[axis] = sum([x.shape[axis] for x in xs])
        return xp.concatenate(xs, axis=axis, out=empty(tuple(extents), xs[0].dtype))

    def where(device: Any, condition: Any, x: Any, y: Any, /) -> Any:
        return xp.where(condition, x, y)

    return {
        kernel.__name__: (kernel, DTYPES)
        for kernel in (reshape, transpose, broadcast_to, strided_slice, pad, concat, where)
    }
