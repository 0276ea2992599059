"""``grilly devices``: one row per backend, and for each that cannot be used, why and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import Site, backend_source, fresh_state

from grilly import cli


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_state(monkeypatch):
        yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    made.forget_modules()


def rows(text: str) -> dict[str, str]:
    """The table's rows by backend."""
    table = text.split("\n\n")[0].splitlines()
    assert table[0].split() == ["backend", "state", "device", "from"]
    return {line.split()[0]: line for line in table[1:]}


def test_every_backend_has_a_row(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("grilly-foo", backend_source())
    assert cli.main(["devices"]) == 0
    found = rows(capsys.readouterr().out)
    assert all(part in found["foo"] for part in ("available", "foo device 0", "grilly-foo 1.2"))
    assert "available" in found["numpy"] and "CPU" in found["numpy"] and "grilly 0" in found["numpy"]


@pytest.mark.parametrize(
    "source, state, said",
    [
        (
            backend_source(opens="raise BackendUnavailable('no driver;\\n install one')"),
            "unavailable",
            "foo is unavailable: no driver; install one",
        ),
        (
            "1 / 0",
            "broken",
            "foo is broken: backend 'foo' cannot be loaded (entry point foo = grilly_foo of grilly-foo",
        ),
        (
            backend_source(opens="raise ConfigError('FOO_X=3')"),
            "misconfigured",
            "foo is misconfigured: FOO_X=3",
        ),
    ],
)
def test_why_one_cannot_be_used(
    site: Site, capsys: pytest.CaptureFixture[str], source: str, state: str, said: str
) -> None:
    site.install("grilly-foo", source)
    assert cli.main(["devices"]) == 0
    text = capsys.readouterr().out
    assert rows(text)["foo"].split()[1] == state
    assert rows(text)["numpy"].split()[1] == "available"
    assert [line for line in text.splitlines() if line.startswith(said)]


def test_blocked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_BLOCK", "numpy")
    assert cli.main(["devices"]) == 0
    text = capsys.readouterr().out
    assert rows(text)["numpy"].split()[1] == "blocked"
    assert "numpy is blocked: take numpy out of GRILLY_BLOCK" in text


def test_a_misspelt_variable_keeps_no_one_from_looking(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRILLY_BACKND", "numpy")
    assert cli.main(["devices"]) == 0
    assert rows(capsys.readouterr().out)["numpy"].split()[1] == "available"


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["devices", "--all"]) == 2
    assert "unknown argument --all; see grilly devices --help" in capsys.readouterr().err
    assert cli.main(["devices", "--help"]) == 0
    assert "GRILLY_BACKEND" in capsys.readouterr().out
