"""Files that are either whole or not there: safetensors, JSON, bytes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from grilly._atomic import ensure_folder, write_bytes_atomic, write_json_atomic
from grilly._extras import import_extra
from grilly_core import __version__
from grilly_core.errors import ArgumentError, CheckpointError

__all__ = ["ensure_folder", "load_arrays", "save_arrays", "write_bytes_atomic", "write_json_atomic"]

Array: TypeAlias = npt.NDArray[Any]
StrPath: TypeAlias = str | os.PathLike[str]

FORMAT = "grilly"
_DTYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64",
}  # fmt: skip
_MAX_HEADER = 100_000_000  # safetensors takes no longer one


def save_arrays(
    path: StrPath, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays to a safetensors file, which is replaced whole or left as it was.

    The same arrays and metadata give the same bytes.

    Args:
        path: the file; its folder must exist.
        arrays: bool, integer or float arrays of any shape and memory layout.
        metadata: text by name. ``format = "grilly"`` and ``version`` are added.

    Raises:
        ArgumentError: a name, array or metadata entry that the file cannot hold.
        OutputError: the file cannot be written.
        ConfigError: safetensors is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "a.safetensors")
        ...     save_arrays(file, {"w": np.eye(2, 3).T}, {"note": "transposed"})
        ...     arrays, metadata = load_arrays(file, require_grilly=True)
        >>> arrays["w"].shape, metadata["note"], metadata["format"]
        ((3, 2), 'transposed', 'grilly')
    """
    library = import_extra("safetensors.numpy", f"writing {os.fspath(path)}")
    prepared = {name: _prepare(name, array) for name, array in arrays.items()}
    data = library.save(prepared, _stamped(metadata or {}))
    write_bytes_atomic(path, _ordered(data))


def _prepare(name: Any, array: Any) -> Array:
    if not isinstance(name, str) or name == "__metadata__" or not _is_unicode(name):
        raise ArgumentError(f"{name!r} cannot name an array: use valid text other than '__metadata__'")
    values = np.asarray(array)
    if values.dtype.name not in _DTYPES:
        raise ArgumentError(
            f"array {name!r} has dtype {values.dtype}, which a safetensors file cannot hold; "
            "convert it to bool, an integer or float32/float64"
        )
    # safetensors 0.8 writes the buffer of any other layout as if it were C order, silently. (Not
    # np.ascontiguousarray: that gives a 0-d array an axis.)
    return np.asarray(values, dtype=values.dtype.newbyteorder("="), order="C")


def _stamped(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ArgumentError(
                f"metadata entry {key!r} must be text, got {value!r}; use str() or json.dumps()"
            )
        if not _is_unicode(key + value):
            raise ArgumentError(f"metadata entry {key!r} is not valid Unicode: {value!r}")
    if metadata.get("format", FORMAT) != FORMAT:
        raise ArgumentError(
            f"metadata key 'format' is always {FORMAT!r}, got {metadata['format']!r}; use another key"
        )
    return {**metadata, "format": FORMAT, "version": __version__}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ordered(data: bytes) -> bytes:
    """The file with its metadata sorted: safetensors writes it in an order that changes from run to run."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(data)[8 + size :]))


def load_arrays(path: StrPath, *, require_grilly: bool = False) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: the file.
        require_grilly: refuse a file that grilly did not write.

    Returns:
        The arrays by name (sorted; C-contiguous and writable) and the metadata, which may be empty.

    Raises:
        CheckpointError: missing, unreadable, truncated, of another format, or with a dtype NumPy has not.
        ConfigError: safetensors is not installed.

    Example:
        >>> load_arrays("nowhere.safetensors")
        Traceback (most recent call last):
        grilly_core.errors.CheckpointError: no such file: nowhere.safetensors; check the path
    """
    name = os.fspath(path)
    library = import_extra("safetensors.numpy", f"reading {name}")
    data = _read(name)
    error_type = import_extra("safetensors", f"reading {name}").SafetensorError
    try:
        arrays = library.load(data)
    except error_type as error:
        raise CheckpointError(f"{name} {_diagnosis(data)} ({error})") from error
    except KeyError as error:
        raise CheckpointError(
            f"{name} holds arrays of dtype {error.args[0]}, which NumPy has not; convert them to F32 first"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.get("__metadata__") or {}
    if require_grilly and metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{name} was not written by grilly (format {metadata.get('format')!r} in its metadata); "
            "give a file that grilly train or grilly.save wrote"
        )
    return dict(sorted(arrays.items())), metadata


def _read(path: str) -> bytes:
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise CheckpointError(f"{path} is a folder; give the .safetensors file in it")
        if not stat.S_ISREG(kind):
            raise CheckpointError(f"{path} is not a regular file; give a .safetensors file")
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"no such file: {path}; check the path") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check that you may read it") from error


def _diagnosis(data: bytes) -> str:
    """What is wrong with a file that safetensors refuses, and the cure."""
    again = "use an earlier checkpoint, or copy the file again"
    if not data:
        return f"is empty (0 bytes); {again}"
    foreign = {
        b"\x80": "a pickle",
        b"PK": "a zip file, perhaps .npz or a PyTorch model",
        b"\x93NUMPY": "a .npy file",
    }
    for start, kind in foreign.items():
        if len(data) > 8 and data.startswith(start) and data[8:9] != b"{":
            return f"is not a safetensors file: it looks like {kind}; give a file that grilly wrote"
    size = int.from_bytes(data[:8], "little")
    if len(data) > 8 and (data[8:9] != b"{" or size > _MAX_HEADER):
        return "is not a safetensors file; give a file that grilly wrote"
    if len(data) < 8 + size:
        return f"is truncated in its header, after {len(data)} bytes; {again}"
    try:
        header = json.loads(data[8 : 8 + size])
        end = 8 + size + max(
            (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return f"is damaged in its header; {again}"
    if len(data) < end:
        return f"is truncated: {len(data)} of {end} bytes; {again}"
    return f"is damaged; {again}"
