"""Data sets for training: bundled digits, a user's arrays, MNIST-like folders."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from grilly._extras import import_extra
from grilly.data.checks import FloatArray, IntArray, as_labels, count_classes, scale, whole_number
from grilly.data.idx import read_idx_folder
from grilly.data.npz import load_npz
from grilly.data.order import SPLIT, permutation
from grilly_core.errors import ArgumentError, DataError

__all__ = ["Dataset", "load", "load_digits", "load_idx", "stratified_split"]

_TEST_FRACTION = 0.2


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and labels for training and for the test.

    Attributes:
        x_train: float32 ``[N, F]`` or ``[N, C, H, W]``; temporal ``[N, T, F]`` or ``[N, T, C, H, W]``.
        y_train: int32 ``[N]``, from 0 to ``classes - 1``.
        x_test: as x_train, with M samples.
        y_test: int32 ``[M]``.
        classes: how many there are.
        name: for titles and reports.
        temporal: the second axis of the samples is time.
    """

    x_train: FloatArray
    y_train: IntArray
    x_test: FloatArray
    y_test: IntArray
    classes: int
    name: str
    temporal: bool = False

    @property
    def train(self) -> tuple[FloatArray, IntArray]:
        """``(x_train, y_train)``."""
        return self.x_train, self.y_train

    @property
    def test(self) -> tuple[FloatArray, IntArray]:
        """``(x_test, y_test)``."""
        return self.x_test, self.y_test

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: ``(F,)`` or ``(C, H, W)``, with T in front when temporal."""
        return self.x_train.shape[1:]

    def __repr__(self) -> str:
        time = ", temporal" if self.temporal else ""
        return (
            f"Dataset({self.name}: {len(self.x_train)} + {len(self.x_test)} samples of shape "
            f"{self.sample_shape}, {self.classes} classes{time})"
        )


def load(source: str | os.PathLike[str] = "digits", seed: int = 0) -> Dataset:
    """The data set that ``grilly train --data SOURCE`` uses.

    Args:
        source: ``"digits"`` (bundled with scikit-learn), a ``.npz`` file as for ``load_npz``, or a folder
            as for ``load_idx``. A folder called digits is ``"./digits"``.
        seed: decides which fifth of each class becomes the test set; unused where the source has its own.

    Raises:
        DataError: the source is missing or cannot be used.
        ArgumentError: a seed that is not an integer from 0 to 2**64 - 1.
        ConfigError: scikit-learn is not installed, for digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(Path(folder, "toy.npz"), x=np.zeros((10, 4), np.float32), y=np.arange(10) % 2)
        ...     load(Path(folder, "toy.npz"), seed=1)
        Dataset(toy: 8 + 2 samples of shape (4,), 2 classes)
    """
    seed = whole_number(seed, "seed", 0, 2**64 - 1)
    if source == "digits":
        x, y = load_digits()
        return _split(x, y, seed, count_classes("digits", y), "digits", False)
    path = Path(os.path.expanduser(source))
    if _is_folder(source, path):
        return load_idx(path)
    data = load_npz(path)
    if data.x_test is None or data.y_test is None:
        return _split(data.x, data.y, seed, count_classes(f"y in {path}", data.y), path.stem, data.temporal)
    classes = count_classes(f"y or y_test in {path}", data.y, data.y_test)
    return Dataset(data.x, data.y, data.x_test, data.y_test, classes, path.stem, data.temporal)


def load_digits() -> tuple[FloatArray, IntArray]:
    """Scans of handwritten digits that come with scikit-learn: real data, no download.

    Returns:
        Images, float32 ``[1797, 1, 8, 8]`` in [0, 1], and labels, int32 ``[1797]`` from 0 to 9.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    bunch = import_extra("sklearn.datasets", "the digits data set").load_digits()
    return (bunch.images[:, None] / 16).astype(np.float32), as_labels(
        bunch.target, "the labels of digits", classes=10
    )


def load_idx(folder: str | os.PathLike[str]) -> Dataset:
    """MNIST, Fashion-MNIST or another data set in their format.

    Args:
        folder: holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each plain or ``.gz``.

    Returns:
        Images as float32 ``[N, 1, H, W]`` in [0, 1]; the test set is that of the files.

    Raises:
        DataError: files missing, truncated or damaged, or not matching each other.
    """
    parts = read_idx_folder(folder)
    y_train = as_labels(parts["train labels"], f"the train labels in {folder}")
    y_test = as_labels(parts["test labels"], f"the test labels in {folder}")
    classes = count_classes(f"a label file in {folder}", y_train, y_test)
    x_train, x_test = (scale(parts[f"{part} images"])[:, None] for part in ("train", "test"))
    return Dataset(x_train, y_train, x_test, y_test, classes, Path(folder).resolve().name)


def stratified_split(
    y: npt.ArrayLike, fraction: float = _TEST_FRACTION, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Set aside the same fraction of every class.

    Args:
        y: integer labels ``[N]``.
        fraction: the part for the test, between 0 and 1. A class of two or more samples gives at least one
            and keeps at least one; a class of one sample keeps it.
        seed: same seed, same split.

    Returns:
        Indices for training and for the test, each ascending.

    Raises:
        ArgumentError: a fraction or seed out of range.
        DataError: labels that cannot be used, or no class with two samples.

    Example:
        >>> train, test = stratified_split(np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], np.int32))
        >>> len(train), len(test)
        (8, 2)
    """
    seed = whole_number(seed, "seed", 0, 2**64 - 1)
    if not 0 < fraction < 1:
        raise ArgumentError(f"fraction must be between 0 and 1, got {fraction!r}")
    labels = as_labels(y, "y")
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        test[members[permutation(len(members), seed, int(label), SPLIT)[:count]]] = True
    if not test.any():
        raise DataError(
            f"{len(labels)} samples are too few to set a test part aside: no class has two; "
            "add samples, or your own x_test and y_test"
        )
    return np.flatnonzero(~test), np.flatnonzero(test)


def _split(x: FloatArray, y: IntArray, seed: int, classes: int, name: str, temporal: bool) -> Dataset:
    train, test = stratified_split(y, seed=seed)
    return Dataset(x[train], y[train], x[test], y[test], classes, name, temporal)


def _is_folder(source: str | os.PathLike[str], path: Path) -> bool:
    try:
        if os.fspath(source):
            return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check that you may read it") from error
    near = difflib.get_close_matches(os.fspath(source), ["digits", *_siblings(path)], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"no such file or folder: {os.fspath(source)!r}; {hint}Give 'digits', FILE.npz or a folder "
        "of IDX files"
    )


def _siblings(path: Path) -> list[str]:
    try:
        return [str(path.parent / name) for name in os.listdir(path.parent)]
    except OSError:
        return []
