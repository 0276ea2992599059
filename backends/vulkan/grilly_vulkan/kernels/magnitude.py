"""What products on matrix units must know of a factor: its largest magnitude, and whether halves hold it exactly."""

from __future__ import annotations

from typing import Any

from grilly_vulkan.array import DeviceArray

__all__ = ["magnitude", "worthwhile"]

_LEAST = 64
_LEAST_WORK = 1 << 24


def worthwhile(device: Any, rows: int, columns: int, inner: int) -> bool:
    """Whether a product should be split in halves for the matrix units: they exist and tiles are well filled."""
    return bool(
        device.split_products
        and min(rows, columns, inner) >= _LEAST
        and rows * columns * inner >= _LEAST_WORK
    )


def magnitude(device: Any, a: DeviceArray) -> DeviceArray | None:
    """Two words for ``a``, kept with its memory; None for a view with gaps, which must be copied first."""
    count = _elements(a)
    holder = a.holder
    if count is None or holder is None:
        return None
    known = holder.magnitude
    if known is not None and known[:2] == (a.addr, count):
        found: DeviceArray = known[2]
        return found
    info: DeviceArray = device.filled((2,), 0, "uint32")
    device.run_each("magnitude", count, (a,), (info,), (count,))
    holder.magnitude = (a.addr, count, info)
    return info


def _elements(a: DeviceArray) -> int | None:
    """How many elements in a row, from the first, the view is made of; None if there are gaps between them."""
    if a.strides is None:
        return a.size
    expected = 1
    for stride, extent in sorted((s, n) for s, n in zip(a.strides, a.shape, strict=True) if s and n > 1):
        if stride != expected:
            return None
        expected *= extent
    return expected
