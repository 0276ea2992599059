"""Files that are whole or not there, and what is said where they cannot be written."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly import _atomic
from grilly.io import ensure_folder, save_arrays, write_bytes_atomic, write_json_atomic
from grilly_core.errors import ArgumentError, OutputError


def refusal(code: int) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def test_mode_respects_the_umask(tmp_path: Path, umask: int) -> None:
    write_bytes_atomic(tmp_path / "a", b"1")
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o666 & ~umask


def test_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    for content in (b"old", b"new", b""):
        write_bytes_atomic(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content and os.listdir(tmp_path) == ["a"]
    write_bytes_atomic(tmp_path / ("n" * 255), b"longest name")


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bytes_atomic("a", b"1")
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    write_bytes_atomic(tmp_path / "link", b"1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "file").read_bytes() == b"1"


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "cannot write .*a: No space left on device; free some space"),
        (errno.EACCES, "Permission denied; choose a folder you may write"),
        (errno.EROFS, "Read-only file system; .*read-only; choose a folder"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EIO, "cannot write .*a: .*; choose another path"),
    ],
)
def test_a_failed_write_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, words: str
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(_atomic.os, function, refusal(code))
    with pytest.raises(OutputError, match=words):
        save_arrays(tmp_path / "a", {"w": np.ones(3)})
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_an_interrupt_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(_atomic.os, function, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_data_reaches_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def record(*args: Any, name: str = name, original: Callable[..., Any] = original) -> Any:
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(_atomic.os, name, record)
    write_bytes_atomic(tmp_path / "a", b"1")
    assert calls == ["fsync", "replace", "fsync"]  # file, rename, folder


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_cannot_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(_atomic.os, "fsync", fsync)
    write_bytes_atomic(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_atomic.os, "open", refuse)
    write_bytes_atomic(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_targets_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    os.mkfifo(tmp_path / "pipe")
    for path, words in [
        (tmp_path, "is a folder; give the name of a file"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "missing" / "a", "No such file or directory; create the folder first"),
        (tmp_path / "file" / "a", "Not a directory; a part of the path is a file"),
        (tmp_path / ("n" * 256), "name too long; choose a shorter name"),
    ]:
        with pytest.raises(OutputError, match=words):
            write_bytes_atomic(path, b"1")
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_json(tmp_path: Path) -> None:
    values = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.arange(2),
        "t": "ü\ud800",
        "n": None,
    }
    write_json_atomic(tmp_path / "m.json", values)
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text) == {"f": 0.5, "i": 3, "b": True, "a": [0, 1], "t": "ü\ud800", "n": None}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "m.json as JSON.*not NaN or infinity"),
        (np.float32("inf"), "as JSON.*not NaN or infinity"),
        (object(), "object is not a JSON type; use numbers"),
        ({1, 2}, "set is not a JSON type"),
        (b"bytes", "bytes is not a JSON type"),
    ],
)
def test_what_json_cannot_hold(tmp_path: Path, value: Any, words: str) -> None:
    (tmp_path / "m.json").write_text("old")
    with pytest.raises(ArgumentError, match=words):
        write_json_atomic(tmp_path / "m.json", {"value": value})
    assert (tmp_path / "m.json").read_text() == "old"


def test_ensure_folder(tmp_path: Path) -> None:
    folder = ensure_folder(str(tmp_path / "runs" / "first"))
    assert folder == tmp_path / "runs" / "first" and os.listdir(folder) == []
    (folder / "kept").write_bytes(b"1")
    ensure_folder(folder)
    assert os.listdir(folder) == ["kept"]


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OutputError, match="File exists; a part of the path is a file"):
        ensure_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="Not a directory; a part of the path is a file"):
        ensure_folder(tmp_path / "file" / "deeper")
    assert (tmp_path / "file").read_bytes() == b"old"
    monkeypatch.setattr("builtins.open", refusal(errno.EACCES))
    with pytest.raises(
        OutputError, match=r"cannot write .*: Permission denied; choose a folder you may write"
    ):
        ensure_folder(tmp_path)
