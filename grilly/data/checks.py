"""Rules that every data set obeys, and the errors of those that do not."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from grilly._checks import whole_number
from grilly_core.errors import DataError

__all__ = ["as_labels", "as_samples", "check_lengths", "count_classes", "scale", "whole_number"]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.int32]

# Elements looked at in one go, so that a check never doubles the memory of a large data set.
_BLOCK = 1 << 20


def scale(x: npt.NDArray[Any]) -> FloatArray:
    """Floats of the samples ``x``: uint8 is pixels and divided by 255, bool becomes 0 or 1, floats stay.

    Example:
        >>> scale(np.array([0, 51, 255], np.uint8)).tolist()
        [0.0, 0.20000000298023224, 1.0]
    """
    if x.dtype == np.uint8:
        pixels = x.astype(np.float32)
        pixels /= 255
        return pixels
    return x.astype(np.float32) if x.dtype in (np.bool_, np.float16) else x


def as_samples(x: Any, what: str) -> npt.NDArray[Any]:
    """``x`` as an array ``[N, ...]`` of a dtype that ``scale`` takes, without a copy where possible.

    Args:
        x: uint8 pixels, bool, or finite floats, shape ``[N, ...]``.
        what: how to call it in an error, with its file.

    Raises:
        DataError: empty, without an axis of samples or features, of another dtype, NaN or infinite.

    Example:
        >>> as_samples([[0.0, 0.5]], "x").shape
        (1, 2)
    """
    array = _array(x, what)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.bool_, np.float16, np.float32, np.float64):
        raise DataError(
            f"{what} has dtype {array.dtype}; store pixels from 0 to 255 as uint8 (scaled to [0, 1]) "
            "and other values as float32 (used as they are)"
        )
    if array.ndim < 2:
        raise DataError(
            f"{what} must be [samples, features...], got shape {array.shape}; "
            "use x.reshape(-1, 1) where each value is a sample"
        )
    if array.size == 0:
        raise DataError(f"{what} is empty (shape {array.shape}); a data set needs at least one sample")
    _check_finite(array, what)
    return array


def _check_finite(x: npt.NDArray[Any], what: str) -> None:
    if x.dtype.kind != "f":
        return
    rows = max(1, _BLOCK * len(x) // x.size)
    for start in range(0, len(x), rows):
        finite = np.isfinite(x[start : start + rows])
        if not finite.all():
            bad = start + int(finite.reshape(len(finite), -1).all(axis=1).argmin())
            raise DataError(
                f"{what} holds NaN or infinity, first in sample {bad}; "
                "remove those samples or replace the values, for example with np.nan_to_num(x)"
            )


def as_labels(y: Any, what: str, *, classes: int | None = None) -> IntArray:
    """``y`` as int32 class numbers ``[N]``.

    Args:
        y: integers from 0, shape ``[N]``.
        what: how to call it in an error, with its file.
        classes: their number; None checks only that none is negative.

    Raises:
        DataError: empty, not one axis, not integers, negative, or ``classes`` and above.

    Example:
        >>> as_labels([0, 2, 1], "y", classes=3)
        array([0, 2, 1], dtype=int32)
    """
    array = _array(y, what)
    if array.ndim != 1:
        cure = (
            "use y.argmax(axis=1) for one-hot rows"
            if array.ndim == 2 and array.shape[1] > 1
            else "use y.ravel()"
        )
        raise DataError(
            f"{what} must be one class number for each sample, shape [N]; got {array.shape}; {cure}"
        )
    if array.size == 0:
        raise DataError(f"{what} is empty; a data set needs at least one sample")
    if array.dtype.kind not in "iu":
        raise DataError(
            f"{what} must be integer class numbers, got dtype {array.dtype}; use y.astype('int32') where "
            "they are whole numbers, np.unique(y, return_inverse=True)[1] where they are names"
        )
    high = np.iinfo(np.int32).max if classes is None else classes - 1
    outside = (array < 0) | (array > high)
    if outside.any():
        bad = int(outside.argmax())
        raise DataError(
            f"{what} has the label {array[bad]} at sample {bad}, out of range 0 to {high}; number the "
            "classes from 0 without gaps: np.unique(y, return_inverse=True)[1]"
        )
    return array.astype(np.int32, copy=False)


def _array(value: Any, what: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(
            f"{what} is not one array ({error}); give every sample the same shape, then np.stack them"
        ) from error
    if array.dtype.hasobject:
        raise DataError(
            f"{what} holds Python objects (dtype {array.dtype}); give every sample the same shape, "
            "then np.stack them as uint8 or float32"
        )
    return array


def check_lengths(x: npt.NDArray[Any], y: npt.NDArray[Any], what_x: str, what_y: str) -> None:
    """Raise DataError unless there is one label for each sample.

    Example:
        >>> check_lengths(np.zeros((2, 3)), np.zeros(2), "x", "y")
    """
    if len(x) != len(y):
        raise DataError(
            f"{what_x} has {len(x)} samples but {what_y} has {len(y)} labels; give one label for each sample"
        )


def count_classes(what: str, *labels: IntArray) -> int:
    """The number of classes, which is the largest label plus one.

    Raises:
        DataError: more classes than samples: the labels are numbers of another kind.

    Example:
        >>> count_classes("y", np.array([0, 1, 1], np.int32), np.array([2], np.int32))
        3
    """
    classes = max(int(y.max()) for y in labels) + 1
    samples = sum(len(y) for y in labels)
    if classes > samples:
        raise DataError(
            f"{what} has the label {classes - 1}, out of range for {samples} samples (labels are numbers "
            "from 0 to classes - 1); number the classes from 0 without gaps: "
            "np.unique(y, return_inverse=True)[1]"
        )
    return classes
