"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grilly_core import selection


@pytest.fixture
def on_numpy() -> Iterator[None]:
    """New tensors go to NumPy, whatever backend this machine would choose."""
    with selection.using("numpy"):
        yield
