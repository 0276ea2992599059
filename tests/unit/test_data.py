"""Data sets, splits and the loader: what they give, and what they say of data that cannot be used."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from grilly import _extras
from grilly.data import Dataset, load, load_digits, load_inputs, load_npz, stratified_split
from grilly.data.order import LOADER, SPLIT, permutation
from grilly_core.errors import ArgumentError, ConfigError, DataError

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
RAGGED = np.array([[1], [2, 3]], dtype=object)


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "user.npz"
    np.savez(path, **arrays)
    return path


# --- digits ---


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", seed=0)


def test_digits_arrays() -> None:
    x, y = load_digits()
    assert x.shape == (1797, 1, 8, 8) and x.dtype == np.float32 and (x.min(), x.max()) == (0, 1)
    assert y.shape == (1797,) and y.dtype == np.int32 and np.unique(y).tolist() == list(range(10))


def test_digits_split(digits: Dataset) -> None:
    assert len(digits.x_train) + len(digits.x_test) == 1797 and 355 <= len(digits.x_test) <= 365
    counts = np.bincount(digits.y_train), np.bincount(digits.y_test)
    np.testing.assert_allclose(counts[1] / (counts[0] + counts[1]), 0.2, atol=0.005)
    assert (digits.classes, digits.name, digits.sample_shape) == (10, "digits", (1, 8, 8))
    assert repr(digits).startswith("Dataset(digits: ") and "10 classes" in repr(digits)


def test_split_depends_on_the_seed_only(digits: Dataset) -> None:
    same, other = load("digits", seed=0), load("digits", seed=1)
    np.testing.assert_array_equal(digits.x_test, same.x_test)
    assert digits.y_test.tolist() != other.y_test.tolist()


def test_scikit_learn_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError("No module named 'sklearn'")

    monkeypatch.setattr(_extras.importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match=r"digits data set needs sklearn.*pip install \"grilly\[train\]\""):
        load_digits()


# --- splits and orders ---


def test_split_covers_everything_once() -> None:
    y = np.repeat([0, 1, 2], [50, 10, 1])
    train, test = stratified_split(y, seed=4)
    assert sorted([*train, *test]) == list(range(61)) and sorted(train) == list(train)
    assert np.bincount(y[test], minlength=3).tolist() == [10, 2, 0]


def test_split_of_pairs_keeps_one_on_each_side() -> None:
    train, test = stratified_split(np.array([0, 1, 0, 1]), fraction=0.99)
    assert len(train) == len(test) == 2


def test_split_errors() -> None:
    with pytest.raises(DataError, match=r"2 samples are too few.*add samples, or your own x_test"):
        stratified_split(np.array([0, 1]))
    with pytest.raises(ArgumentError, match=r"fraction must be between 0 and 1, got 1.5"):
        stratified_split(Y, fraction=1.5)
    with pytest.raises(ArgumentError, match="seed must be an integer from 0"):
        load("digits", seed=-1)


def test_permutation_is_fixed_for_ever() -> None:
    # A change here breaks every checkpoint that is to be resumed.
    assert permutation(8, seed=1, stream=2).tolist() == PERMUTATION
    assert permutation(8, seed=1, stream=2, purpose=SPLIT).tolist() != PERMUTATION
    assert permutation(8, 2**64 - 1, 2**64 - 1, LOADER).shape == (8,)


PERMUTATION = [4, 2, 0, 6, 1, 5, 7, 3]

# --- npz ---


@pytest.mark.parametrize(
    ("shape", "expected"), [((10, 4), (10, 4)), ((10, 5, 6), (10, 1, 5, 6)), ((10, 3, 5, 6), (10, 3, 5, 6))]
)
def test_npz_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    data = load_npz(npz(tmp_path, x=np.ones(shape), y=Y))
    assert data.x.shape == expected and data.x.dtype == np.float32 and data.x.flags.c_contiguous
    assert data.y.dtype == np.int32 and not data.temporal and data.x_test is None and data.y_test is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((10, 7, 4), (10, 7, 4)), ((10, 7, 5, 6), (10, 7, 1, 5, 6)), ((10, 7, 3, 5, 6), (10, 7, 3, 5, 6))],
)
@pytest.mark.parametrize("flag", [True, np.array([1])])
def test_npz_temporal(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...], flag: Any) -> None:
    data = load(npz(tmp_path, x=np.ones(shape), y=Y, temporal=flag))
    assert data.temporal and data.sample_shape == expected[1:] and "temporal" in repr(data)
    assert len(data.x_train) == 8 and len(data.x_test) == 2


def test_npz_temporal_false(tmp_path: Path) -> None:
    assert not load_npz(npz(tmp_path, x=X, y=Y, temporal=False)).temporal


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.full((10, 2), 255, np.uint8), 1.0),
        (np.full((10, 2), True), 1.0),
        (np.full((10, 2), 255, np.float16), 255.0),
        (np.full((10, 2), -3.5, np.float64), -3.5),
        (np.full((10, 2), 2.5, ">f4"), 2.5),
    ],
)
def test_npz_dtypes(tmp_path: Path, x: npt.NDArray[Any], expected: float) -> None:
    data = load_npz(npz(tmp_path, x=x, y=Y.astype(np.uint8)))
    assert data.x.dtype == np.float32 and data.x.dtype.isnative and (data.x == expected).all()


def test_npz_with_its_own_test_set(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y, x_test=X[:3] + 100, y_test=np.array([2, 1, 0]), ids=np.arange(3))
    data = load(path)
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.x_test, X[:3] + 100)
    assert data.classes == 3 and data.name == "user"
    assert data.test[0] is data.x_test and data.train[1] is data.y_train


def test_fortran_order(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_npz(npz(tmp_path, x=np.asfortranarray(X), y=Y)).x, X)


NAN = X.copy()
NAN[7, 2] = np.nan
INF = X.copy()
INF[3, 0] = np.inf


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": Y}, "has no array 'x' .it has y.*np.savez"),
        ({"x": X, "labels": Y}, "has no array 'y' .it has x, labels.; write it with np.savez"),
        ({}, "has no array 'x' .it has none."),
        ({"x": X[:0], "y": Y[:0]}, r"x in .* is empty \(shape \(0, 4\)\)"),
        ({"x": X, "y": Y[:0]}, "y in .* is empty"),
        ({"x": X, "y": Y[:9]}, "has 10 samples but y has 9 labels"),
        ({"x": NAN, "y": Y}, "x in .* holds NaN or infinity, first in sample 7; .*nan_to_num"),
        ({"x": INF, "y": Y}, "holds NaN or infinity, first in sample 3"),
        ({"x": X.astype(float) * 1e300, "y": Y}, "as float32, holds NaN or infinity"),
        ({"x": X.astype(int), "y": Y}, "dtype int64; store pixels.*uint8.*float32"),
        ({"x": X.astype(str), "y": Y}, "x in .* has dtype <U"),
        ({"x": X[:, 0], "y": Y}, r"shape \(10,\); use x.reshape\(-1, 1\)"),
        ({"x": np.float32(1), "y": Y}, r"shape \(\)"),
        ({"x": np.ones((10, 2, 2, 2, 2)), "y": Y}, r"must be \[N, F\].*add temporal=True"),
        ({"x": X, "y": Y, "temporal": True}, r"must be \[N, T, F\].*got shape \(10, 4\)"),
        ({"x": X, "y": Y, "temporal": [1, 0]}, "temporal in .* must be one true or false"),
        ({"x": X, "y": Y, "temporal": "yes"}, "temporal in .* must be one true or false"),
        ({"x": RAGGED, "y": Y}, "x in .* holds Python objects.*pickle is never read.*np.stack"),
        ({"x": X, "y": np.array(["a"] * 10, object)}, "y in .* holds Python objects"),
        ({"x": X, "y": Y * 1.0}, r"integer class numbers, got dtype float64; use y.astype\('int32'\)"),
        ({"x": X, "y": Y.astype(bool)}, "integer class numbers, got dtype bool"),
        ({"x": X, "y": Y.astype(str)}, "got dtype <U21.*np.unique"),
        ({"x": X, "y": Y[:, None]}, r"one class number for each sample.*\(10, 1\); use y.ravel"),
        ({"x": X, "y": np.eye(2)[Y]}, r"\(10, 2\); use y.argmax\(axis=1\)"),
        ({"x": X, "y": Y - 1}, "label -1 at sample 0, out of range 0 to"),
        ({"x": X, "y": Y + 2**40}, "label 1099511627776 at sample 0, out of range"),
        ({"x": X, "y": Y + 1000}, "label 1001, out of range for 10 samples.*np.unique"),
        ({"x": X, "y": Y, "x_test": X}, "has x_test but no y_test; store both"),
        ({"x": X, "y": Y, "y_test": Y}, "has y_test but no x_test"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:3]}, "has 10 samples but y_test has 3"),
        ({"x": X, "y": Y, "x_test": X[:, :2], "y_test": Y}, r"different shapes, \(4,\) and \(2,\)"),
        ({"x": X, "y": Y, "x_test": X.astype(np.uint8), "y_test": Y}, "dtypes float32 and uint8, and only"),
    ],
)
def test_npz_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = npz(tmp_path, **arrays)
    with pytest.raises(DataError, match=words) as info:
        load(path)
    assert str(path) in str(info.value)


def test_npz_files_that_are_not(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[180] ^= 0xFF
    npy = tmp_path / "bare.npy"
    np.save(npy, X)
    for data, words in [
        (b"", r"is empty \(0 bytes\)"),
        (whole[:200], "truncated or damaged.*copy it again"),
        (whole[:-30], "truncated or damaged"),
        (bytes(flipped), "truncated or damaged"),
        (b"PK\x03\x04" + b"z" * 99, "truncated or damaged"),
        (b"x,y\n1,2\n", "not an .npz file: it is of another format; write it with np.savez"),
        (pickle.dumps({"x": X}), "not an .npz file: it is of another format"),
        (npy.read_bytes(), "not an .npz file: it is one bare array"),
        (b"\0\0\x08\x01\0\0\0\0", "it is IDX or gzip .for MNIST files, give their folder"),
    ]:
        path.write_bytes(data)
        with pytest.raises(DataError, match=words):
            load(path)


def test_npz_member_that_is_no_array(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x", "text")
    with pytest.raises(DataError, match=r"x in .* is not an array"):
        load_npz(path)


def test_npz_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", refuse)
    with pytest.raises(
        DataError, match=r"does not fit in memory .Unable to allocate 9 TiB.; use fewer samples"
    ):
        load_npz(npz(tmp_path, x=X, y=Y))


def test_missing_sources(tmp_path: Path) -> None:
    npz(tmp_path, x=X, y=Y)
    sources: list[tuple[str | Path, str]] = [
        ("digit", "no such file or folder: 'digit'; did you mean 'digits'"),
        (tmp_path / "users.npz", "did you mean .*user.npz"),
        ("", "no such file or folder: ''"),
        (tmp_path / "user.npz" / "deeper", "no such file or folder"),
        ("zzz/zzz/zzz", "'zzz/zzz/zzz'; Give 'digits', FILE.npz or a folder of IDX files"),
        ("x" * 5000, "cannot read .*name too long"),
    ]
    for source, words in sources:
        with pytest.raises(DataError, match=words):
            load(source)
    with pytest.raises(DataError, match=r"no such file.*check the path"):
        load_npz(tmp_path / "nowhere.npz")
    with pytest.raises(DataError, match=r"cannot read.*you may read"):
        load_npz(tmp_path)


def test_load_inputs(tmp_path: Path) -> None:
    path = npz(tmp_path, x=np.zeros((3, 8, 8), np.uint8))
    assert load_inputs(path).shape == (3, 1, 8, 8)
    np.save(tmp_path / "x.npy", np.ones((3, 5, 8, 8)))
    assert load_inputs(tmp_path / "x.npy").shape == (3, 5, 8, 8)
    assert load_inputs(tmp_path / "x.npy", temporal=True).shape == (3, 5, 1, 8, 8)
    (tmp_path / "images").write_bytes(b"\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02" + b"\xff" * 4)
    assert load_inputs(tmp_path / "images").tolist() == [[[[1, 1], [1, 1]]]]


def test_load_inputs_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no array 'x' .it has z.; write it with np.savez\(path, x=x\)"):
        load_inputs(npz(tmp_path, z=X))
    with pytest.raises(DataError, match=r"says temporal = True, but the model takes \[N, ...\] without time"):
        load_inputs(npz(tmp_path, x=X, temporal=True))
    with pytest.raises(DataError, match=r"says temporal = False, but the model takes \[N, T, ...\]"):
        load_inputs(npz(tmp_path, x=X, temporal=False), temporal=True)
    np.save(tmp_path / "o.npy", RAGGED)
    with pytest.raises(DataError, match=r"holds Python objects.*pickle is never read"):
        load_inputs(tmp_path / "o.npy")
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-5])
    with pytest.raises(DataError, match="truncated or damaged"):
        load_inputs(tmp_path / "x.npy")


def test_import_is_light() -> None:
    code = (
        "import sys, grilly.data, grilly.io; "
        "print([m for m in ('sklearn', 'scipy', 'safetensors', 'matplotlib', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
