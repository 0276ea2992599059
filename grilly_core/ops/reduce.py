"""Reductions. Axes are tuples counted from the front; ``Tensor.sum`` and its like take any form."""

from __future__ import annotations

import math
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import composite, primitive
from grilly_core.ops.infer import check_axis
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor

__all__ = ["argmax", "max", "mean", "reduced_shape", "sum", "var"]


def reduced_shape(shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """``shape`` with the axes in ``axis`` removed, or made 1."""
    if keepdims:
        return tuple([1 if i in axis else extent for i, extent in enumerate(shape)])
    return tuple([extent for i, extent in enumerate(shape) if i not in axis])


def _check_axes(x: Spec, axis: Any) -> None:
    if not isinstance(axis, tuple) or len(set(axis)) != len(axis):
        raise ArgumentError(f"axis must be a tuple of different axes, got {axis!r}")
    for a in axis:
        check_axis(x, a)
    if x.dtype == "bool":
        raise DTypeError("takes numbers, not bool; convert with x.astype('float32') or 'int32'")


def _sum(x: Spec, *, axis: tuple[int, ...], keepdims: bool) -> Spec:
    _check_axes(x, axis)
    return Spec(reduced_shape(x.shape, axis, keepdims), x.dtype)


def _max(x: Spec, *, axis: tuple[int, ...], keepdims: bool) -> Spec:
    _check_axes(x, axis)
    if any(x.shape[a] == 0 for a in axis):
        raise ShapeError(f"an empty axis of {x.shape} has no largest element")
    return Spec(reduced_shape(x.shape, axis, keepdims), x.dtype)


def _argmax(x: Spec, *, axis: int) -> Spec:
    check_axis(x, axis)
    _max(x, axis=(axis,), keepdims=False)
    return Spec(reduced_shape(x.shape, (axis,), False), "int32")


def _expanded(g: Tensor, ctx: Context) -> Tensor:
    """A reduced tensor with the reduced axes back as 1."""
    x, attrs = ctx.inputs[0], ctx.attrs
    return g if attrs["keepdims"] else g.reshape(reduced_shape(x.shape, attrs["axis"], True))


@primitive(infer=_sum)
def sum(x: Tensor, /, *, axis: tuple[int, ...], keepdims: bool = False) -> Tensor:
    """Sum over ``axis``. An empty sum is 0. The order of additions is the backend's, the same every time."""


@sum.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return _expanded(g, ctx).broadcast_to(ctx.inputs[0].shape)


@primitive(infer=_max)
def max(x: Tensor, /, *, axis: tuple[int, ...], keepdims: bool = False) -> Tensor:
    """Largest element over ``axis``; NaN wins. Equal largest ones share the gradient."""


@max.defvjp(inputs=(0,), outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    x = ctx.inputs[0]
    hit = (x == _expanded(ctx.outputs[0], ctx)).astype(g.dtype)
    return hit * (_expanded(g, ctx) / hit.sum(axis=ctx.attrs["axis"], keepdims=True))


@primitive(infer=_argmax, differentiable=False)
def argmax(x: Tensor, /, *, axis: int) -> Tensor:
    """Index (int32) along ``axis`` of the first largest element; a NaN counts as largest."""


@composite()
def mean(x: Tensor, /, *, axis: tuple[int, ...], keepdims: bool = False) -> Tensor:
    """Mean over ``axis``: the sum times one over the count."""
    count = math.prod([x.shape[a] for a in axis])
    if count == 0:
        raise ShapeError(f"the mean over axes {axis} of shape {x.shape} is of no elements")
    return sum(x, axis=axis, keepdims=keepdims) * (1.0 / count)


@composite()
def var(x: Tensor, /, *, axis: tuple[int, ...], keepdims: bool = False) -> Tensor:
    """Biased variance over ``axis``: the mean of squared distances from the mean."""
    centred = x - mean(x, axis=axis, keepdims=True)
    return mean(centred * centred, axis=axis, keepdims=keepdims)
