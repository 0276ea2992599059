"""CuPy for tests: the real one with ``GRILLY_TEST_REQUIRE=cupy``, else a stand-in that runs CUDA kernels on the CPU."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backends_under_test import required

collect_ignore = ["fake"]  # modules of the name cupy, for subprocesses and the fixtures below

FAKE = Path(__file__).parent / "fake"


def _forget() -> None:
    """Drop what grilly_cupy remembers of a CuPy."""
    from grilly_cupy import lazy, opening, source
    from grilly_cupy.kernels import optim

    vars(lazy.cp).clear()
    opening._opened.clear()
    source._kernel.cache_clear()
    source._allowed.cache_clear()
    optim._tables._kept.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "cupy"]:
        del sys.modules[name]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in as the module ``cupy``; its ``cuda.faults`` make it fail."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "cupy"}
    _forget()
    monkeypatch.syspath_prepend(str(FAKE))
    import cupy

    yield cupy
    _forget()
    sys.modules.update(kept)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Any:
    """The CuPy backend, on the GPU or on the stand-in."""
    from grilly_cupy.opening import open_backend

    if "cupy" not in required():
        if shutil.which("g++") is None:
            pytest.skip("neither a GPU is required nor is g++ there, which runs CUDA kernels on the CPU")
        request.getfixturevalue("stand_in")
    return open_backend(None)
