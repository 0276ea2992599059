"""The loader: its order, resuming, time-first batches, and what it says of wrong data and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly.data import DataLoader, Dataset
from grilly_core.errors import ArgumentError, DataError

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
NAN = X.copy()
NAN[7, 2] = np.nan
RAGGED = np.array([[1], [2, 3]], dtype=object)


def labels_of(batches: Any) -> list[list[int]]:
    return [y.tolist() for _, y in batches]


NUMBERED = np.arange(23, dtype=np.float32)[:, None], np.arange(23)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_epoch_takes_every_sample_once(shuffle: bool, drop_last: bool) -> None:
    loader = DataLoader(NUMBERED, 5, shuffle=shuffle, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader) == (4 if drop_last else 5)
    seen = [label for _, y in batches for label in y.tolist()]
    assert len(set(seen)) == len(seen) == loader.samples == (20 if drop_last else 23)
    assert (seen == list(range(len(seen)))) == (not shuffle)
    for x, y in batches:
        np.testing.assert_array_equal(x[:, 0], y)
        assert x.dtype == np.float32 and y.dtype == np.int32


def test_same_seed_same_order() -> None:
    first, same, other = (DataLoader(NUMBERED, 4, seed=seed) for seed in (7, 7, 8))
    epochs = [labels_of(first) for _ in range(3)]
    assert epochs == [labels_of(same) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != labels_of(other)


@pytest.mark.parametrize("start", range(7))
def test_resume_equals_the_uninterrupted_order(start: int) -> None:
    whole = DataLoader(NUMBERED, 4, seed=3)
    run = [labels_of(whole) for _ in range(3)]
    resumed = DataLoader(NUMBERED, 4, seed=3)
    assert labels_of(resumed.epoch(1, start)) == run[1][start:]
    assert resumed.next_epoch == 0
    resumed.next_epoch = 2
    assert labels_of(resumed) == run[2] and resumed.next_epoch == 3


def test_a_loop_left_early_counts_as_an_epoch() -> None:
    loader = DataLoader(NUMBERED, 4)
    next(iter(loader))
    assert loader.next_epoch == 1 and labels_of(loader) == labels_of(loader.epoch(1))


def test_order_without_batches_matches() -> None:
    loader = DataLoader(NUMBERED, 23, seed=5)
    assert labels_of(loader.epoch(9)) == [loader.order(9).tolist()]


def test_time_first() -> None:
    x = np.random.default_rng(0).random((10, 7, 3, 2), np.float32)
    loader = DataLoader((x, np.arange(10)), 4, time_first=True, seed=1)
    for batch, y in loader:
        assert batch.shape == (7, len(y), 3, 2) and batch.flags.c_contiguous
        np.testing.assert_array_equal(batch, x[y].swapaxes(0, 1))


def test_data_set_decides_time_first_and_classes() -> None:
    x, y = np.zeros((4, 5, 3), np.float32), np.array([0, 1, 0, 1], np.int32)
    data = Dataset(x, y, x, y, 2, "toy", temporal=True)
    assert next(iter(DataLoader(data, 2)))[0].shape == (5, 2, 3)
    assert next(iter(DataLoader(data, 2, time_first=False)))[0].shape == (2, 5, 3)
    wrong = Dataset(x, y + 1, x, y, 2, "toy")
    with pytest.raises(DataError, match="y of toy has the label 2 at sample 1, out of range 0 to 1"):
        DataLoader(wrong, 2)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "float32"),
        ("bool", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_loader_dtypes(dtype: str, expected: str) -> None:
    x, _ = next(iter(DataLoader((np.ones((2, 3), dtype), [0, 1]), 2)))
    assert x.dtype == expected and (x == (np.float32(1) / np.float32(255) if dtype == "uint8" else 1)).all()


def test_batches_may_be_changed() -> None:
    loader = DataLoader((X.copy(), Y), 4, shuffle=False)
    for x, y in loader:
        x += 1
        y += 1
    np.testing.assert_array_equal(np.concatenate([x for x, _ in loader]), X)


def test_loader_repr() -> None:
    text = repr(DataLoader((X, Y), 4, seed=2))
    assert text == "DataLoader(10 samples, 3 batches of 4 as [batch, ...], shuffle=True, seed=2)"


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X[:0], Y[:0], "x is empty"),
        (X, Y[:4], "x has 10 samples but y has 4 labels; give one label"),
        (NAN, Y, "x holds NaN or infinity, first in sample 7"),
        (X, Y * 0.5, "y must be integer class numbers"),
        (X, Y - 1, "y has the label -1 at sample 0"),
        (X, Y + 1, "y has the label 2 at sample 1, out of range 0 to 1"),
        ([[1.0], [1.0, 2.0]], [0, 1], "x is not one array.*np.stack"),
        (RAGGED, [0, 1], "x holds Python objects"),
    ],
)
def test_loader_data_errors(x: Any, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        DataLoader((x, y), 2, classes=2)


def test_nan_far_into_a_large_array() -> None:
    x = np.zeros((3000, 1000), np.float32)
    x[2999, 999] = np.nan
    with pytest.raises(DataError, match="sample 2999"):
        DataLoader((x, np.zeros(3000, int)), 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": -3}, "batch_size must be an integer of at least 1"),
        ({"batch_size": 2.0}, "batch_size must be an integer of at least 1, got 2.0"),
        ({"batch_size": True}, "batch_size must be an integer of at least 1, got True"),
        ({"batch_size": 2, "seed": -1}, "seed must be an integer from 0 to"),
        ({"batch_size": 2, "seed": 2**64}, "seed must be an integer from 0 to"),
        ({"batch_size": 2, "classes": 0}, "classes must be an integer of at least 1"),
        ({"batch_size": 11, "drop_last": True}, "leaves no batch of 10 samples; use drop_last=False"),
    ],
)
def test_loader_option_errors(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        DataLoader((X, Y), **options)


def test_loader_other_errors() -> None:
    with pytest.raises(DataError, match=r"time_first needs x as \[N, T, ...\], got shape \(10, 4\)"):
        DataLoader((X, Y), 2, time_first=True)
    with pytest.raises(ArgumentError, match=r"takes a Dataset or a pair \(x, y\), got ndarray"):
        DataLoader(X, 2)  # type: ignore[arg-type]
    loader = DataLoader((X, Y), 4)
    with pytest.raises(ArgumentError, match="epoch must be an integer"):
        loader.epoch(-1)
    with pytest.raises(ArgumentError, match="start_batch must be an integer from 0 to 3, got 4"):
        loader.epoch(0, 4)
