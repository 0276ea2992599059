"""Writing files so that they are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grilly_core.errors import ArgumentError, OutputError

__all__ = ["ensure_folder", "write_bytes_atomic", "write_json_atomic"]

_CURES = {
    errno.EACCES: "choose a folder you may write, or change its permissions",
    errno.EPERM: "choose a folder you may write, or change its permissions",
    errno.EROFS: "the file system is read-only; choose a folder on another one",
    errno.ENOSPC: "free some space or choose a folder on another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or choose a folder on another disk",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "a part of the path is a file; choose another path",
    errno.EEXIST: "a part of the path is a file; choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def write_json_atomic(path: str | os.PathLike[str], obj: Any) -> None:
    """Write ``obj`` as indented JSON; the file is replaced whole or left as it was.

    Args:
        path: the file; its folder must exist.
        obj: what ``json.dumps`` takes, and NumPy scalars and arrays.

    Raises:
        ArgumentError: a value JSON cannot hold, NaN and infinity included.
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json_atomic(Path(folder, "m.json"), {"accuracy": np.float32(0.5)})
        ...     print(Path(folder, "m.json").read_text().strip())
        {
          "accuracy": 0.5
        }
    """
    try:
        text = json.dumps(obj, indent=2, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"cannot write {os.fspath(path)} as JSON: {error}; use numbers (not NaN or infinity), text, "
            "lists and dictionaries"
        ) from error
    write_bytes_atomic(path, (text + "\n").encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data``; whatever happens, ``path`` has the old content or the new one, whole.

    The data goes to a temporary file in the same folder, to the disk, and only then under its name. The
    mode is that of any new file (0666 less the umask). A link stays a link: what it points to is replaced.

    Args:
        path: the file; its folder must exist.
        data: its content.

    Raises:
        OutputError: the file cannot be written. The old one is untouched and no temporary file is left.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_bytes_atomic(Path(folder, "b"), b"whole")
        ...     Path(folder, "b").read_bytes(), os.listdir(folder)
        (b'whole', ['b'])
    """
    target = Path(os.path.realpath(path))
    with _output_errors(os.fspath(path)):
        if target.is_dir():
            raise OutputError(f"cannot write {os.fspath(path)}: it is a folder; give the name of a file")
        if target.exists() and not target.is_file():
            # As root, replacing /dev/null would remove the device.
            raise OutputError(
                f"cannot write {os.fspath(path)}: it is not a regular file; give the name of a file"
            )
        temporary = _temporary_in(target.parent)
        try:
            _write_to_disk(temporary, data)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(target.parent)


def _temporary_in(folder: Path) -> Path:
    return folder / f".grilly-{secrets.token_hex(8)}.tmp"


def _write_to_disk(path: Path, data: bytes) -> None:
    # os.open, not tempfile: the kernel then applies the umask, and tempfile would make the file 0600.
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system and its permissions allow it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder one may write but not list
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync folders
            raise
    finally:
        os.close(descriptor)


def ensure_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, with its parents, and check that files can be written there.

    Args:
        path: the folder.

    Returns:
        The folder.

    Raises:
        OutputError: it cannot be made or written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ensure_folder(Path(folder, "runs", "first")).is_dir()
        True
    """
    folder = Path(path)
    with _output_errors(os.fspath(path)):
        folder.mkdir(parents=True, exist_ok=True)
        # A file, not os.access: that says yes to root, and knows nothing of quotas.
        probe = _temporary_in(folder)
        with open(probe, "xb"):
            pass
        os.unlink(probe)
    return folder


@contextlib.contextmanager
def _output_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        cure = _CURES.get(error.errno or 0, "choose another path")
        raise OutputError(f"cannot write {path}: {error.strerror or error}; {cure}") from error
