"""Matrix products: operands may be transposed or broadcast views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray, merge_axes

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_BATCH_AXES = 4


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


def matmul(device: Any, x: DeviceArray, y: DeviceArray, /) -> DeviceArray:
    lead, extents, xb, yb = _batch(x, y)
    rows, inner, columns = x.shape[-2], x.shape[-1], y.shape[-1]
    out: DeviceArray = device.empty((*lead, rows, columns), "float32")
    if not out.size:
        return out
    if not inner:
        zeros: DeviceArray = device.full(out.shape, 0.0, "float32")
        return zeros
    if len(extents) > _BATCH_AXES:
        x, y = device.contiguous(x), device.contiguous(y)
        lead, extents, xb, yb = _batch(x, y)
    fill = _BATCH_AXES - len(extents)
    xs, ys = x.full_strides()[-2:], y.full_strides()[-2:]
    packed = (*extents, *(1,) * fill, *xb, *(0,) * fill, *yb, *(0,) * fill)
    scalars = (out.size, rows, columns, inner, *xs, *ys, *packed)
    device.run_each("matmul-simple", out.size, (x, y), (out,), scalars)
    return out


def _too_many_axes(x: Any, y: Any) -> str | None:
    return "it takes at most four leading axes" if max(x.ndim, y.ndim) > _BATCH_AXES + 2 else None


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {"matmul": (matmul, FLOAT)}
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {"matmul": _too_many_axes}
