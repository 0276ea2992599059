"""Checks of arguments that several packages share; each error says whose argument it is."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any

from grilly_core.errors import ArgumentError

__all__ = ["finite_number", "positive_number", "whole_number", "whole_numbers"]


def whole_number(value: Any, name: str, low: int, high: int | None = None) -> int:
    """``value`` as an int between ``low`` and ``high``, both included.

    Raises:
        ArgumentError: not an integer, or outside.

    Example:
        >>> import numpy as np
        >>> whole_number(np.int64(3), "batch_size", 1)
        3
    """
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low or (high is not None and number > high):
        raise ArgumentError(f"{name} must be an integer {bounds}, got {value!r}")
    return number


def whole_numbers(value: Any, count: int, name: str, low: int = 1) -> tuple[int, ...]:
    """An integer of at least ``low`` for each of ``count`` axes, or one for all of them.

    Example:
        >>> whole_numbers(3, 2, "kernel_size"), whole_numbers([1, 2], 2, "stride")
        ((3, 3), (1, 2))
    """
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    try:
        if len(given) == count:
            return tuple([whole_number(extent, name, low) for extent in given])
    except ArgumentError:
        pass
    several = "a tuple of one" if count == 1 else f"{count} of them"
    raise ArgumentError(f"{name} must be an integer of at least {low} or {several}, got {value!r}")


def finite_number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """``value`` as a finite float in ``[low, high)``.

    Raises:
        ArgumentError: not a number, not finite, or outside.

    Example:
        >>> finite_number(2, "tau", low=1.0)
        2.0
    """
    number = float(value) if isinstance(value, Real) else math.nan
    if not (math.isfinite(number) and low <= number < high):
        bounds = f" of at least {low:g}" if low > -math.inf else ""
        bounds += f"{' and' if bounds else ''} below {high:g}" if high < math.inf else ""
        raise ArgumentError(f"{name} must be a finite number{bounds}, got {value!r}")
    return number


def positive_number(value: Any, name: str) -> float:
    """``value`` as a finite float above 0.

    Raises:
        ArgumentError: not a number, not finite, or not above 0.

    Example:
        >>> positive_number(1, "threshold")
        1.0
    """
    number = float(value) if isinstance(value, Real) else math.nan
    if not 0.0 < number < math.inf:
        raise ArgumentError(f"{name} must be a finite number above 0, got {value!r}")
    return number
