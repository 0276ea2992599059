"""``grilly conformance``: the published suite, from the command line."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import fresh_state

from grilly import cli
from grilly.cli import conformance


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_state(monkeypatch):
        yield


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
    """What pytest would be run with: arguments and profile."""
    seen: list[tuple[list[str], str | None]] = []

    def main(command: list[str]) -> pytest.ExitCode:
        seen.append((command, os.environ.get("HYPOTHESIS_PROFILE")))
        return pytest.ExitCode.TESTS_FAILED

    monkeypatch.setattr(pytest, "main", main)
    return seen


def test_what_is_run(asked: list[tuple[list[str], str | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPOTHESIS_PROFILE", raising=False)
    assert cli.main(["conformance", "numpy:cpu"]) == 1, "pytest's own exit code"
    command, profile = asked[0]
    assert profile == "dev"
    assert command[command.index("--grilly-backend") + 1] == "numpy:cpu"
    assert command[command.index("--pyargs") + 1] == "grilly_core.testing.conformance"
    assert command[command.index("-p") + 1] == "grilly_core.testing.plugin"
    assert "-k" not in command
    assert "HYPOTHESIS_PROFILE" not in os.environ


def test_options(asked: list[tuple[list[str], str | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "dev")
    assert cli.main(["conformance", "numpy", "--profile", "ci", "-k", "lif and value"]) == 1
    command, profile = asked[0]
    assert profile == "ci"
    assert command[command.index("-k") + 1] == "lif and value"
    assert os.environ["HYPOTHESIS_PROFILE"] == "dev"


@pytest.mark.parametrize(
    "args, said",
    [
        (["numppy"], "no backend 'numppy' is installed; did you mean 'numpy'?"),
        (["numpy:1"], "backend numpy has one device, 'cpu', not '1'"),
        ([], "the following arguments are required: NAME[:device]"),
        (["numpy", "--profile", "all"], "invalid choice: 'all'"),
        (["numpy", "--profil", "ci"], "did you mean --profile?"),
    ],
)
def test_refused_in_one_line(
    asked: list[tuple[list[str], str | None]], capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    assert cli.main(["conformance", *args]) == 2
    line = capsys.readouterr().err
    assert line.startswith("grilly: ") and line.count("\n") == 1 and said in line
    assert asked == []


@pytest.mark.parametrize("module", ["pytest", "hypothesis"])
def test_without_the_test_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = importlib.util.find_spec
    monkeypatch.setattr(conformance, "find_spec", lambda name: None if name == module else found(name))
    assert cli.main(["conformance", "numpy"]) == 2
    said = capsys.readouterr().err
    assert f"grilly conformance needs {module}, which cannot be imported" in said
    assert 'pip install "grilly[test]"' in said


@pytest.mark.parametrize(
    "chosen, code",
    [("test_value and sub", pytest.ExitCode.OK), ("no_such_op", pytest.ExitCode.NO_TESTS_COLLECTED)],
)
def test_the_suite_runs_from_any_folder(tmp_path: Path, chosen: str, code: pytest.ExitCode) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grilly", "conformance", "numpy", "-k", chosen],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("passed" in done.stdout) == (code == 0)
