"""Ops that move elements: views where strides can say it, a shader where they cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grilly_vulkan.array import DeviceArray, contiguous_strides, merge_axes

__all__ = ["DECLINES", "KERNELS", "STRIDED", "place"]

Shape = tuple[int, ...]

ALL = ("float32", "int32", "uint32", "bool")
_AXES = 8


def reshape(device: Any, x: DeviceArray, /, *, shape: Shape) -> DeviceArray:
    if x.strides is None:
        return x.view(shape)
    if [n for n in shape if n != 1] == [n for n in x.shape if n != 1]:
        # Only axes of extent 1 come or go.
        steps = iter([s for n, s in zip(x.shape, x.strides, strict=True) if n != 1])
        return x.view(shape, tuple([0 if n == 1 else next(steps) for n in shape]))
    plain: DeviceArray = device.contiguous(x)
    return plain.view(shape)


def transpose(device: Any, x: DeviceArray, /, *, axes: Shape) -> DeviceArray:
    strides = x.full_strides()
    return x.view(tuple([x.shape[a] for a in axes]), tuple([strides[a] for a in axes]))


def broadcast_to(device: Any, x: DeviceArray, /, *, shape: Shape) -> DeviceArray:
    if x.shape == shape:
        return x
    lead = len(shape) - len(x.shape)
    strides = tuple([0 if n == 1 else s for n, s in zip(x.shape, x.full_strides(), strict=True)])
    return x.view(shape, (0,) * lead + strides)


def strided_slice(device: Any, x: DeviceArray, /, *, start: Shape, stop: Shape, step: Shape) -> DeviceArray:
    shape = tuple([-(-(b - a) // s) for a, b, s in zip(start, stop, step, strict=True)])
    strides = x.full_strides()
    if 0 in shape:
        empty: DeviceArray = device.empty(shape, x.dtype)
        return empty
    offset = sum([a * s for a, s in zip(start, strides, strict=True)])
    return x.view(shape, tuple([s * k for s, k in zip(strides, step, strict=True)]), offset)


def place(device: Any, x: DeviceArray, out: DeviceArray, start: Sequence[int], step: Sequence[int]) -> None:
    """Write ``x`` (row-major) into every ``step``-th element of ``out`` from ``start`` on."""
    if not x.size:
        return
    whole = contiguous_strides(out.shape)
    target = out.view(x.shape, None, sum([a * s for a, s in zip(start, whole, strict=True)]))
    extents, (strides,) = merge_axes(x.shape, [s * k for s, k in zip(whole, step, strict=True)])
    fill = _AXES - len(extents)
    scalars = (x.size, len(extents), *extents, *(1,) * fill, *strides, *(0,) * fill)
    device.run_each("scatter-strided", x.size, (x,), (target,), scalars)


def pad(
    device: Any, x: DeviceArray, /, *, low: Shape, high: Shape, interior: Shape | None, value: float
) -> DeviceArray:
    between = interior or (0,) * len(x.shape)
    spans = [n + (n - 1) * i if n else 0 for n, i in zip(x.shape, between, strict=True)]
    shape = tuple([a + n + b for a, n, b in zip(low, spans, high, strict=True)])
    out: DeviceArray = device.filled(shape, value, x.dtype)
    place(device, x, out, low, [i + 1 for i in between])
    return out


def concat(device: Any, xs: list[DeviceArray], /, *, axis: int) -> DeviceArray:
    first = xs[0]
    shape = (*first.shape[:axis], sum([x.shape[axis] for x in xs]), *first.shape[axis + 1 :])
    out: DeviceArray = device.empty(shape, first.dtype)
    start, step = [0] * len(shape), [1] * len(shape)
    for x in xs:
        place(device, x, out, start, step)
        start[axis] += x.shape[axis]
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, ALL)
    for kernel in (reshape, transpose, broadcast_to, strided_slice, pad, concat)
}
STRIDED = frozenset({"reshape", "transpose", "broadcast_to", "strided_slice"})


def _too_many_axes(*specs: Any, **attrs: Any) -> str | None:
    shape = specs[0].shape if hasattr(specs[0], "shape") else specs[0][0].shape
    return "it takes at most eight axes" if len(shape) > _AXES else None


DECLINES: dict[str, Callable[..., str | None]] = dict.fromkeys(KERNELS, _too_many_axes)
