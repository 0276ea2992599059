"""Axes to draw on, and arrays to draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._extras import import_extra
from grilly_core.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["GREY", "RED", "axis_or_new", "chosen", "names_of", "over_time"]

RED, GREY = "#e45756", "#9a9a9a"


def axis_or_new(ax: Any, size: tuple[float, float]) -> Any:
    """``ax``, or the only axis of a new figure of this size in inches.

    Raises:
        ArgumentError: something else than an axis.
        ConfigError: Matplotlib is not installed.
    """
    if ax is None:
        # Not pyplot: it keeps figures and picks a window system.
        figure = import_extra("matplotlib.figure", "drawing plots").Figure(figsize=size, layout="constrained")
        return figure.add_subplot()
    if not hasattr(ax, "add_collection"):
        raise ArgumentError(
            f"ax must be a Matplotlib axis (e.g. of fig.add_subplot()), got {type(ax).__name__}"
        )
    return ax


def over_time(values: Any, owner: str) -> np.ndarray:
    """``[T, neurons]`` of ``[T, ...]``, as floats."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{owner} draws numbers, got {array.dtype}")
    if array.ndim < 1 or array.size == 0:
        raise ShapeError(f"{owner} takes [T, ...] that is not empty, got {array.shape}")
    return array.reshape(len(array), -1).astype(np.float64)


def chosen(neurons: int, most: int) -> np.ndarray:
    """Indices of at most ``most`` neurons, evenly spread."""
    return np.linspace(0, neurons - 1, min(neurons, most)).round().astype(int)


def names_of(labels: Any, count: int, owner: str) -> list[str]:
    """One name per neuron."""
    names = [str(label) for label in labels]
    if len(names) != count:
        raise ArgumentError(f"{owner}: labels must name {count} neurons, got {len(names)}")
    return names
