"""Runs the published suite as anybody would: pytest in a process of its own, with no settings of this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

# Loaded with ``-p planted`` in processes of their own: imported here it would register broken backends for all tests.
collect_ignore = ["planted.py"]

_FAILED = re.compile(r"^FAILED \S+?::(\w+)\[([\w-]+)\]", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of the suite.

    Attributes:
        code: exit status of pytest.
        text: everything it wrote.
    """

    code: int
    text: str

    @property
    def failed(self) -> set[tuple[str, str]]:
        """Test function and op of every test that failed."""
        return set(_FAILED.findall(self.text))


RunSuite = Callable[..., Run]


def _environment(profile: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {
        **kept,
        "HYPOTHESIS_PROFILE": profile,
        "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2])),
    }


@pytest.fixture
def run_suite(tmp_path: Path) -> RunSuite:
    """``run_suite(backend, *options, profile=...)``; warnings are errors, examples the same every time."""

    def run(backend: str, *options: str, profile: str = "ci", suite: bool = True) -> Run:
        settings = tmp_path / "pytest.ini"
        settings.write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
        command = [sys.executable, "-m", "pytest", "-c", str(settings), "--rootdir", str(tmp_path), "-rfs"]
        command += ["-p", "no:cacheprovider", *options, "--grilly-backend", backend, "--tb=short"]
        if suite:
            command += ["-p", "grilly_core.testing.plugin", "--pyargs", "grilly_core.testing.conformance"]
        if profile == "dev":
            command.append("--hypothesis-seed=0")
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=_environment(profile),
            capture_output=True,
            text=True,
            timeout=3600,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    return run
