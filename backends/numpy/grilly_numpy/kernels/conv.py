"""2-D convolution and its gradients as blocked matrix products, written straight into the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.kernels.conv_plan import Array, Block, Pair, Plan

__all__ = ["KERNELS", "conv2d", "conv2d_input_vjp", "conv2d_weight_vjp"]

_PARTIAL_BYTES = 32 << 20  # all partial weight gradients together
_PARTIALS = 8  # and their number


def conv2d(
    device: object,
    x: Array,
    weight: Array,
    bias: Array | None,
    /,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Cross-correlation of images with a kernel.

    Args:
        device: not used.
        x: ``[N, C, H, W]``.
        weight: ``[O, C / groups, KH, KW]``.
        bias: ``[O]`` or None.
        stride: step down and to the right.
        padding: rows and columns of zeros added on each side.
        dilation: distance between taps.
        groups: number of groups that channels are split into.

    Returns:
        ``[N, O, OH, OW]``.

    Example:
        >>> one = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
        >>> conv2d(None, np.ones((1, 2, 3, 3)), np.ones((1, 2, 2, 2)), None, **one).tolist()
        [[[[8.0, 8.0], [8.0, 8.0]]]]
    """
    n, c, *size = x.shape
    o, cg, *kernel = weight.shape
    oh, ow = ((size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1))
    plan = Plan(
        n,
        (c, o),
        (size[0], size[1]),
        (oh, ow),
        (kernel[0], kernel[1]),
        stride,
        padding,
        dilation,
        groups,
        x.itemsize,
    )
    return _forward(plan, x, _taps(weight.reshape(groups, o // groups, cg, *kernel), plan), bias)


def conv2d_input_vjp(
    device: object,
    g: Array,
    weight: Array,
    /,
    *,
    input_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient of :func:`conv2d` with respect to the images.

    Args:
        device: not used.
        g: gradient of the result, ``[N, O, OH, OW]``.
        weight: ``[O, C / groups, KH, KW]``.
        input_size: ``(H, W)`` of the images.
        stride: as in the forward pass.
        padding: as in the forward pass.
        dilation: as in the forward pass.
        groups: as in the forward pass.

    Returns:
        ``[N, C, H, W]``.

    Example:
        >>> one = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
        >>> g, weight = np.ones((1, 1, 1, 1)), np.full((1, 1, 2, 2), 3.0)
        >>> conv2d_input_vjp(None, g, weight, input_size=(2, 2), **one).tolist()
        [[[[3.0, 3.0], [3.0, 3.0]]]]
    """
    n, o, oh, ow = g.shape
    _, cg, kh, kw = weight.shape
    c, out, kernel = cg * groups, (oh, ow), (kh, kw)
    weight = weight.reshape(groups, o // groups, cg, kh, kw)
    if stride == (1, 1) and 4 * c > o:
        # A convolution of g with the kernel turned around: cheaper than scattering, unless c is small.
        turned = dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1]
        plan = Plan(n, (o, c), out, input_size, kernel, stride, turned, dilation, groups, g.itemsize)
        return _forward(plan, g, _taps(weight.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1], plan), None)
    plan = Plan(n, (c, o), input_size, out, kernel, stride, padding, dilation, groups, g.itemsize)
    return _scatter(plan, g, [tap.swapaxes(1, 2) for tap in _taps(weight, plan)])


def conv2d_weight_vjp(
    device: object,
    g: Array,
    x: Array,
    /,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient of :func:`conv2d` with respect to the kernel.

    Args:
        device: not used.
        g: gradient of the result, ``[N, O, OH, OW]``.
        x: ``[N, C, H, W]``.
        kernel_size: ``(KH, KW)``.
        stride: as in the forward pass.
        padding: as in the forward pass.
        dilation: as in the forward pass.
        groups: as in the forward pass.

    Returns:
        ``[O, C / groups, KH, KW]``.

    Example:
        >>> one = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
        >>> g, x = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))
        >>> conv2d_weight_vjp(None, g, x, kernel_size=(2, 2), **one).tolist()
        [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    n, o, oh, ow = g.shape
    _, c, height, width = x.shape
    plan = Plan(
        n, (c, o), (height, width), (oh, ow), kernel_size, stride, padding, dilation, groups, x.itemsize
    )
    separate = 1 if plan.fold else kernel_size[0]
    shape = separate, groups, kernel_size[0] // separate * plan.rows, plan.cout
    nbytes = o * plan.rows * kernel_size[0] * x.itemsize
    tasks = plan.tasks(max(1, min(_PARTIALS, _PARTIAL_BYTES // nbytes)))
    partials = np.zeros((max(1, len(tasks)), *shape), x.dtype)

    def body(i: int, blocks: list[Block], planes: Array) -> None:
        for block in blocks:
            pixels = plan.pixels(g, block).swapaxes(2, 3)
            if not plan.fold:
                # The BLAS is slow where both sides are summed along their rows.
                pixels = np.ascontiguousarray(pixels)
            for total, columns in zip(partials[i], plan.columns(x, block, planes), strict=True):
                product = np.matmul(columns, pixels)
                total += product[0] if len(product) == 1 else product.sum(axis=0)

    plan.run(tasks, x.dtype, body)
    total = partials[0]
    with np.errstate(all="ignore"):
        for partial in partials[1:]:
            total += partial
    if plan.fold:
        gw = total.reshape(groups, *kernel_size, plan.cin, plan.cout).transpose(0, 4, 3, 1, 2)
    else:
        gw = total.reshape(kernel_size[0], groups, kernel_size[1], plan.cin, plan.cout).transpose(
            1, 4, 3, 0, 2
        )
    return np.ascontiguousarray(gw).reshape(o, plan.cin, *kernel_size)


def _taps(weight: Array, plan: Plan) -> list[Array]:
    """``[G, cout, cin, KH, KW]`` as ``[G, cout, KW * cin]`` for each vertical tap, or one with all taps."""
    taps = np.ascontiguousarray(weight.transpose(3, 0, 1, 4, 2))
    matrices = list(taps.reshape(plan.kernel[0], plan.groups, plan.cout, plan.rows))
    return [np.concatenate(matrices, axis=2)] if plan.fold else matrices


def _forward(plan: Plan, x: Array, taps: list[Array], bias: Array | None) -> Array:
    y = np.empty((plan.n, plan.groups * plan.cout, *plan.out), x.dtype)

    def body(i: int, blocks: list[Block], planes: Array) -> None:
        for block in blocks:
            out = plan.pixels(y, block)
            columns = plan.columns(x, block, planes)
            np.matmul(taps[0], columns[0], out=out)
            for tap, matrix in zip(taps[1:], columns[1:], strict=True):
                out += np.matmul(tap, matrix)
            if bias is not None:
                out += bias.reshape(plan.groups, plan.cout, 1)

    plan.run(plan.tasks(), x.dtype, body)
    return y


def _scatter(plan: Plan, g: Array, taps: list[Array]) -> Array:
    """Gradients of the planes by matrix products, added back to where the forward pass read them."""
    gx = np.zeros((plan.n, plan.groups, plan.cin, *plan.size), g.dtype)

    def body(i: int, blocks: list[Block], planes: Array) -> None:
        for block in blocks:
            pixels, into = plan.pixels(g, block), gx[block.first : block.last]
            if plan.direct:
                target = into[..., block.top : block.bottom, :].reshape(*into.shape[:3], -1)
                np.matmul(taps[0], pixels, out=target)
                continue
            part = planes[: len(into)]
            part[...] = 0
            matrices = [np.matmul(tap, pixels) for tap in taps]
            if plan.fold:
                matrices = np.split(matrices[0], plan.kernel[0], axis=2)
            for view, matrix in zip(plan.views(part, block), matrices, strict=True):
                view += matrix
            for index, rows, cols in plan.spans(block):
                into[..., rows, cols] += part[index]

    plan.run(plan.image_tasks(), g.dtype, body)
    return gx.reshape(plan.n, plan.groups * plan.cin, *plan.size)


KERNELS: dict[str, Callable[..., Any]] = {
    "conv2d": conv2d,
    "conv2d_input_vjp": conv2d_input_vjp,
    "conv2d_weight_vjp": conv2d_weight_vjp,
}
