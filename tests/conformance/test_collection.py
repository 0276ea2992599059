"""The suite runs when it is asked for with its plugin, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grilly_core.testing


def _collect(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *args]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_not_collected_with_the_core() -> None:
    done = _collect("grilly_core/testing")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conformance" not in done.stdout


def test_named_without_the_plugin_it_says_how() -> None:
    done = _collect("--pyargs", "grilly_core.testing.conformance")
    assert done.returncode != 0
    assert "pytest -p grilly_core.testing.plugin" in done.stdout + done.stderr


def test_every_module_of_the_suite_has_its_place() -> None:
    from grilly_core.testing import plugin

    folder = Path(grilly_core.testing.__file__).parent / "conformance"
    assert {path.stem for path in folder.glob("test_*.py")} == {f"test_{name}" for name in plugin._ORDER}
