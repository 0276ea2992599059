"""Matrix products: operands may be transposed or broadcast views."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray, merge_axes
from grilly_vulkan.kernels import elementwise, reduce, tiles
from grilly_vulkan.kernels.magnitude import magnitude, worthwhile

__all__ = ["DECLINES", "KERNELS", "STRIDED", "product"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_BATCH_AXES = 3
_SIZES = ((128, 128), (64, 64), (128, 32), (32, 128))


def _batch(x: DeviceArray, y: DeviceArray) -> tuple[Shape, list[int], list[int], list[int]]:
    """The leading shape of the product, its merged extents and both operands' strides over them."""
    rank = max(len(x.shape), len(y.shape)) - 2
    sides = []
    for a in (x, y):
        lead = rank - (len(a.shape) - 2)
        shape = (1,) * lead + a.shape[:-2]
        strides = (0,) * lead + a.full_strides()[:-2]
        sides.append((shape, tuple([0 if n == 1 else s for n, s in zip(shape, strides, strict=True)])))
    (xs, xt), (ys, yt) = sides
    out = tuple([b if a == 1 else a for a, b in zip(xs, ys, strict=True)])
    extents, (xm, ym) = merge_axes(out, xt, yt)
    return out, extents, xm, ym


def _spread(device: Any, a: DeviceArray, lead: Shape) -> DeviceArray:
    """``a`` copied to the leading shape ``lead``, row-major."""
    strides = (0,) * (len(lead) + 2 - len(a.shape)) + a.full_strides()
    shape = (1,) * (len(lead) + 2 - len(a.shape)) + a.shape
    strides = tuple([0 if n == 1 else s for n, s in zip(shape, strides, strict=True)])
    spread: DeviceArray = device.contiguous(a.view((*lead, *a.shape[-2:]), strides))
    return spread


def product(device: Any, x: DeviceArray, y: DeviceArray, bias: DeviceArray | None = None) -> DeviceArray:
    """``x @ y``, plus a bias for each column."""
    lead, extents, xb, yb = _batch(x, y)
    rows, inner, columns = x.shape[-2], x.shape[-1], y.shape[-1]
    shape = (*lead, rows, columns)
    if not math.prod(shape):
        empty: DeviceArray = device.empty(shape, "float32")
        return empty
    if len(extents) > _BATCH_AXES:
        x, y = _spread(device, x, lead), _spread(device, y, lead)
        lead, extents, xb, yb = _batch(x, y)
    fill = _BATCH_AXES - len(extents)
    (xr, xc), (yr, yc) = x.full_strides()[-2:], y.full_strides()[-2:]
    packed = (*extents, *(1,) * fill, *xb, *(0,) * fill, *yb, *(0,) * fill)
    batches = math.prod(lead)
    sizes = (rows, columns, inner, xr, xc, yr, yc, batches)
    if device.simple_products:
        out: DeviceArray = device.empty(shape, "float32")
        count = -(-rows // 4) * -(-columns // 4) * batches
        constants = (True, False, bias is not None)
        device.run_each(
            "matmul-simple", count, (x, y, bias, None, None), (out,), (*sizes, 1, inner, *packed), constants
        )
        return out
    halves = worthwhile(device, rows, columns, inner)
    infos = (magnitude(device, x), magnitude(device, y)) if halves else (None, None)
    if halves and None in infos:
        return product(device, device.contiguous(x), device.contiguous(y), bias)
    plan = tiles.choose(device, tiles.MATRIX if halves else _SIZES, rows, columns, inner, batches, split=True)
    out = device.empty((plan.splits, *shape), "float32")
    scalars = (*sizes, plan.splits, plan.chunk, *packed)
    fused = bias if plan.splits == 1 else None
    constants = (xc <= xr, yr < yc, fused is not None)
    name = "matrix" if halves else plan.name
    device.run(f"matmul-{name}", plan.groups, (x, y, fused, *infos), (out,), scalars, constants)
    if plan.splits == 1:
        return out.view(shape)
    out = reduce.sum(device, out, axis=(0,), keepdims=False)
    return out if bias is None else elementwise.binary(device, elementwise.ADD, out, bias, "float32")


def matmul(device: Any, x: DeviceArray, y: DeviceArray, /) -> DeviceArray:
    return product(device, x, y)


def linear(device: Any, x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None, /) -> DeviceArray:
    inner, outer = x.shape[-1], weight.shape[0]
    rows = device.contiguous(x).view((math.prod(x.shape[:-1]), inner))
    (r, c) = weight.full_strides()
    out = product(
        device, rows, weight.view((inner, outer), (c, r)), None if bias is None else device.contiguous(bias)
    )
    return out.view((*x.shape[:-1], outer))


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "matmul": (matmul, FLOAT),
    "linear": (linear, FLOAT),
}
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {}
