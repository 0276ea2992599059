"""Moving elements: views where strides can say it, a shader where they cannot."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.backend import word
from grilly_vulkan.division import divisor

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

ALL = ("float32", "int32", "uint32", "bool")
_AXES = 8
_PAD_AXES = 5
_PIECES = 8
_PER_GROUP, _GROUPS = 1024, 65535


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


class _Axis(NamedTuple):
    """One axis of a padded array: elements of x, where they begin, how far apart they are."""

    source: int
    low: int
    high: int
    step: int

    @property
    def extent(self) -> int:
        between = (self.source - 1) * (self.step - 1) if self.source else 0
        return self.low + self.source + between + self.high


def _pad_axes(shape: Shape, low: Shape, high: Shape, step: Shape) -> list[_Axis]:
    """Axes with neighbours made one: an axis without padding is part of the one before if that has no gaps."""
    axes: list[_Axis] = []
    for axis in map(_Axis, shape, low, high, step):
        source, before, after, gap = axis
        if axes and not before and not after and (gap == 1 or source <= 1) and axes[-1].step == 1:
            last = axes[-1]
            axes[-1] = _Axis(last.source * source, last.low * source, last.high * source, 1)
        else:
            axes.append(axis)
    return axes


@functools.lru_cache(maxsize=4096)
def _pad_plan(shape: Shape, low: Shape, high: Shape, step: Shape) -> tuple[Shape, Shape, int] | None:
    """The padded shape, the shader's numbers, its number of axes; None if the shader takes fewer."""
    out = tuple([axis.extent for axis in map(_Axis, shape, low, high, step)])
    axes = _pad_axes(shape, low, high, step) or [_Axis(1, 0, 0, 1)]
    if len(axes) > _PAD_AXES:
        return None
    fill = [0] * (_PAD_AXES - len(axes))
    numbers = [divisor(axis.extent) for axis in axes]
    shifts = sum([shift << 5 * i for i, (_, shift) in enumerate(numbers[1:])])
    columns = (
        [axis.extent for axis in axes],
        [multiplier for multiplier, _ in numbers],
        [axis.source for axis in axes],
        [axis.low for axis in axes],
        [axis.step for axis in axes],
    )
    return out, (shifts, *itertools.chain.from_iterable([*c, *fill] for c in columns)), len(axes)


def pad(
    device: Any, x: DeviceArray, /, *, low: Shape, high: Shape, interior: Shape | None, value: float
) -> DeviceArray:
    step = tuple([i + 1 for i in interior or (0,) * len(x.shape)])
    plan = _pad_plan(x.shape, low, high, step)
    if plan is None:
        # More axes than the shader takes: the first ones, then the others.
        head, none = _PAD_AXES - 1, (0,) * len(x.shape)
        for keep in (slice(0, head), slice(head, None)):
            parts = [list(none) for _ in range(3)]
            for part, given in zip(parts, (low, high, interior or none), strict=True):
                part[keep] = given[keep]
            x = pad(
                device, x, low=tuple(parts[0]), high=tuple(parts[1]), interior=tuple(parts[2]), value=value
            )
        return x
    shape, numbers, axes = plan
    out: DeviceArray = device.empty(shape, x.dtype)
    if out.size:
        filler = word(value, x.dtype)
        device.run_each("pad", out.size, (x,), (out,), (out.size, filler, *numbers), (axes,))
    return out


def concat(device: Any, xs: list[DeviceArray], /, *, axis: int) -> DeviceArray:
    first = xs[0]
    lead, rest = first.shape[:axis], first.shape[axis + 1 :]
    out: DeviceArray = device.empty((*lead, sum([x.shape[axis] for x in xs]), *rest), first.dtype)
    if not out.size:
        return out
    inner = math.prod(rest)
    row, start = out.shape[axis] * inner, 0
    for extent, alike in itertools.groupby(xs, key=lambda x: x.shape[axis]):
        pieces = list(alike)
        run = extent * inner
        for i in range(0, len(pieces) if extent else 0, _PIECES):
            some = pieces[i : i + _PIECES]
            size = some[0].size
            groups = -(-size // _PER_GROUP)
            grid = (min(groups, _GROUPS), len(some), -(-groups // _GROUPS))
            reads = [*some, *[None] * (_PIECES - len(some))]
            device.run("concat", grid, reads, (out,), (size, start, run, *divisor(run), row))
            start += run * len(some)
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
