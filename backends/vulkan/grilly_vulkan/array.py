"""The backend's array handle: where elements lie on the device, under which shape and strides."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grilly_vulkan.memory import Holder, Slot

__all__ = ["DeviceArray", "contiguous_strides", "merge_axes"]

Shape = tuple[int, ...]


class DeviceArray:
    """Elements of 4 bytes each (a bool is a word, 0 or 1); a view shares its holder with other arrays.

    Attributes:
        holder: keeps the memory; None for an array without elements.
        slot: the memory, for hazards.
        addr: device address of the first element.
        shape, dtype, size: as in core.
        strides: per axis, in elements, not negative; None for row-major order without gaps.
    """

    __slots__ = ("__weakref__", "addr", "dtype", "holder", "shape", "size", "slot", "strides")

    def __init__(
        self,
        holder: Holder | None,
        addr: int,
        shape: Shape,
        dtype: str,
        size: int,
        strides: Shape | None = None,
    ) -> None:
        self.holder = holder
        self.slot: Slot | None = holder.slot if holder is not None else None
        self.addr = addr
        self.shape = shape
        self.dtype = dtype
        self.size = size
        self.strides = strides

    @property
    def stored(self) -> int:
        """How many elements lie in memory: a broadcast one counts once."""
        if self.strides is None:
            return self.size
        return math.prod(n for n, stride in zip(self.shape, self.strides, strict=True) if stride or not n)

    def full_strides(self) -> Shape:
        """Strides, written out."""
        return self.strides if self.strides is not None else contiguous_strides(self.shape)

    def view(self, shape: Shape, strides: Shape | None = None, offset: int = 0) -> DeviceArray:
        """Another view of the same memory; ``strides`` that are row-major become None.

        Args:
            shape: its shape.
            strides: its strides in elements, None for row-major.
            offset: elements between this array's first and the view's.
        """
        if strides is not None and is_contiguous(shape, strides):
            strides = None
        return DeviceArray(self.holder, self.addr + 4 * offset, shape, self.dtype, math.prod(shape), strides)

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype}{list(self.shape)} at {self.addr:#x}>"


def contiguous_strides(shape: Shape) -> Shape:
    """Strides of row-major order, in elements.

    Example:
        >>> contiguous_strides((2, 3, 4))
        (12, 4, 1)
    """
    out = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        out[i] = out[i + 1] * shape[i + 1]
    return tuple(out)


def is_contiguous(shape: Shape, strides: Shape) -> bool:
    """Whether these strides are those of row-major order; axes of extent 1 may have any."""
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1:
            if stride != expected:
                return False
            expected *= extent
    return True


def merge_axes(shape: Shape, *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Fewer axes that visit the same elements in the same order: neighbours that are one run in every operand.

    Example:
        >>> merge_axes((2, 3, 4), (12, 4, 1), (0, 0, 0))
        ([24], [[1], [0]])
        >>> merge_axes((2, 3), (3, 1), (1, 0))
        ([2, 3], [[3, 1], [1, 0]])
    """
    extents: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        here = [s[axis] for s in strides]
        if extents and all(m[-1] == extent * s for m, s in zip(merged, here, strict=True)):
            extents[-1] *= extent
            for m, s in zip(merged, here, strict=True):
                m[-1] = s
        else:
            extents.append(extent)
            for m, s in zip(merged, here, strict=True):
                m.append(s)
    return extents, merged
