"""The IDX reader: what it reads, and what it says of a file it cannot."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from grilly.data import load, load_idx, read_idx
from grilly_core.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array: npt.NDArray[Any], code: str = "u1") -> bytes:
    header = bytes([0, 0, CODES[code], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(code).tobytes()


def images(n: int, size: int = 4) -> npt.NDArray[np.uint8]:
    return (np.arange(n * size * size).reshape(n, size, size) % 256).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = (images(6), np.arange(6) % 3, images(4), np.arange(4) % 3)
    target = tmp_path / "toy-mnist"
    target.mkdir()
    for name, array in zip(NAMES, arrays, strict=True):
        (target / name).write_bytes(idx_bytes(np.asarray(array)))
    return target


@pytest.mark.parametrize("code", list(CODES))
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_every_dtype_and_rank(tmp_path: Path, code: str, shape: tuple[int, ...], packed: bool) -> None:
    array = (np.arange(np.prod(shape)) - (code != "u1")).reshape(shape).astype(code)
    data = idx_bytes(array, code)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    read = read_idx(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative and read.dtype.itemsize == array.dtype.itemsize
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated: 0 bytes.*download"),
        (b"\0\0\x08", "truncated: 3 bytes"),
        (b"\x12\x34\x08\x01\0\0\0\0", "not an IDX file.*0x12340801.*as published"),
        (b"\0\0\x07\x01\0\0\0\0", "unknown dtype code 0x07.*known: 0x08"),
        (b"\0\0\x08\x03\0\0\0\x01\0\0", "truncated in its header: 10 of 16 bytes"),
        (idx_bytes(images(2))[:-1], r"is truncated: 47 bytes, and shape \(2, 4, 4\) needs 48"),
        (idx_bytes(images(2)) + b"x", "longer than its header says: 49 bytes"),
        (b"\0\0\x0e\xff" + b"\xff" * 1020, "is truncated: 1024 bytes"),
        (gzip.compress(idx_bytes(images(2)), mtime=0)[:-9], "gzip file.*truncated or damaged.*download"),
        (b"\x1f\x8b" + b"z" * 40, "gzip file.*truncated or damaged"),
        (gzip.compress(b"abcdef", mtime=0), "not an IDX file"),
    ],
)
def test_broken_files(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "broken-file"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words) as info:
        read_idx(path)
    assert str(path) in str(info.value)


def test_damaged_gzip_body(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(idx_bytes(images(20)), mtime=0))
    data[30] ^= 0xFF
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(DataError, match="truncated or damaged"):
        read_idx(tmp_path / "a.gz")


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file.*nowhere.*check the path"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"cannot read.*you may read"):
        read_idx(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_folder(folder: Path, packed: bool, dotted: bool) -> None:
    for path in list(folder.iterdir()):
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        data = path.read_bytes()
        path.unlink()
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data, mtime=0) if packed else data)
    for data_set in (load_idx(folder), load(str(folder))):
        assert data_set.x_train.shape == (6, 1, 4, 4) and data_set.x_train.dtype == np.float32
        np.testing.assert_array_equal(data_set.x_train[:, 0], images(6).astype(np.float32) / np.float32(255))
        assert data_set.y_train.tolist() == [0, 1, 2, 0, 1, 2] and data_set.y_train.dtype == np.int32
        assert data_set.x_test.shape == (4, 1, 4, 4) and data_set.y_test.tolist() == [0, 1, 2, 0]
        assert (data_set.classes, data_set.name, data_set.temporal) == (3, "toy-mnist", False)


def test_plain_wins_over_gzip(folder: Path) -> None:
    (folder / (NAMES[0] + ".gz")).write_bytes(b"not read")
    assert load_idx(folder).x_train.shape == (6, 1, 4, 4)


def test_missing_files_are_named(folder: Path) -> None:
    for name in NAMES[2:]:
        (folder / name).unlink()
    with pytest.raises(DataError, match=rf"has no {NAMES[2]}, {NAMES[3]} .plain or .gz.; put the four files"):
        load_idx(folder)


@pytest.mark.parametrize("deeper", ["raw", "MNIST/raw"])
def test_files_in_a_deeper_folder(folder: Path, deeper: str) -> None:
    target = folder / deeper
    target.mkdir(parents=True)
    for name in NAMES:
        (folder / name).rename(target / name)
    with pytest.raises(DataError, match=rf"did you mean .*{deeper}"):
        load_idx(folder)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (NAMES[0], idx_bytes(images(6), ">f4"), r"IDX dtype float32, but train images are unsigned bytes"),
        (NAMES[1], idx_bytes(np.zeros(6), ">i4"), r"IDX dtype int32, but train labels are unsigned bytes"),
        (
            NAMES[2],
            idx_bytes(np.zeros(6)),
            r"shape \(6,\), but test images have 3 axes; are two files swapped",
        ),
        (NAMES[3], idx_bytes(images(4)), r"shape \(4, 4, 4\), but test labels have 1 axes"),
        (NAMES[0], idx_bytes(images(0)), r"is empty \(shape \(0, 4, 4\)\)"),
        (NAMES[1], idx_bytes(np.zeros(5)), "has 6 images but .* has 5 labels; take both"),
        (NAMES[2], idx_bytes(images(4, 5)), r"differ in size: \(4, 4\) for training, \(5, 5\)"),
        (NAMES[3], idx_bytes(np.full(4, 200)), "has the label 200, out of range for 10 samples.*np.unique"),
    ],
)
def test_files_that_do_not_fit(folder: Path, name: str, data: bytes, words: str) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(DataError, match=words) as info:
        load_idx(folder)
    assert str(folder) in str(info.value)
