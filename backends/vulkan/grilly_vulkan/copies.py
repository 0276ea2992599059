"""How a strided view is made row-major: which shader, over how many workgroups, with which numbers."""

from __future__ import annotations

import functools
from typing import NamedTuple

from grilly_vulkan.array import contiguous_strides, merge_axes
from grilly_vulkan.division import divisor

__all__ = ["Copy", "plan_copy"]

Shape = tuple[int, ...]

_AXES = 8
_TILE = 32
_LEAST = 8  # extents below leave most of a tile empty
_BATCH_AXES = 3
_PER_GROUP = 1024  # of strided-copy.glsl


class Copy(NamedTuple):
    """A dispatch of :meth:`VulkanBackend.run`."""

    shader: str
    groups: int
    scalars: Shape
    constants: Shape


@functools.lru_cache(maxsize=4096)
def plan_copy(shape: Shape, strides: Shape) -> Copy:
    """The copy of a view with at least one element.

    Example:
        >>> plan_copy((64, 128), (1, 64)).shader, plan_copy((64, 128), (256, 1)).shader
        ('transpose', 'strided-copy')
    """
    extents, (steps,) = merge_axes(shape, strides)
    if len(extents) > _AXES:
        raise AssertionError("core never makes views of more than eight axes of different strides")
    return _transpose(extents, steps) or _any(extents, steps)


def _transpose(extents: list[int], steps: list[int]) -> Copy | None:
    """Tiles through shared memory where another axis than the last lies without gaps: both sides move whole lines."""
    if not 2 <= len(extents) <= _BATCH_AXES + 2 or steps[-1] in (0, 1) or 1 not in steps:
        return None
    near, last = steps.index(1), len(extents) - 1
    if min(extents[near], extents[last]) < _LEAST:
        return None
    targets = contiguous_strides(tuple(extents))
    batch = [a for a in range(last) if a != near]
    rows, columns = -(-extents[near] // _TILE), -(-extents[last] // _TILE)
    groups = rows * columns
    for axis in batch:
        groups *= extents[axis]
    fill = _BATCH_AXES - len(batch)
    scalars = (
        *(groups, extents[near], extents[last], steps[last], targets[near], rows, columns),
        *([extents[a] for a in batch] + [1] * fill),
        *([steps[a] for a in batch] + [0] * fill),
        *([targets[a] for a in batch] + [0] * fill),
    )
    return Copy("transpose", groups, scalars, ())


def _any(extents: list[int], steps: list[int]) -> Copy:
    """One element after the other in the order of the result."""
    size = 1
    for extent in extents:
        size *= extent
    axes = max(len(extents), 1)
    fill = _AXES - len(extents)
    numbers = [divisor(n) for n in extents] + [(0, 0)] * fill
    shifts = [sum([numbers[4 * half + i][1] << 8 * i for i in range(4)]) for half in (0, 1)]
    scalars = (
        *(size, *shifts),
        *(extents + [1] * fill),
        *[multiplier for multiplier, _ in numbers],
        *(steps + [0] * fill),
    )
    return Copy("strided-copy", -(-size // _PER_GROUP), scalars, (axes,))
