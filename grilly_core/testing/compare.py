"""Arrays compared, and a difference put into words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grilly_core.spec import Spec
from grilly_core.testing.tolerances import EXACT, Tolerance

__all__ = ["difference", "first_difference"]


def _shown(array: np.ndarray) -> str:
    return repr(Spec(array.shape, array.dtype.name))


def difference(
    actual: np.ndarray, wanted: np.ndarray, tolerance: Tolerance = EXACT, scale: np.ndarray | None = None
) -> str | None:
    """What is wrong with ``actual``, or None.

    Args:
        actual: what a backend computed.
        wanted: what is right, of the same shape and dtype.
        tolerance: how far apart floats may be; NaN equals NaN and nothing else.
        scale: what the tolerance is relative to, instead of ``wanted`` itself.

    Example:
        >>> difference(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        '1 of 2 elements differ, most at (1,): 2.0, should be 3.0 (exact)'
    """
    if actual.shape != wanted.shape or actual.dtype != wanted.dtype:
        return f"is {_shown(actual)}, should be {_shown(wanted)}"
    wrong = actual != wanted
    excess = wrong.astype(np.float64)
    if wanted.dtype.kind == "f":
        wrong &= ~(np.isnan(actual) & np.isnan(wanted))
        allowed = tolerance.allowed(wanted, scale)
        with np.errstate(invalid="ignore"):
            excess = np.abs(actual.astype(np.float64) - wanted.astype(np.float64)) - allowed
        wrong &= ~(excess <= 0)
    if not wrong.any():
        return None
    at = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(excess, nan=np.inf), -np.inf)), wrong.shape)
    close = "exact" if tolerance == EXACT else f"tolerance {allowed[at]:.2g}"
    place = tuple(int(i) for i in at)
    return (
        f"{wrong.sum()} of {wrong.size} elements differ, most at {place}: {actual[at].item()}, should be "
        f"{wanted[at].item()} ({close})"
    )


def first_difference(
    what: str,
    actual: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    tolerance: Tolerance = EXACT,
    scales: Sequence[np.ndarray | None] | None = None,
) -> str | None:
    """The first of several results that is wrong, in words, or None."""
    if len(actual) != len(wanted):
        return f"{len(actual)} {what}s, should be {len(wanted)}"
    for i, (one, other) in enumerate(zip(actual, wanted, strict=True)):
        problem = difference(one, other, tolerance, scales[i] if scales else None)
        if problem:
            return f"{what} {i}: {problem}"
    return None
