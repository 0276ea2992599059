"""Index arithmetic of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

__all__ = ["span"]


def span(size: int, count: int, offset: int, stride: int) -> tuple[slice, slice]:
    """Window positions whose tap lies inside the input, and the input positions it reads there.

    Args:
        size: length of the input.
        count: number of window positions.
        offset: what the tap reads at position 0; negative in the padding.
        stride: step from one position to the next.

    Returns:
        A slice of ``range(count)`` and the slice of the input of the same length.

    Example:
        >>> span(5, 3, -1, 2)
        (slice(1, 3, None), slice(1, 4, 2))
    """
    first = min(count, max(0, -(offset // stride)))
    last = max(first, min(count, (size - 1 - offset) // stride + 1))
    if last == first:
        return slice(first, first), slice(0, 0, stride)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)
