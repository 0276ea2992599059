"""Shape and dtype rules that several ops share."""

from __future__ import annotations

from typing import Any

from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.spec import FLOATS, Spec

__all__ = [
    "broadcast",
    "broadcast_bool",
    "broadcast_shapes",
    "check_axis",
    "float_unary",
    "same",
    "same_dtype",
]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape after NumPy broadcasting.

    Raises:
        ShapeError: naming the shapes.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        for i, extent in enumerate(shape, rank - len(shape)):
            if extent != 1:
                if out[i] not in (1, extent):
                    raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
                out[i] = extent
    return tuple(out)


def same_dtype(*specs: Spec) -> str:
    """The one dtype of all arguments.

    Raises:
        DTypeError: when they differ, with the way out.
    """
    dtypes = {spec.dtype for spec in specs}
    if len(dtypes) != 1:
        raise DTypeError(
            f"dtypes differ: {' and '.join(s.dtype for s in specs)}; convert one with x.astype(...)"
        )
    return specs[0].dtype


def _number(dtype: str) -> str:
    if dtype == "bool":
        raise DTypeError("takes numbers, not bool; convert with x.astype('float32')")
    return dtype


def _float(dtype: str) -> str:
    if dtype not in FLOATS:
        raise DTypeError(f"takes float32 or float64, not {dtype}; convert with x.astype('float32')")
    return dtype


def broadcast(x: Spec, y: Spec) -> Spec:
    """Two arrays of numbers, broadcast."""
    if x.shape == y.shape and x.dtype == y.dtype:
        return Spec(x.shape, _number(x.dtype))
    return Spec(broadcast_shapes(x.shape, y.shape), _number(same_dtype(x, y)))


def broadcast_bool(x: Spec, y: Spec) -> Spec:
    """Two arrays compared, broadcast."""
    same_dtype(x, y)
    return Spec(broadcast_shapes(x.shape, y.shape), "bool")


def float_unary(x: Spec) -> Spec:
    """One float array, same shape out."""
    return Spec(x.shape, _float(x.dtype))


def float_broadcast(x: Spec, y: Spec) -> Spec:
    """Two float arrays, broadcast."""
    return Spec(broadcast_shapes(x.shape, y.shape), _float(same_dtype(x, y)))


def same(x: Spec) -> Spec:
    """One array of numbers, same spec out."""
    return Spec(x.shape, _number(x.dtype))


def check_axis(x: Spec, axis: Any) -> int:
    """``axis`` as given to a core op: an int counted from the front.

    Raises:
        ShapeError: for an axis the array does not have.
        ArgumentError: for something that is not an int.
    """
    if not isinstance(axis, int):
        raise ArgumentError(f"axis must be an int, got {axis!r}")
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"axis {axis} does not exist in shape {x.shape}")
    return axis
