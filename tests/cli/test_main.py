"""The frame of the command line: help, versions, exit codes, and errors of one line."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import grilly
from grilly import cli
from grilly.cli import main
from grilly_core.errors import BackendUnavailable, DataError

Capture = pytest.CaptureFixture[str]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``grilly devices`` raise ``error``."""

    def run(args: Any) -> int:
        raise error

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: SimpleNamespace(main=run))


@pytest.mark.parametrize("args", [[], ["-h"], ["--help"], ["help"]])
def test_help_fits_one_screen_and_names_every_command(args: list[str], capsys: Capture) -> None:
    assert main(args) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 100
    for command in ("train", "predict", "convert", "devices", "doctor", "bench", "conformance"):
        assert f"  {command} " in text


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"grilly {grilly.__version__}\n"


@pytest.mark.parametrize(
    "args, said",
    [
        (["trian"], "grilly: unknown command 'trian'; did you mean train?\n"),
        (["--verson"], "grilly: unknown option '--verson'; did you mean --version?\n"),
        (
            ["xyzzy"],
            "grilly: unknown command 'xyzzy'; there are train, predict, convert, devices, doctor, bench, conformance\n",
        ),
    ],
)
def test_a_misspelt_command_says_what_was_meant(args: list[str], said: str, capsys: Capture) -> None:
    assert main(args) == 2
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    "command", ["train", "predict", "convert", "devices", "doctor", "bench", "conformance"]
)
def test_every_command_has_help(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: grilly {command}")


@pytest.mark.parametrize(
    "error, code, said",
    [
        (DataError("the file\n  is bad"), 2, "grilly: the file is bad\n"),
        (ExceptionGroup("none", [BackendUnavailable("a"), BackendUnavailable("b")]), 2, "grilly: a; b\n"),
        (KeyboardInterrupt(), 130, "grilly: interrupted\n"),
        (
            MemoryError("1 TiB"),
            2,
            "grilly: out of memory (1 TiB); use a smaller --batch-size or fewer --steps\n",
        ),
        (SystemExit(3), 3, ""),
        (SystemExit("stop"), 1, "grilly: stop\n"),
    ],
)
def test_errors_are_one_line_and_a_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    failing(monkeypatch, error)
    assert main(["devices"]) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [ValueError("a bug"), ExceptionGroup("", [ValueError("a bug")])])
def test_bugs_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["devices"])


def test_python_dash_m_and_what_starting_imports() -> None:
    code = (
        "import sys; from grilly.cli import main; main(['train', '--help']);"
        "print(sorted({'matplotlib', 'sklearn', 'tqdm', 'safetensors', 'scipy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    ran = subprocess.run([sys.executable, "-m", "grilly", "nonsense"], capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stderr.startswith("grilly: unknown command")
