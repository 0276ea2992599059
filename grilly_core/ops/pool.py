"""Pooling over two spatial axes; one axis is two with one of extent 1."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.compare import equal, greater, logical_not, logical_or, where
from grilly_core.ops.conv import Pair, out_extents, unwindow, windows
from grilly_core.ops.shape import concat
from grilly_core.tensor import Tensor, full

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "avg_pool2d_vjp", "max_pool2d", "max_pool2d_vjp",
]  # fmt: skip

_ONE = (1, 1)


def _check(x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    if x.ndim != 4:
        raise ShapeError(f"needs [N, C, H, W], got {x.shape}")
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ArgumentError(f"padding {padding} must be at most half the kernel {kernel}")
    return out_extents((x.shape[2], x.shape[3]), kernel, stride, padding)


@composite()
def max_pool2d(
    x: Tensor, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
) -> tuple[Tensor, Tensor]:
    """Largest element of each window, and its place in the window.

    Shapes: x ``[N, C, H, W]``; both results ``[N, C, OH, OW]``. The place (int32, ``row * KW + column``) is the
    first of equal ones; a NaN is larger than any number; padding is smaller.
    """
    _check(x, kernel_size, stride, padding)
    seen = windows(x, kernel_size, stride, padding, _ONE, value=float("-inf"))
    best = seen[0]
    place = full(best.shape, 0, "int32", best._backend)
    for i, part in enumerate(seen[1:], 1):
        # NaN is the only value unequal to itself; the first one stays.
        take = where(
            equal(best, best), logical_or(greater(part, best), logical_not(equal(part, part))), False
        )
        best, place = where(take, part, best), where(take, i, place)
    return best, place


@max_pool2d.defvjp(outputs=(1,), constant=(1,))
def _(ctx: Context, g: Tensor, _: Any) -> Any:
    return max_pool2d_vjp(g, ctx.outputs[1], input_size=ctx.inputs[0].shape[2:], **ctx.attrs)


@composite()
def max_pool2d_vjp(
    g: Tensor, index: Tensor, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair
) -> Tensor:
    """Gradient of ``max_pool2d``: each window's gradient to the element that won it.

    Shapes: g and index ``[N, C, OH, OW]``; result ``[N, C, *input_size]``.
    """
    if g.shape != index.shape or g.shape[2:] != out_extents(input_size, kernel_size, stride, padding):
        raise ShapeError(f"gradient {g.shape} and index {index.shape} do not fit an input of {input_size}")
    parts = [where(equal(index, i), g, 0) for i in range(kernel_size[0] * kernel_size[1])]
    return unwindow(parts, input_size, kernel_size, stride, padding, _ONE)


@max_pool2d_vjp.defvjp(inputs=(1,))
def _(ctx: Context, g: Tensor) -> Any:
    attrs = ctx.attrs
    index = ctx.inputs[1]
    seen = windows(g, attrs["kernel_size"], attrs["stride"], attrs["padding"], _ONE)
    picked = where(equal(index, 0), seen[0], 0)
    for i, part in enumerate(seen[1:], 1):
        picked = picked + where(equal(index, i), part, 0)
    return picked, None


@composite()
def avg_pool2d(x: Tensor, /, *, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Tensor:
    """Sum of each window times ``1 / (KH KW)``; padding counts as zeros.

    Shapes: x ``[N, C, H, W]``; result ``[N, C, OH, OW]``.
    """
    _check(x, kernel_size, stride, padding)
    seen = windows(x, kernel_size, stride, padding, _ONE)
    total = seen[0]
    for part in seen[1:]:
        total = total + part
    return total * (1.0 / (kernel_size[0] * kernel_size[1]))


@avg_pool2d.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return avg_pool2d_vjp(g, input_size=ctx.inputs[0].shape[2:], **ctx.attrs)


@composite()
def avg_pool2d_vjp(
    g: Tensor, /, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair
) -> Tensor:
    """Gradient of ``avg_pool2d``: each window's gradient in equal shares. Result ``[N, C, *input_size]``."""
    if g.shape[2:] != out_extents(input_size, kernel_size, stride, padding):
        raise ShapeError(f"gradient {g.shape} does not fit an input of {input_size}")
    share = g * (1.0 / (kernel_size[0] * kernel_size[1]))
    return unwindow(
        [share] * (kernel_size[0] * kernel_size[1]), input_size, kernel_size, stride, padding, _ONE
    )


@avg_pool2d_vjp.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    attrs = ctx.attrs
    return avg_pool2d(g, kernel_size=attrs["kernel_size"], stride=attrs["stride"], padding=attrs["padding"])


def _segments(x: Tensor, axis: int, count: int) -> Tensor:
    """Means of ``count`` almost equal, possibly overlapping, stretches along one axis."""
    extent = x.shape[axis]
    lead = (slice(None),) * axis
    parts = [
        x[(*lead, slice(i * extent // count, -(-(i + 1) * extent // count)))].mean(axis=axis, keepdims=True)
        for i in range(count)
    ]
    return concat(parts, axis=axis)


@composite()
def adaptive_avg_pool2d(x: Tensor, /, *, output_size: Pair) -> Tensor:
    """Mean of each of ``OH x OW`` stretches of the image.

    Stretch ``i`` of ``O`` covers ``floor(i H / O)`` up to ``ceil((i + 1) H / O)``. Shapes: x ``[N, C, H, W]``; result
    ``[N, C, *output_size]``.
    """
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ShapeError(f"needs [N, C, H, W] with pixels, got {x.shape}")
    if min(output_size) < 1:
        raise ArgumentError(f"output_size {output_size} must be at least 1")
    if output_size == _ONE:
        return x.mean(axis=(2, 3), keepdims=True)
    return _segments(_segments(x, 2, output_size[0]), 3, output_size[1])
