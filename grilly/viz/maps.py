"""Feature maps side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.viz.axes import axis_or_new
from grilly_core.errors import DTypeError, ShapeError

__all__ = ["feature_maps"]

_GAP = 1


def feature_maps(
    maps: Any, ax: Any = None, *, columns: int | None = None, max_maps: int = 64, cmap: str = "gray"
) -> Any:
    """The channels of a convolution as pictures, in rows from the upper left, on one scale of brightness.

    Args:
        maps: ``[C, H, W]`` or ``[H, W]``; ``[T, C, H, W]`` is averaged over time: firing rates. Of a batch pass one
            sample. A weight ``[out, in, kH, kW]`` is not over time: pass ``weight[:, 0]``.
        ax: a Matplotlib axis; None: of a new figure. ``ax.images[0]`` is what a colour bar needs.
        columns: maps in a row; None: about as many as rows.
        max_maps: of more channels, the first ones are drawn.
        cmap: a colour map of Matplotlib's.

    Returns:
        The axis.

    Raises:
        ShapeError: another number of axes, or nothing to draw.
        DTypeError: not numbers.

    Example:
        >>> import numpy as np
        >>> from grilly import viz
        >>> viz.feature_maps(np.zeros((6, 4, 4)), columns=3).images[0].get_array().shape
        (9, 14)
    """
    array = np.asarray(maps)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"feature_maps draws numbers, got {array.dtype}")
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise ShapeError(
            f"feature_maps takes [H, W], [C, H, W] or [T, C, H, W] that is not empty, got {array.shape}"
        )
    array = array.astype(np.float64)
    array = array.mean(0) if array.ndim == 4 else array.reshape(-1, *array.shape[-2:])
    shown = array[: whole_number(max_maps, "feature_maps: max_maps", 1)]
    count, height, width = shown.shape
    across = math.ceil(math.sqrt(count * height / width)) if columns is None else columns
    across = min(whole_number(across, "feature_maps: columns", 1), count)
    down = math.ceil(count / across)
    tiled = np.full((down * (height + _GAP) - _GAP, across * (width + _GAP) - _GAP), np.nan)
    for i, one in enumerate(shown):
        top, left = i // across * (height + _GAP), i % across * (width + _GAP)
        tiled[top : top + height, left : left + width] = one
    ax = axis_or_new(ax, (4.8, 4.8 * tiled.shape[0] / tiled.shape[1] + 0.3))
    ax.imshow(np.ma.masked_invalid(tiled), cmap=cmap, interpolation="nearest")
    ax.set_axis_off()
    of = "" if count == len(array) else f" of {len(array)}"
    ax.set_title(
        f"{count}{of} maps of {height} x {width}" if len(array) > 1 else f"{height} x {width}", fontsize=9
    )
    return ax
