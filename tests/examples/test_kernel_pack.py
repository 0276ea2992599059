"""The example of a kernel pack: it comes before the backend's own kernel, and goes without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_plugins import Site, fresh_state

import grilly
from grilly import backends
from grilly_core import ops, plugins

special = pytest.importorskip("scipy.special")

FOLDER = Path(__file__).parents[2] / "examples" / "kernel-pack"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
POINTS = PROJECT["entry-points"]["grilly.kernels"]
VALUES = np.linspace(-9, 9, 4001, dtype=np.float32)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The example as it is when installed: its folder on the path, and metadata with its entry point."""
    made = Site(tmp_path / "site")
    ((name, target),) = POINTS.items()
    made.install(
        PROJECT["name"], None, version=PROJECT["version"], group="grilly.kernels", name=name, module=target
    )
    for folder in (made.folder, FOLDER):
        monkeypatch.syspath_prepend(str(folder))
    with fresh_state(monkeypatch):
        yield made
    made.forget_modules()


def source(op: str = "sigmoid") -> str:
    line = next(line for line in backends.report("numpy").splitlines() if line.split()[:1] == [op])
    return line.split()[-1]


def is_scipys() -> bool:
    """Whether the bits are SciPy's; the backend's own differ here and there in the last one."""
    made = grilly.tensor(VALUES, backend="numpy").sigmoid().numpy()
    np.testing.assert_allclose(made, special.expit(VALUES), rtol=1e-5, atol=1e-7)
    return bool((made == special.expit(VALUES)).all())


def test_it_is_loaded_with_its_backend_and_answers_first(site: Site) -> None:
    assert [(pack.name, pack.backend) for pack in backends.kernel_packs()] == [("numpy.scipy", "numpy")]
    assert site.imported() == []
    assert is_scipys()
    assert site.imported() == ["grilly_scipy"]
    assert source() == "grilly-scipy"
    assert source("tanh") == "grilly_numpy", "other kernels are the backend's own"


def test_gradients_and_composites_use_it(site: Site) -> None:
    x = grilly.tensor(VALUES, requires_grad=True, backend="numpy")
    x.sigmoid().sum().backward()
    y = special.expit(VALUES)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), y * (1 - y))


def test_blocked_it_leaves_the_backends_own(site: Site) -> None:
    assert is_scipys()
    backends.block("numpy.scipy")
    assert not is_scipys()
    assert source() == "grilly_numpy"


def test_uninstalled_it_leaves_no_trace(site: Site) -> None:
    for file in next(site.folder.glob("*.dist-info")).iterdir():
        file.unlink()
    assert backends.kernel_packs() == []
    assert not is_scipys()
    assert site.imported() == []


def test_what_is_registered_later_comes_before_it(site: Site) -> None:
    class Zero:
        @staticmethod
        def sigmoid(device: object, x: np.ndarray, /) -> np.ndarray:
            return x * 0

        @plugins.hookimpl
        def grilly_kernel(self, op: object, backend: str) -> object:
            from grilly_core.extend import make_kernel

            return make_kernel(ops.sigmoid, self.sigmoid, source="zero") if op is ops.sigmoid else None

    assert is_scipys()
    backends.register(Zero(), "zero")
    assert source() == "zero"
    assert not grilly.tensor(VALUES, backend="numpy").sigmoid().numpy().any()
    backends.unregister("zero")
    assert source() == "grilly-scipy" and is_scipys()


def test_the_suite_passes_with_it(site: Site) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRILLY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "grilly", "conformance", "numpy", "-k", "sigmoid"],
        cwd=site.folder,
        env={
            **kept,
            "PYTHONPATH": f"{site.folder}{os.pathsep}{FOLDER}",
            "PYTEST_ADDOPTS": "--hypothesis-seed=0",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr
