"""Safetensors files: what survives, and what is said of those that cannot be read."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly import _extras
from grilly.io import load_arrays, save_arrays
from grilly_core import __version__
from grilly_core.errors import ArgumentError, CheckpointError, ConfigError

BASE = np.arange(24).reshape(2, 3, 4)


def header_file(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    "dtype", ["bool", "uint32", "int32", "int64", "float32", "float64", "uint8", "float16"]
)
@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a.transpose(1, 2, 0),
        lambda a: a[:, ::2, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[:1], (5, 3, 4)),
        lambda a: a[:, :0],
        lambda a: a[1, 2, 3],
        lambda a: np.array(a[1, 2, 3]),
        lambda a: a.astype(a.dtype.newbyteorder(">")),
    ],
)
def test_every_dtype_and_layout_survives(tmp_path: Path, dtype: str, layout: Callable[[Any], Any]) -> None:
    array = layout(BASE.astype(dtype))
    save_arrays(tmp_path / "a", {"w": array})
    loaded = load_arrays(tmp_path / "a")[0]["w"]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.shape == np.shape(array) and loaded.dtype == np.dtype(dtype)
    assert loaded.flags.c_contiguous and loaded.flags.writeable


def test_special_values(tmp_path: Path) -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    save_arrays(tmp_path / "a", {"w": values})
    assert load_arrays(tmp_path / "a")[0]["w"].tobytes() == values.tobytes()


def test_metadata(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a", {"b": BASE, "a": BASE, "ä.ß": BASE}, {"note": 'ü "quoted"\n', "empty": ""})
    arrays, metadata = load_arrays(tmp_path / "a", require_grilly=True)
    assert list(arrays) == ["a", "b", "ä.ß"]
    assert metadata == {"note": 'ü "quoted"\n', "empty": "", "format": "grilly", "version": __version__}
    save_arrays(tmp_path / "b", arrays, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_arrays(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a", {})
    assert load_arrays(tmp_path / "a")[0] == {}


def test_same_content_same_bytes(tmp_path: Path) -> None:
    metadata = {f"key{number}": str(number) for number in range(20)}
    for name in ("a", "b"):
        save_arrays(tmp_path / name, {"w": BASE, "v": BASE.astype(bool)}, metadata)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0 and list(json.loads(data[8 : 8 + size])["__metadata__"]) == sorted(
        [*metadata, "format", "version"]
    )


@pytest.mark.parametrize(
    ("arrays", "metadata", "words"),
    [
        ({"w": np.array([None])}, {}, "array 'w' has dtype object.*cannot hold; convert"),
        ({"w": np.array(["text"])}, {}, "dtype <U4"),
        ({"w": np.zeros(2, complex)}, {}, "dtype complex128"),
        ({"w": np.zeros(2, np.longdouble)}, {}, "array 'w' has dtype"),
        ({1: BASE}, {}, "1 cannot name an array"),
        ({"__metadata__": BASE}, {}, "'__metadata__' cannot name an array"),
        ({"\ud800": BASE}, {}, "cannot name an array: use valid text"),
        ({}, {"epoch": 3}, "metadata entry 'epoch' must be text, got 3"),
        ({}, {3: "epoch"}, "metadata entry 3 must be text"),
        ({}, {"a": "\ud800"}, "metadata entry 'a' is not valid Unicode"),
        ({}, {"format": "pt"}, "'format' is always 'grilly', got 'pt'; use another key"),
    ],
)
def test_what_a_file_cannot_hold(tmp_path: Path, arrays: Any, metadata: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        save_arrays(tmp_path / "a", arrays, metadata)
    assert os.listdir(tmp_path) == []


def test_another_writer(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": BASE}, tmp_path / "a", {"format": "pt"})
    save_file({"w": BASE}, tmp_path / "b")
    assert load_arrays(tmp_path / "a")[1] == {"format": "pt"}
    assert load_arrays(tmp_path / "b")[1] == {}
    for name, found in (("a", "'pt'"), ("b", "None")):
        with pytest.raises(CheckpointError, match=rf"not written by grilly .format {found}.*grilly train"):
            load_arrays(tmp_path / name, require_grilly=True)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty \(0 bytes\); use an earlier checkpoint"),
        (b"abc", "truncated in its header, after 3 bytes"),
        (
            pickle.dumps({"w": BASE}),
            "not a safetensors file: it looks like a pickle; give a file that grilly wrote",
        ),
        (b"PK\x03\x04" + b"z" * 50, "looks like a zip file, perhaps .npz or a PyTorch model"),
        (b"\x93NUMPY" + b"z" * 50, "looks like a .npy file"),
        (bytes(range(50, 250)), "not a safetensors file; give a file"),
        (b"\xff" * 8 + b"{" + b" " * 50, "not a safetensors file"),
        (header_file({"w": ENTRY})[:30], "truncated in its header, after 30 bytes"),
        (header_file({"w": ENTRY}, b"1234567"), "is truncated: 76 of 77 bytes; use an earlier checkpoint"),
        (header_file({"w": ENTRY}, b"123456789"), "is damaged; use an earlier"),
        (header_file(b"{broken json}"), "is damaged in its header"),
        (header_file({"w": {"dtype": "F32"}}), "is damaged in its header"),
        (
            header_file({"w": {**ENTRY, "dtype": "BF16", "shape": [4]}}, b"12345678"),
            "dtype BF16, which NumPy has not",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=words) as info:
        load_arrays(path)
    assert str(path) in str(info.value)


def test_truncation_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_arrays(path, {"w": BASE.astype(np.float32)}, {"key": "value"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"truncated|empty"):
            load_arrays(path)


def test_missing_folder_and_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    paths: list[tuple[str | Path, str]] = [
        (tmp_path / "nowhere", "no such file: .*nowhere; check the path"),
        (tmp_path / "file" / "deeper", "no such file"),
        (tmp_path, "is a folder; give the .safetensors file"),
        (tmp_path / "pipe", "is not a regular file"),
        ("x" * 5000, "cannot read .*name too long"),
    ]
    for path, words in paths:
        with pytest.raises(CheckpointError, match=words):
            load_arrays(path)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    save_arrays(tmp_path / "a", {})
    monkeypatch.setattr("builtins.open", refuse)  # not chmod: root may read everything
    with pytest.raises(CheckpointError, match=r"cannot read .*Permission denied; check that you may read it"):
        load_arrays(tmp_path / "a")


def test_safetensors_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError("No module named 'safetensors'")

    monkeypatch.setattr(_extras.importlib, "import_module", refuse)
    with pytest.raises(
        ConfigError, match=r"writing .*model needs safetensors.*pip install \"grilly\[train\]\""
    ):
        save_arrays(tmp_path / "model", {})
    with pytest.raises(
        ConfigError, match=r"reading .*model needs safetensors.*pip install \"grilly\[train\]\""
    ):
        load_arrays(tmp_path / "model")
