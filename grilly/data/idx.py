"""The IDX format of MNIST and Fashion-MNIST, plain or gzip."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grilly_core.errors import DataError

__all__ = ["read_idx", "read_idx_folder"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
_AGAIN = "download the file again"


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one IDX file; gzip is recognised by its content.

    Args:
        path: the file.

    Returns:
        The array in the machine's byte order, of the shape and dtype that the file states.

    Raises:
        DataError: missing, unreadable, not IDX, an unknown dtype code, truncated, or too long.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "labels")
        ...     _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([7, 2, 1]))
        ...     read_idx(file)
        array([7, 2, 1], dtype=uint8)
    """
    return _parse(_read(path), os.fspath(path))


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise DataError(f"no such file: {os.fspath(path)}; check the path") from error
    except OSError as error:
        raise DataError(
            f"cannot read {os.fspath(path)}: {error.strerror}; check that it is a file you may read"
        ) from error
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the gzip file {os.fspath(path)} is truncated or damaged ({error}); {_AGAIN}"
        ) from error


def _parse(data: bytes, path: str) -> npt.NDArray[Any]:
    if len(data) < 4:
        raise DataError(
            f"{path} is truncated: {len(data)} bytes, not even the 4 bytes of an IDX magic; {_AGAIN}"
        )
    zeros, code, ndim = data[:2], data[2], data[3]
    if zeros != b"\0\0":
        raise DataError(
            f"{path} is not an IDX file: its magic is 0x{data[:4].hex()}, and IDX starts with 0x0000; "
            "give the files of MNIST or Fashion-MNIST as published (plain or .gz)"
        )
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in _DTYPES)
        raise DataError(
            f"{path} is not a valid IDX file: unknown dtype code 0x{code:02x} (known: {known}); {_AGAIN}"
        )
    body = 4 + 4 * ndim
    if len(data) < body:
        raise DataError(f"{path} is truncated in its header: {len(data)} of {body} bytes; {_AGAIN}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", ndim, 4))
    dtype = np.dtype(_DTYPES[code])
    count = math.prod(shape)
    expected = body + count * dtype.itemsize
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "longer than its header says"
        raise DataError(f"{path} is {state}: {len(data)} bytes, and shape {shape} needs {expected}; {_AGAIN}")
    return np.frombuffer(data, dtype, count, body).reshape(shape).astype(dtype.newbyteorder("="))


def read_idx_folder(folder: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.uint8]]:
    """Read the four files of an MNIST-like data set.

    Args:
        folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two of ``t10k``, each
            plain or ``.gz`` (plain wins). ``train-images.idx3-ubyte``, as some archives spell it, will do.

    Returns:
        uint8 arrays: ``"train images"`` [N, H, W], ``"train labels"`` [N], ``"test images"`` [M, H, W] and
        ``"test labels"`` [M].

    Raises:
        DataError: files missing, unreadable or damaged, of another dtype or rank, or of different counts.
    """
    paths = _find(Path(folder))
    arrays = {}
    for part, path in paths.items():
        array = read_idx(path)
        ndim = 3 if part.endswith("images") else 1
        if array.dtype != np.uint8:
            raise DataError(f"{path} has IDX dtype {array.dtype}, but {part} are unsigned bytes (code 0x08)")
        if array.ndim != ndim:
            raise DataError(
                f"{path} has shape {array.shape}, but {part} have {ndim} axes; are two files swapped?"
            )
        if array.size == 0:
            raise DataError(f"{path} is empty (shape {array.shape}); {_AGAIN}")
        arrays[part] = array
    for part in ("train", "test"):
        images, labels = arrays[f"{part} images"], arrays[f"{part} labels"]
        if len(images) != len(labels):
            raise DataError(
                f"{paths[f'{part} images']} has {len(images)} images but {paths[f'{part} labels']} has "
                f"{len(labels)} labels; take both files from one data set"
            )
    train, test = arrays["train images"], arrays["test images"]
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"images in {folder} differ in size: {train.shape[1:]} for training, {test.shape[1:]} for the "
            "test; take all files from one data set"
        )
    return arrays


def _find(folder: Path) -> dict[str, Path]:
    found, missing = {}, []
    for part, name in _FILES.items():
        spellings = [name, name.replace("-idx", ".idx")]
        candidates = [folder / (spelling + end) for end in ("", ".gz") for spelling in spellings]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            missing.append(name)
        else:
            found[part] = path
    if missing:
        cure = _elsewhere(folder) or "put the four files of MNIST or Fashion-MNIST there"
        raise DataError(f"{folder} has no {', '.join(missing)} (plain or .gz); {cure}")
    return found


def _elsewhere(folder: Path) -> str:
    """A cure where the files lie one or two folders deeper, as in MNIST/raw."""
    for pattern in ("*/train-images*", "*/*/train-images*"):
        for path in sorted(folder.glob(pattern)):
            return f"did you mean {path.parent}?"
    return ""
