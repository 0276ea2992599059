"""Division by a number known on the host, as a product: shaders take indices apart without dividing."""

from __future__ import annotations

import functools

__all__ = ["LIMIT", "divisor"]

LIMIT = 2**31 - 1
"""Largest index that shaders divide, and so the most elements of an array."""


@functools.lru_cache(maxsize=4096)
def divisor(d: int) -> tuple[int, int]:
    """Multiplier and shift that make ``(i * multiplier >> 32) + i >> shift`` equal ``i // d`` for every index.

    Granlund & Montgomery 1994, "Division by invariant integers using multiplication"; ``divide.glsl`` is its other half.

    Args:
        d: at least 1; an extent of 0 counts as 1.

    Example:
        >>> multiplier, shift = divisor(7)
        >>> [((i * multiplier >> 32) + i) >> shift for i in (0, 6, 7, 2**31 - 1)]
        [0, 0, 1, 306783378]
    """
    d = max(d, 1)
    shift = (d - 1).bit_length()
    return (((1 << shift) - d) << 32) // d + 1, shift
