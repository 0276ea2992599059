"""How reductions are spread over a device, the same way every time.

A workgroup of 256 is ``width`` results of ``depth`` lanes each. Lanes lie along what is reduced or results side by side,
whichever makes neighbouring invocations read neighbours. Few results of many elements are split in chunks, whose results
a second dispatch reduces.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from grilly_vulkan.array import contiguous_strides, merge_axes
from grilly_vulkan.division import divisor

__all__ = ["Plan", "lanes", "plan", "spread"]

Shape = tuple[int, ...]

_AXES = 6  # that the shader takes, kept and reduced together
_RUN = 32  # elements side by side that make a full line of memory
_GROUPS = 2048  # workgroups that fill a large device
_EACH = 4  # loads that an invocation has in flight
_LEAST = 32  # elements of an invocation from which a second dispatch pays


def lanes(results: int, count: int, along: bool) -> int:
    """Log2 of how many lanes of a workgroup share one result.

    Args:
        results: how many there are.
        count: elements of each.
        along: whether neighbouring lanes read neighbours; else neighbouring results do.

    Example:
        >>> lanes(1, 10**6, True), lanes(10**6, 10, True), lanes(10**6, 10**6, False), lanes(10, 10**6, False)
        (8, 2, 3, 4)
    """
    most = 8 if along else 8 - (min(results, _RUN) - 1).bit_length()
    return min(most, (-(-count // _EACH) - 1).bit_length())


def spread(results: int, count: int, depth: int) -> tuple[int, int, int]:
    """Workgroups in all, chunks of each result, elements of a chunk; ``depth`` is the logarithm of :func:`lanes`.

    Example:
        >>> spread(1, 100, 5), spread(1, 10**8, 8), spread(10**6, 1000, 3)
        ((1, 1, 100), (2035, 2035, 49152), (31250, 1, 1000))
    """
    tiles = -(-results // (256 >> depth))
    step = _EACH << depth
    splits = max(1, min(_GROUPS // tiles, count // (_LEAST << depth)))
    chunk = count if splits == 1 else -(-count // (splits * step)) * step
    splits = -(-count // chunk)
    return tiles * splits, splits, chunk


class Plan(NamedTuple):
    """What to do with a shape, strides and axes.

    Attributes:
        first: axes to reduce before the others; then the rest of this does not count.
        copy: whether to make the array row-major before; the same.
        shape: of the results as they lie in memory.
        strides: of the results, an entry for every axis (0 for reduced ones and those where x is broadcast).
        n, terms: results, and elements of each.
        splits: chunks of each result.
        groups, scalars, along, axes: of the dispatch.
    """

    first: Shape = ()
    copy: bool = False
    shape: Shape = ()
    strides: Shape = ()
    n: int = 1
    terms: int = 1
    splits: int = 1
    groups: int = 1
    scalars: Shape = ()
    along: bool = True
    axes: int = 1


@functools.lru_cache(maxsize=4096)
def plan(shape: Shape, strides: Shape, axis: Shape) -> Plan:
    """How to reduce the axes in ``axis`` of a view that has elements."""
    # The farthest apart come first, before them what is broadcast.
    order = sorted([i for i, n in enumerate(shape) if n > 1], key=lambda i: (strides[i] > 0, -strides[i]))
    over = [i for i in order if i in axis]
    kept = [i for i in order if i not in axis and strides[i]]
    reduced, (steps,) = merge_axes(tuple([shape[i] for i in over]), [strides[i] for i in over])
    inside, (kept_steps,) = merge_axes(tuple([shape[i] for i in kept]), [strides[i] for i in kept])
    n, count = math.prod(inside), math.prod(reduced)
    if len(reduced) + len(inside) > _AXES:
        if strides != contiguous_strides(shape):
            return Plan(copy=True)
        return Plan(first=(over[0],))
    along = not inside or (bool(reduced) and 0 < steps[-1] < kept_steps[-1])
    if along and inside and reduced[-1] < _RUN <= count // reduced[-1]:
        # Short runs: first across them, where whole lines of memory can be read.
        return Plan(first=_before_last_run(over, shape, strides))
    results = tuple([shape[i] for i in kept])
    places = dict(zip(kept, contiguous_strides(results), strict=True))
    depth = lanes(n, count, along)
    groups, splits, chunk = spread(n, count, depth)
    scalars = (n, count, chunk, depth, len(inside), *_axes(reduced or [1], steps or [0], inside, kept_steps))
    laid = tuple([places.get(i, 0) for i in range(len(shape))])
    axes = max(len(reduced), 1)
    return Plan((), False, results, laid, n, count, splits, groups, scalars, along, axes)


def _before_last_run(over: list[int], shape: Shape, strides: Shape) -> Shape:
    """The axes in ``over`` but for the last ones, which are one run."""
    end = len(over) - 1
    while end and strides[over[end - 1]] == shape[over[end]] * strides[over[end]]:
        end -= 1
    return tuple(over[:end])


def _axes(reduced: list[int], steps: list[int], inside: list[int], kept_steps: list[int]) -> Shape:
    """The axes as the shader takes them: shifts and multipliers that divide by extents, extents, strides."""
    fill = _AXES - len(reduced) - len(inside)
    extents = [*reduced, *inside, *[1] * fill]
    numbers = [divisor(extent) for extent in extents]
    shifts = sum([shift << 5 * i for i, (_, shift) in enumerate(numbers)])
    multipliers = [multiplier for multiplier, _ in numbers]
    return (shifts, *extents, *multipliers, *steps, *kept_steps, *[0] * fill)
