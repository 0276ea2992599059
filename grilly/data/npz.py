"""A user's own arrays, from ``.npz`` and for prediction ``.npy`` and IDX too."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grilly.data.checks import FloatArray, IntArray, as_labels, as_samples, check_lengths, scale
from grilly.data.idx import read_idx
from grilly_core.errors import DataError

__all__ = ["NpzArrays", "load_inputs", "load_labels", "load_npz", "to_float32"]

_NAMES = ("x", "y", "x_test", "y_test", "temporal")
_SAVE = "write it with np.savez(path, x=x, y=y)"
_BROKEN = (ValueError, OSError, EOFError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class NpzArrays:
    """What ``load_npz`` found.

    Attributes:
        x: float32 ``[N, F]`` or ``[N, C, H, W]``; temporal ``[N, T, F]`` or ``[N, T, C, H, W]``.
        y: int32 ``[N]``.
        x_test: the file's own test set, or None.
        y_test: its labels, or None.
        temporal: the second axis of x is time.
    """

    x: FloatArray
    y: IntArray
    x_test: FloatArray | None = None
    y_test: IntArray | None = None
    temporal: bool = False


def load_npz(path: str | os.PathLike[str]) -> NpzArrays:
    """Read a user's data set from an ``.npz`` file.

    Args:
        path: a file of ``np.savez``. Arrays: ``x`` is ``[N, F]``, ``[N, H, W]`` (gets a channel axis) or
            ``[N, C, H, W]``, uint8 (pixels, scaled to [0, 1]), bool or finite floats (used as they are, in
            float32); ``y`` holds integer labels ``[N]``; optional ``x_test`` and ``y_test``; an optional
            scalar ``temporal`` that is true says that the second axis of x is time: ``[N, T, ...]``. Others
            are ignored.

    Raises:
        DataError: missing, unreadable, truncated, not ``.npz``, needing pickle, or arrays that cannot
            be used.

    Example:
        >>> import pathlib, tempfile
        >>> x, y = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(pathlib.Path(folder, "d.npz"), x=x, y=y)
        ...     data = load_npz(pathlib.Path(folder, "d.npz"))
        >>> data.x.shape, data.x.dtype.name, data.y.dtype.name
        ((4, 1, 8, 8), 'float32', 'int32')
    """
    name = os.fspath(path)
    arrays = _read_npz(name, _NAMES)
    for needed in ("x", "y"):
        if needed not in arrays:
            raise DataError(f"{name} has no array {needed!r} ({_has(name)}); {_SAVE}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        there, absent = ("x_test", "y_test") if "x_test" in arrays else ("y_test", "x_test")
        raise DataError(
            f"{name} has {there} but no {absent}; store both, or neither to have a part set aside"
        )
    temporal = _flag(arrays.get("temporal"), name)
    x, y = _pair(arrays, "x", "y", name, temporal)
    if "x_test" not in arrays:
        return NpzArrays(x, y, temporal=temporal)
    x_test, y_test = _pair(arrays, "x_test", "y_test", name, temporal)
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"x and x_test in {name} have samples of different shapes, {x.shape[1:]} and {x_test.shape[1:]}; "
            "store both in the same way"
        )
    kinds = arrays["x"].dtype, arrays["x_test"].dtype
    if (kinds[0] == np.uint8) != (kinds[1] == np.uint8):
        raise DataError(
            f"x and x_test in {name} have dtypes {kinds[0]} and {kinds[1]}, and only uint8 is scaled "
            "to [0, 1]; store both as uint8 or both as float32"
        )
    return NpzArrays(x, y, x_test, y_test, temporal)


def load_inputs(path: str | os.PathLike[str], *, temporal: bool = False) -> FloatArray:
    """Read samples without labels, to predict on.

    Args:
        path: ``.npz`` with ``x`` as for ``load_npz``, a ``.npy`` of x alone, or an IDX file of images.
        temporal: the second axis is time (what the model was trained on). A ``temporal`` in the file must
            agree.

    Returns:
        float32, in the shapes of ``NpzArrays.x``.

    Raises:
        DataError: as ``load_npz``.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(pathlib.Path(folder, "x.npy"), np.ones((2, 3)))
        ...     load_inputs(pathlib.Path(folder, "x.npy")).shape
        (2, 3)
    """
    name = os.fspath(path)
    start = _start(name)
    if start[:2] in (b"\0\0", b"\x1f\x8b"):
        return to_float32(read_idx(name), f"the data of {name}", temporal)
    if start[:6] == b"\x93NUMPY":
        return to_float32(_read_npy(name), f"the array of {name}", temporal)
    arrays = _read_npz(name, ("x", "temporal"))
    if "x" not in arrays:
        raise DataError(f"{name} has no array 'x' ({_has(name)}); write it with np.savez(path, x=x)")
    if "temporal" in arrays and _flag(arrays["temporal"], name) != temporal:
        wanted = "[N, T, ...]" if temporal else "[N, ...] without time"
        raise DataError(
            f"{name} says temporal = {not temporal}, but the model takes {wanted}; store x in that shape"
        )
    return to_float32(arrays["x"], f"x in {name}", temporal)


def load_labels(path: str | os.PathLike[str], samples: int) -> IntArray | None:
    """Read the labels that lie beside the samples ``load_inputs`` read, if there are any.

    Args:
        path: the same file.
        samples: how many were read.

    Returns:
        int32 ``[N]``, or None for an ``.npz`` without ``y`` and for any other file.

    Raises:
        DataError: ``y`` cannot be used or has another length.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(pathlib.Path(folder, "d.npz"), x=np.zeros((2, 3)), y=[1, 0])
        ...     load_labels(pathlib.Path(folder, "d.npz"), 2)
        array([1, 0], dtype=int32)
    """
    name = os.fspath(path)
    if _start(name)[:2] != b"PK":
        return None
    y = _read_npz(name, ("y",)).get("y")
    if y is None:
        return None
    labels = as_labels(y, f"y in {name}")
    if len(labels) != samples:
        raise DataError(
            f"x in {name} has {samples} samples but y has {len(labels)} labels; give one for each"
        )
    return labels


def to_float32(x: Any, what: str, temporal: bool) -> FloatArray:
    """Checked float32 samples with a channel axis where x has bare images.

    Example:
        >>> to_float32(np.zeros((5, 8, 8)), "x", False).shape
        (5, 1, 8, 8)
    """
    raw = as_samples(x, what)
    allowed = (3, 4, 5) if temporal else (2, 3, 4)
    if raw.ndim not in allowed:
        shapes = (
            "[N, T, F], [N, T, H, W] or [N, T, C, H, W]" if temporal else "[N, F], [N, H, W] or [N, C, H, W]"
        )
        cure = (
            "" if temporal or raw.ndim != 5 else "; add temporal=True to np.savez if its second axis is time"
        )
        raise DataError(f"{what} must be {shapes}, got shape {raw.shape}{cure}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(scale(raw), dtype=np.float32)
    if raw.dtype == np.float64:
        values = scale(as_samples(values, f"{what}, as float32,"))
    if raw.ndim == allowed[1]:
        values = values[..., None, :, :]
    return values


def _pair(
    arrays: dict[str, npt.NDArray[Any]], x_name: str, y_name: str, path: str, temporal: bool
) -> tuple[FloatArray, IntArray]:
    x = to_float32(arrays[x_name], f"{x_name} in {path}", temporal)
    y = as_labels(arrays[y_name], f"{y_name} in {path}")
    check_lengths(x, y, f"{x_name} in {path}", y_name)
    return x, y


def _flag(value: npt.NDArray[Any] | None, path: str) -> bool:
    if value is None:
        return False
    if value.size != 1 or value.dtype.kind not in "biu" or int(value.item()) not in (0, 1):
        raise DataError(
            f"temporal in {path} must be one true or false, got {value!r}; use np.savez(..., temporal=True)"
        )
    return bool(value.item())


def _start(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}; check the path") from error
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; check that it is a file you may read"
        ) from error
    if not start:
        raise DataError(f"{path} is empty (0 bytes); {_SAVE}")
    return start


def _read_npz(path: str, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Those arrays of ``names`` that the file has."""
    start = _start(path)
    if start[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        kind = "one bare array (.npy)" if start[:6] == b"\x93NUMPY" else "of another format"
        if start[:2] in (b"\0\0", b"\x1f\x8b"):
            kind = "IDX or gzip (for MNIST files, give their folder)"
        raise DataError(f"{path} is not an .npz file: it is {kind}; {_SAVE}")
    try:
        # np.load(path) would leave the file open when it is no zip file.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: _member(file, name, path) for name in names if name in file.files}
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is truncated or damaged ({error}); write or copy it again") from error


def _member(file: Any, name: str, path: str) -> npt.NDArray[Any]:
    try:
        array = file[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise DataError(
            f"{name} in {path} holds Python objects, which would need pickle, and pickle is never read; "
            "give every sample the same shape, then np.stack them as uint8 or float32"
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{name} in {path} does not fit in memory ({error}); use fewer samples, or uint8 for pixels"
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name} in {path} is not an array; {_SAVE}")
    return array


def _has(path: str) -> str:
    with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
        return f"it has {', '.join(file.files)}" if file.files else "it has none"


def _read_npy(path: str) -> npt.NDArray[Any]:
    try:
        with open(path, "rb") as raw:
            return np.asarray(np.load(raw, allow_pickle=False))
    except _BROKEN as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{path} holds Python objects, which would need pickle, and pickle is never read; "
                "give every sample the same shape, then np.stack them as uint8 or float32"
            ) from error
        raise DataError(f"{path} is truncated or damaged ({error}); write or copy it again") from error
