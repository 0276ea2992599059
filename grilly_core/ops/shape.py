"""Ops that move elements and change none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import composite, primitive
from grilly_core.ops.infer import broadcast_shapes, check_axis, same_dtype
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor, zeros_like

__all__ = [
    "broadcast_to", "concat", "fill_extent", "pad", "reshape", "stack", "strided_slice", "transpose",
]  # fmt: skip


def fill_extent(size: int, shape: Sequence[Any]) -> tuple[int, ...]:
    """``shape`` with its one -1 replaced by what is left of ``size`` elements.

    Raises:
        ShapeError: when nothing fits.
    """
    wanted = tuple([int(extent) for extent in shape])
    if wanted.count(-1) > 1 or any(extent < -1 for extent in wanted):
        raise ShapeError(f"reshape: at most one extent may be -1, got {wanted}")
    if -1 not in wanted:
        return wanted
    rest = math.prod(extent for extent in wanted if extent != -1)
    if rest == 0 or size % rest:
        raise ShapeError(f"reshape: {size} elements do not fit {wanted}")
    return tuple([size // rest if extent == -1 else extent for extent in wanted])


def _reshape(x: Spec, *, shape: tuple[int, ...]) -> Spec:
    out = Spec(shape, x.dtype)
    if out.size != x.size or any(extent < 0 for extent in shape):
        raise ShapeError(f"{x.shape} has {x.size} elements, {shape} has {out.size}")
    return out


@primitive(infer=_reshape)
def reshape(x: Tensor, /, *, shape: tuple[int, ...]) -> Tensor:
    """The same elements in row-major order under another shape."""


@reshape.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return g.reshape(ctx.inputs[0].shape)


def _transpose(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"axes {axes} are not a permutation of the {x.ndim} axes of {x.shape}")
    return Spec(tuple([x.shape[a] for a in axes]), x.dtype)


@primitive(infer=_transpose)
def transpose(x: Tensor, /, *, axes: tuple[int, ...]) -> Tensor:
    """Axes reordered: axis ``i`` of the result is axis ``axes[i]`` of ``x``."""


@transpose.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    axes = ctx.attrs["axes"]
    return transpose(g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__)))


def _broadcast_to(x: Spec, *, shape: tuple[int, ...]) -> Spec:
    if broadcast_shapes(x.shape, shape) != tuple(shape):
        raise ShapeError(f"{x.shape} cannot be broadcast to {shape}")
    return Spec(shape, x.dtype)


@primitive(infer=_broadcast_to)
def broadcast_to(x: Tensor, /, *, shape: tuple[int, ...]) -> Tensor:
    """``x`` repeated along new axes and axes of extent 1."""


@broadcast_to.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return g


def _slice(x: Spec, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]) -> Spec:
    if not len(start) == len(stop) == len(step) == x.ndim:
        raise ShapeError(f"start, stop and step need one entry per axis of {x.shape}")
    for extent, a, b, s in zip(x.shape, start, stop, step, strict=True):
        if not (0 <= a <= b <= extent and s >= 1):
            raise ShapeError(f"slice {a}:{b}:{s} does not lie within an axis of extent {extent}")
    return Spec(tuple([-(-(b - a) // s) for a, b, s in zip(start, stop, step, strict=True)]), x.dtype)


@primitive(infer=_slice)
def strided_slice(
    x: Tensor, /, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
) -> Tensor:
    """``x[start:stop:step]`` on every axis, with ``0 <= start <= stop <= extent`` and ``step >= 1``."""


@strided_slice.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    shape, start, step = ctx.inputs[0].shape, ctx.attrs["start"], ctx.attrs["step"]
    if g.size == 0:
        return zeros_like(g).sum().broadcast_to(shape)
    spans = [(n - 1) * s + 1 for n, s in zip(g.shape, step, strict=True)]
    high = tuple([extent - a - span for extent, a, span in zip(shape, start, spans, strict=True)])
    return pad(g, low=start, high=high, interior=tuple([s - 1 for s in step]))


def _pad(
    x: Spec, *, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...] | None, value: float
) -> Spec:
    between = interior if interior is not None else (0,) * x.ndim
    if not len(low) == len(high) == len(between) == x.ndim:
        raise ShapeError(f"low, high and interior need one entry per axis of {x.shape}")
    if min((*low, *high, *between), default=0) < 0:
        raise ArgumentError("padding cannot be negative; slice instead")
    if x.dtype == "bool" and value not in (0, 1):
        raise DTypeError("a bool tensor is padded with 0 or 1")
    extents = zip(x.shape, low, high, between, strict=True)
    return Spec(tuple([a + n + b + (n - 1) * i if n else a + b for n, a, b, i in extents]), x.dtype)


@primitive(infer=_pad)
def pad(
    x: Tensor,
    /,
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...] | None = None,
    value: float = 0.0,
) -> Tensor:
    """``x`` with ``low`` elements before, ``high`` after and ``interior`` between elements of each axis."""


@pad.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    shape, low = ctx.inputs[0].shape, ctx.attrs["low"]
    step = tuple([i + 1 for i in ctx.attrs["interior"] or (0,) * len(low)])
    stop = tuple([a + (n - 1) * s + 1 if n else a for a, n, s in zip(low, shape, step, strict=True)])
    return strided_slice(g, start=low, stop=stop, step=step)


def _concat(xs: Sequence[Spec], *, axis: int) -> Spec:
    if not xs:
        raise ArgumentError("needs at least one tensor")
    first = xs[0]
    check_axis(first, axis)
    for x in xs:
        if (
            x.ndim != first.ndim
            or x.shape[:axis] + x.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :]
        ):
            raise ShapeError(f"shapes {first.shape} and {x.shape} differ beyond axis {axis}")
    total = 0
    for x in xs:
        total += x.shape[axis]
    return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), same_dtype(*xs))


@primitive(infer=_concat)
def concat(xs: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Tensors of equal shape but for ``axis``, joined along it."""


@concat.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    axis, at, out = ctx.attrs["axis"], 0, []
    step = (1,) * g.ndim
    for x, need in zip(ctx.inputs, ctx.needs, strict=True):
        extent = x.shape[axis]
        start = tuple([at if i == axis else 0 for i in range(g.ndim)])
        stop = tuple([at + extent if i == axis else n for i, n in enumerate(g.shape)])
        out.append(strided_slice(g, start=start, stop=stop, step=step) if need else None)
        at += extent
    return out


@composite()
def stack(xs: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Tensors of equal shape joined along a new axis ``axis``."""
    if not xs:
        raise ArgumentError("needs at least one tensor")
    for x in xs:
        if x.shape != xs[0].shape:
            raise ShapeError(f"shapes {xs[0].shape} and {x.shape} differ")
    return concat([x.expand_dims(axis) for x in xs], axis=axis)
