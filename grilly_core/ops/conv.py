"""Convolution over two spatial axes, with both gradients; one axis is two with one of extent 1."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.elementwise import product_saves
from grilly_core.ops.linalg import matmul
from grilly_core.ops.shape import pad, stack, strided_slice
from grilly_core.tensor import Tensor

__all__ = ["Pair", "conv1d", "conv2d", "conv2d_input_vjp", "conv2d_weight_vjp", "out_extents"]

Pair = tuple[int, int]


def out_extents(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Extents of the positions a window can take.

    Raises:
        ArgumentError: for a stride, dilation or kernel below 1 or a negative padding.
        ShapeError: when the window does not fit the padded input.
    """
    if min(*stride, *dilation, *kernel) < 1 or min(padding) < 0:
        raise ArgumentError(
            f"kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1 and padding {padding} at least 0"
        )
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    room = [n + 2 * p - span for n, p, span in zip(size, padding, spans, strict=True)]
    if min(room) < 0:
        raise ShapeError(f"a window of {tuple(spans)} does not fit an input of {size} padded by {padding}")
    return room[0] // stride[0] + 1, room[1] // stride[1] + 1


def windows(
    x: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, value: float = 0.0
) -> list[Tensor]:
    """For each place in the window, row by row: what all windows see there, ``[N, C, OH, OW]``."""
    oh, ow = out_extents((x.shape[2], x.shape[3]), kernel, stride, padding, dilation)
    if any(padding):
        edge = (0, 0, *padding)
        x = pad(x, low=edge, high=edge, value=value)
    out = []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            out.append(
                strided_slice(
                    x,
                    start=(0, 0, top, left),
                    stop=(*x.shape[:2], top + (oh - 1) * stride[0] + 1, left + (ow - 1) * stride[1] + 1),
                    step=(1, 1, *stride),
                )
            )
    return out


def unwindow(
    parts: list[Tensor], size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """The transpose of :func:`windows`: each part added back where it was seen."""
    height, width = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    total: Tensor | None = None
    for index, part in enumerate(parts):
        top, left = index // kernel[1] * dilation[0], index % kernel[1] * dilation[1]
        bottom = height - top - (part.shape[2] - 1) * stride[0] - 1
        right = width - left - (part.shape[3] - 1) * stride[1] - 1
        spread = pad(
            part,
            low=(0, 0, top, left),
            high=(0, 0, bottom, right),
            interior=(0, 0, stride[0] - 1, stride[1] - 1),
        )
        total = spread if total is None else total + spread
    assert total is not None
    if not any(padding):
        return total
    return strided_slice(
        total,
        start=(0, 0, *padding),
        stop=(*total.shape[:2], padding[0] + size[0], padding[1] + size[1]),
        step=(1, 1, 1, 1),
    )


def _check(x: tuple[int, ...], weight: tuple[int, ...], groups: int) -> None:
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(f"needs input [N, C, H, W] and weight [O, C/groups, KH, KW], got {x} and {weight}")
    if groups < 1 or weight[0] % groups or x[1] != weight[1] * groups:
        raise ShapeError(
            f"input with {x[1]} channels does not fit weight {weight} with groups={groups}: it needs "
            f"{weight[1] * groups} channels and out channels divisible by groups"
        )


@composite()
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    /,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images with kernels, zeros outside the image.

    Shapes: x ``[N, C, H, W]``, weight ``[O, C/groups, KH, KW]``, bias ``[O]``; result ``[N, O, OH, OW]`` with
    ``OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1``.
    """
    _check(x.shape, weight.shape, groups)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"bias {bias.shape} does not fit weight {weight.shape}")
    n, c = x.shape[:2]
    o, cg, kh, kw = weight.shape
    seen = windows(x, (kh, kw), stride, padding, dilation)
    oh, ow = seen[0].shape[2:]
    columns = stack([part.reshape(n, groups, c // groups, oh * ow) for part in seen], axis=3)
    columns = columns.reshape(n, groups, cg * kh * kw, oh * ow)
    out = matmul(weight.reshape(groups, o // groups, cg * kh * kw), columns).reshape(n, o, oh, ow)
    return out if bias is None else out + bias.reshape(1, o, 1, 1)


@conv2d.defvjp(inputs=product_saves)
def _(ctx: Context, g: Tensor) -> Any:
    x, weight = ctx.inputs[:2]
    return (
        conv2d_input_vjp(g, weight, input_size=x.shape[2:], **ctx.attrs) if ctx.needs[0] else None,
        conv2d_weight_vjp(g, x, kernel_size=weight.shape[2:], **ctx.attrs) if ctx.needs[1] else None,
        g.sum(axis=(0, 2, 3)) if ctx.needs[2] else None,
    )


@composite()
def conv2d_input_vjp(
    g: Tensor,
    weight: Tensor,
    /,
    *,
    input_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """Gradient of ``conv2d`` with respect to its input (a transposed convolution).

    Shapes: g ``[N, O, OH, OW]``, weight ``[O, C/groups, KH, KW]``; result ``[N, C, *input_size]``.
    """
    n, o, oh, ow = g.shape
    _, cg, kh, kw = weight.shape
    if (oh, ow) != out_extents(input_size, (kh, kw), stride, padding, dilation) or o != weight.shape[0]:
        raise ShapeError(
            f"gradient {g.shape} does not fit weight {weight.shape} and an input of {input_size}"
        )
    rows = weight.reshape(groups, o // groups, cg * kh * kw).swapaxes(-1, -2)
    columns = matmul(rows, g.reshape(n, groups, o // groups, oh * ow))
    columns = columns.reshape(n, groups * cg, kh * kw, oh, ow)
    parts = [columns[:, :, i] for i in range(kh * kw)]
    return unwindow(parts, input_size, (kh, kw), stride, padding, dilation)


@composite()
def conv2d_weight_vjp(
    g: Tensor, x: Tensor, /, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    """Gradient of ``conv2d`` with respect to its weight.

    Shapes: g ``[N, O, OH, OW]``, x ``[N, C, H, W]``; result ``[O, C/groups, *kernel_size]``.
    """
    n, o, oh, ow = g.shape
    c = x.shape[1]
    if (oh, ow) != out_extents(
        (x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation
    ) or n != x.shape[0]:
        raise ShapeError(f"gradient {g.shape} does not fit an input {x.shape} and a kernel of {kernel_size}")
    outgoing = g.reshape(n, groups, o // groups, oh * ow).transpose(1, 2, 0, 3)
    outgoing = outgoing.reshape(groups, o // groups, n * oh * ow)
    parts = []
    for part in windows(x, kernel_size, stride, padding, dilation):
        seen = part.reshape(n, groups, c // groups, oh * ow).transpose(1, 0, 3, 2)
        parts.append(matmul(outgoing, seen.reshape(groups, n * oh * ow, c // groups)))
    return stack(parts, axis=3).reshape(o, c // groups, *kernel_size)


@conv2d_input_vjp.defvjp(inputs=(0, 1))
def _(ctx: Context, g: Tensor) -> Any:
    outgoing, weight = ctx.inputs
    attrs = {name: ctx.attrs[name] for name in ("stride", "padding", "dilation", "groups")}
    return conv2d(g, weight, None, **attrs), conv2d_weight_vjp(
        outgoing, g, kernel_size=weight.shape[2:], **attrs
    )


@conv2d_weight_vjp.defvjp(inputs=(0, 1))
def _(ctx: Context, g: Tensor) -> Any:
    outgoing, x = ctx.inputs
    attrs = {name: ctx.attrs[name] for name in ("stride", "padding", "dilation", "groups")}
    return conv2d(x, g, None, **attrs), conv2d_input_vjp(outgoing, g, input_size=x.shape[2:], **attrs)


@composite()
def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    /,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """``conv2d`` over one axis: x ``[N, C, L]``, weight ``[O, C/groups, K]``, bias ``[O]``; result ``[N, O, OL]``."""
    if x.ndim != 3 or weight.ndim != 3:
        raise ShapeError(
            f"needs input [N, C, L] and weight [O, C/groups, K], got {x.shape} and {weight.shape}"
        )
    out = conv2d(
        x.expand_dims(2),
        weight.expand_dims(2),
        bias,
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
        groups=groups,
    )
    return out.squeeze(2)
