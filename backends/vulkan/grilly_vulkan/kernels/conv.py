"""Convolution and its gradients as implicit matrix products: nothing is unfolded in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels import reduce, tiles
from grilly_vulkan.kernels.magnitude import magnitude, worthwhile

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Pair = tuple[int, int]

FLOAT = ("float32",)
_SIZES = ((128, 128), (64, 64), (32, 128))
_SHALLOW, _SHALLOW_SIZES = 64, ((64, 128),)  # sums so short that writing the results takes longer
_WEIGHT_SIZES = ((128, 128), (64, 64), (128, 32))


def _extents(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    h, w = (
        (n + 2 * p - (k - 1) * d - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return h, w


def conv2d(
    device: Any,
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray | None,
    /,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> DeviceArray:
    n, _, h, w = x.shape
    o, cg, kh, kw = weight.shape
    oh, ow = _extents((h, w), (kh, kw), stride, padding, dilation)
    out: DeviceArray = device.empty((n, o, oh, ow), "float32")
    if out.size and not x.size * weight.size:
        raise AssertionError("core refuses windows over nothing")
    return _convolve(
        device,
        x,
        weight,
        bias,
        out,
        (o // groups, cg * kh * kw, groups),
        (kh, kw),
        stride,
        padding,
        dilation,
        False,
    )


def _convolve(
    device: Any,
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray | None,
    out: DeviceArray,
    product: tuple[int, int, int],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    backward: bool,
) -> DeviceArray:
    if not out.size:
        return out
    rows, inner, groups = product
    n, _, oh, ow = out.shape
    pixels = n * oh * ow
    halves = worthwhile(device, rows, pixels, inner)
    infos = (magnitude(device, weight), magnitude(device, x)) if halves else (None, None)
    shallow = inner <= _SHALLOW and not halves and not device.simple_products
    sizes = tiles.MATRIX if halves else _SHALLOW_SIZES if shallow else _SIZES
    plan = tiles.choose(device, sizes, rows, pixels, inner, groups, split=False)
    name = "matrix" if halves else "shallow" if shallow else plan.name
    scalars = (rows, inner, pixels, groups, *x.shape[2:], oh * ow, ow, *padding, *dilation)
    constants = (*kernel, backward, bias is not None, *stride)
    device.run(f"conv-{name}", plan.groups, (weight, x, bias, *infos), (out,), scalars, constants)
    return out


def conv2d_input_vjp(
    device: Any,
    g: DeviceArray,
    weight: DeviceArray,
    /,
    *,
    input_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> DeviceArray:
    o, cg, kh, kw = weight.shape
    og = o // groups
    # [groups, out, in, kernel] to [groups, in, out, kernel]: the roles of the channels are exchanged.
    area = kh * kw
    turned = device.contiguous(weight.view((groups, cg, og, area), (og * cg * area, area, cg * area, 1)))
    out: DeviceArray = device.empty((g.shape[0], groups * cg, *input_size), "float32")
    return _convolve(
        device, g, turned, None, out, (cg, og * area, groups), (kh, kw), stride, padding, dilation, True
    )


def conv2d_weight_vjp(
    device: Any,
    g: DeviceArray,
    x: DeviceArray,
    /,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> DeviceArray:
    n, o, oh, ow = g.shape
    c, (kh, kw) = x.shape[1], kernel_size
    shape = (o, c // groups, kh, kw)
    rows, columns, pixels = o // groups, c // groups * kh * kw, n * oh * ow
    if not pixels * rows * columns:
        zeros: DeviceArray = device.filled(shape, 0.0, "float32")
        return zeros
    halves = worthwhile(device, rows, columns, pixels)
    infos = (magnitude(device, g), magnitude(device, x)) if halves else (None, None)
    sizes = tiles.MATRIX if halves else _WEIGHT_SIZES
    plan = tiles.choose(device, sizes, rows, columns, pixels, groups, split=True)
    name = "matrix" if halves else plan.name
    out: DeviceArray = device.empty((plan.splits, *shape), "float32")
    product = (rows, columns, pixels, groups, *x.shape[2:], oh * ow, ow, *stride, *padding, *dilation)
    scalars = (*product, plan.splits, plan.chunk)
    device.run(f"conv-weight-{name}", plan.groups, (g, x, *infos), (out,), scalars, (kh, kw))
    return out.view(shape) if plan.splits == 1 else reduce.sum(device, out, axis=(0,), keepdims=False)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (conv2d, conv2d_input_vjp, conv2d_weight_vjp)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
