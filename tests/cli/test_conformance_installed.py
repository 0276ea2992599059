"""The suite as strangers run it: from an empty folder, on installed backends, one of which is wrong and one not complete.

Needs nothing of this repository but what is installed, so that it also runs on a wheel:
``python -m pytest -c /dev/null --rootdir . --import-mode=importlib PATH_OF_THIS_FILE`` from another folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = """
from grilly_core.extend import API_VERSION, BackendInfo, KernelTable, hookimpl, make_kernel, ops
from grilly_numpy.backend import NumpyBackend

def tanh(device, x, /):
    return x / (1 + abs(x))

class Table(KernelTable):
    def get(self, op):
        return {change} if op is ops.tanh else NumpyBackend.kernels.get(op)

class Changed(NumpyBackend):
    name = {name!r}
    kernels = Table({name!r})
    features = frozenset()

@hookimpl
def grilly_backend():
    return BackendInfo(name={name!r}, api_version=API_VERSION, open=lambda device, automatic: Changed(device))
"""
_CHANGES = {"wrong": 'make_kernel(op, tanh, dtypes=("float32", "float64"))', "partial": "None"}
_SUITE = ["-p", "grilly_core.testing.plugin", "--pyargs", "grilly_core.testing.conformance"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty folder; beside it two distributions, found as installed ones are."""
    site = tmp_path / "site"
    for name, change in _CHANGES.items():
        info = site / f"grilly_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: grilly-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[grilly.backends]\n{name} = grilly_{name}\n")
        (site / f"grilly_{name}.py").write_text(_SOURCE.format(name=name, change=change))
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def _run(folder: Path, *command: str, profile: str | None = None) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "HYPOTHESIS_", "GRILLY_"))
    }
    environment = {
        **kept,
        "PYTHONPATH": str(folder.parent / "site"),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "200",
    }
    if profile:
        environment["HYPOTHESIS_PROFILE"] = profile
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )  # fmt: skip


def _row(text: str, op: str) -> list[str]:
    """Cells of the report table: op, how it runs, outcomes that are not 0."""
    rows = [
        line.split() for line in text.splitlines() if re.match(rf"{op} +(native|composite|unsupported)", line)
    ]
    assert len(rows) == 1, text
    return rows[0]


def test_a_sound_backend(elsewhere: Path) -> None:
    done = _run(elsewhere, "grilly", "conformance", "numpy", "-k", "tanh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "grilly conformance of numpy (" in done.stdout and "wrong:" not in done.stdout
    assert _row(done.stdout, "tanh")[:2] == ["tanh", "native"] and len(_row(done.stdout, "tanh")) == 3
    assert re.search(r"^\d+ native, \d+ composite, 0 unsupported$", done.stdout, re.MULTILINE)
    assert {path.name for path in elsewhere.iterdir()} <= {".hypothesis"}, "it left something behind"


def test_a_wrong_kernel_is_named(elsewhere: Path) -> None:
    done = _run(elsewhere, "grilly", "conformance", "wrong", "-k", "tanh")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wrong: tanh" in done.stdout.splitlines()
    assert len(_row(done.stdout, "tanh")) > 3, "passed and failed tests"
    assert re.search(r"^skipped for capabilities: [1-9]\d*; ieee_special [1-9]", done.stdout, re.MULTILINE)


def test_a_missing_primitive_is_refused(elsewhere: Path) -> None:
    done = _run(elsewhere, "grilly", "conformance", "partial")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("grilly: ") and done.stderr.count("\n") == 1
    assert "tanh" in done.stderr and "partial" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("profile, examples", [(None, 20), ("dev", 20), ("ci", 100), ("nightly", 2000)])
def test_profiles(elsewhere: Path, profile: str | None, examples: int) -> None:
    asks = f"def test_it():\n    from hypothesis import settings\n    assert settings.default.max_examples == {examples}\n"
    (elsewhere / "test_profile.py").write_text(asks)
    options = ["-q", "-p", "grilly_core.testing.plugin", "-p", "no:cacheprovider", "test_profile.py"]
    done = _run(elsewhere, "pytest", *options, profile=profile)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pytest_command(elsewhere: Path) -> None:
    options = ["--grilly-backend", "wrong", "-k", "test_value and neg", "-p", "no:cacheprovider"]
    done = _run(elsewhere, "pytest", "-q", *_SUITE, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "grilly conformance of wrong (" in done.stdout and len(_row(done.stdout, "neg")) == 3


def test_exit_codes_of_the_pytest_command(elsewhere: Path) -> None:
    options = ["-q", *_SUITE, "-p", "no:cacheprovider", "-k", "test_value and tanh"]
    done = _run(elsewhere, "pytest", *options, "--grilly-backend", "wrong")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    for backend in ("partial", "wrongg"):
        done = _run(elsewhere, "pytest", *options, "--grilly-backend", backend)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
        assert f"--grilly-backend {backend}: " in done.stderr
