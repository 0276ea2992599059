"""Indexing: rows by number, their sum back, and what ``tensor[...]`` does."""

from __future__ import annotations

import builtins
import operator
from typing import Any

import numpy as np

from grilly_core.autograd import Context
from grilly_core.errors import DTypeError, ShapeError
from grilly_core.op import primitive
from grilly_core.ops.infer import check_axis, same_dtype
from grilly_core.ops.shape import strided_slice
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor, full, tensor

__all__ = ["gather", "getitem", "scatter_add"]


def _gather(x: Spec, index: Spec, *, axis: int) -> Spec:
    check_axis(x, axis)
    if index.dtype != "int32":
        raise DTypeError(f"the index must be int32, not {index.dtype}")
    if x.shape[axis] == 0 and index.size:
        raise ShapeError(f"axis {axis} of {x.shape} is empty; nothing can be gathered from it")
    return Spec((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)


@primitive(infer=_gather)
def gather(x: Tensor, index: Tensor, /, *, axis: int = 0) -> Tensor:
    """Slices of ``x`` along ``axis`` at the int32 ``index`` (the Gather of ONNX, ``numpy.take``).

    Every index must lie in ``[0, extent)``. Backends in host memory raise otherwise; on others the values
    read are unspecified (memory outside ``x`` is never read).
    """


@gather.defvjp(inputs=(1,))
def _(ctx: Context, g: Tensor) -> Any:
    x, index = ctx.inputs
    zeros = full(x.shape, 0.0, g.spec.dtype, g._backend)
    return scatter_add(zeros, index, g, axis=ctx.attrs["axis"]), None


def _scatter_add(x: Spec, index: Spec, src: Spec, *, axis: int) -> Spec:
    wanted = _gather(x, index, axis=axis)
    if src.shape != wanted.shape:
        raise ShapeError(
            f"src has shape {src.shape}; x {x.shape} and index {index.shape} need {wanted.shape}"
        )
    return Spec(x.shape, same_dtype(x, src))


@primitive(infer=_scatter_add)
def scatter_add(x: Tensor, index: Tensor, src: Tensor, /, *, axis: int = 0) -> Tensor:
    """``x`` with the slices of ``src`` added along ``axis`` at ``index``; repeated indices add up."""


@scatter_add.defvjp(inputs=(1,))
def _(ctx: Context, g: Tensor) -> Any:
    return g, None, gather(g, ctx.inputs[1], axis=ctx.attrs["axis"])


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: ints, slices with positive steps, ``...``, None, and one integer array or Tensor."""
    items = list(index) if isinstance(index, tuple) else [index]
    used = builtins.sum(1 for item in items if item is not None and item is not Ellipsis)
    if builtins.sum(1 for item in items if item is Ellipsis) > 1:
        raise ShapeError("an index can hold only one ellipsis")
    if used > x.ndim:
        raise ShapeError(f"{used} indices for a tensor of shape {x.shape}")
    fill = [slice(None)] * (x.ndim - used)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = fill
    return _basic(x, items)


def _basic(x: Tensor, items: list[Any]) -> Tensor:
    start: list[int] = []
    stop: list[int] = []
    step: list[int] = []
    shape: list[int] = []
    arrays: list[tuple[int, Any]] = []
    for item in items:
        if item is None:
            shape.append(1)
            continue
        extent = x.shape[len(start)]
        if isinstance(item, slice):
            a, b, s = item.indices(extent)
            if s < 1:
                raise ShapeError(
                    "slices with a negative step are not supported; gather with a reversed index"
                )
            b = builtins.max(a, b)
            shape.append(-(-(b - a) // s))
        elif isinstance(item, Tensor | np.ndarray | list):
            a, b, s = 0, extent, 1
            arrays.append((len(shape), item))
            shape.append(extent)
        else:
            a, b, s = _position(item, extent, x)
        start.append(a)
        stop.append(b)
        step.append(s)
    if len(arrays) > 1:
        raise ShapeError("only one array may be used in an index")
    whole = all(a == 0 and b == n and s == 1 for a, b, n, s in zip(start, stop, x.shape, step, strict=True))
    out = x if whole else strided_slice(x, start=tuple(start), stop=tuple(stop), step=tuple(step))
    if tuple(shape) != out.shape:
        out = out.reshape(tuple(shape))
    return _by_array(out, *arrays[0]) if arrays else out


def _position(item: Any, extent: int, x: Tensor) -> tuple[int, int, int]:
    if isinstance(item, bool | np.bool_):
        raise DTypeError("indexing with bool is not supported; use ops.where")
    try:
        position = operator.index(item)
    except TypeError:
        raise DTypeError(
            f"an index must be ints, slices, None, ... or an integer array, got {item!r}"
        ) from None
    if not -extent <= position < extent:
        raise IndexError(f"index {position} is out of range for shape {x.shape}")
    position %= extent
    return position, position + 1, 1


def _by_array(x: Tensor, axis: int, index: Any) -> Tensor:
    if isinstance(index, Tensor):
        return gather(x, index, axis=axis)
    array = np.asarray(index)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"an index array must hold integers, not {array.dtype}; bool masks: use ops.where")
    extent = x.shape[axis]
    if array.size and (array.min() < -extent or array.max() >= extent):
        raise IndexError(f"indices from {array.min()} to {array.max()} are out of range for shape {x.shape}")
    return gather(x, tensor((array % extent).astype(np.int32), backend=x._backend), axis=axis)
