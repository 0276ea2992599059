"""A small data set that a network learns in a second, and a run on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly.training import TrainOptions

CLASSES, SAMPLES = 3, 46


def _patterns(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Samples that are the pattern of their class and noise, and their labels."""
    generator = np.random.default_rng(5)
    y = np.arange(SAMPLES) % CLASSES
    patterns = generator.integers(0, 200, (CLASSES, *shape))
    return (patterns[y] + generator.integers(0, 56, (SAMPLES, *shape))).astype(np.uint8), y


@pytest.fixture
def images(tmp_path: Path) -> str:
    """46 images ``[1, 6, 5]`` in three classes: the last batch of 8 has one sample fewer than batch norm needs."""
    x, y = _patterns((6, 5))
    np.savez(tmp_path / "images.npz", x=x, y=y)
    return str(tmp_path / "images.npz")


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    """The same kind of data as vectors of seven features, of very different sizes."""
    x, y = _patterns((7,))
    np.savez(tmp_path / "vectors.npz", x=x * np.float32(10.0) ** np.arange(-3, 4), y=y)
    return str(tmp_path / "vectors.npz")


@pytest.fixture
def sequences(tmp_path: Path) -> str:
    """Spikes ``[N, 5 steps, 7]``."""
    x, y = _patterns((5, 7))
    np.savez(tmp_path / "sequences.npz", x=x > 120, y=y, temporal=True)
    return str(tmp_path / "sequences.npz")


@pytest.fixture
def options(images: str) -> Callable[..., TrainOptions]:
    """Options of a run of about a second on NumPy; keyword arguments replace some."""

    def make(**changes: Any) -> TrainOptions:
        usual = {"data": images, "backend": "numpy", "epochs": 3, "batch_size": 9, "steps": 3}
        return TrainOptions(**{**usual, **changes})

    return make
