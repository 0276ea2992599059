"""Settings from the environment: read, and refused when they resemble one of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grilly_core import config
from grilly_core.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", config.VARIABLES)
def test_every_variable_of_ours_is_allowed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "anything")
    config.check_environment()


@pytest.mark.parametrize(
    "name, meant",
    [
        ("GRILLY_BACKND", "GRILLY_BACKEND"),
        ("GRILY_BACKEND", "GRILLY_BACKEND"),
        ("GRILLYBACKEND", "GRILLY_BACKEND"),
        ("grilly_backend", "GRILLY_BACKEND"),
        ("GRILLY_BLOCKS", "GRILLY_BLOCK"),
        ("GRILLY_NUM_THREAD", "GRILLY_NUM_THREADS"),
        ("GRILLY_REQUIRE_NATIV", "GRILLY_REQUIRE_NATIVE"),
    ],
)
def test_a_near_miss_says_what_was_meant(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "numpy")
    with pytest.raises(
        ConfigError, match=rf"variable {name} is not known; did you mean {meant}\? Rename or unset it"
    ):
        config.check_environment()


def test_an_unknown_variable_with_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_XYZ", "1")
    with pytest.raises(
        ConfigError, match=r"GRILLY_XYZ is not known; grilly reads GRILLY_BACKEND, .*Unset it"
    ):
        config.check_environment()


@pytest.mark.parametrize(
    "name", ["GRILL", "BACKEND", "MY_GRILLY", "GRID_BACKEND", "PATH", "CUDA_VISIBLE_DEVICES"]
)
def test_other_peoples_variables_are_none_of_ours(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    config.check_environment()


@pytest.mark.parametrize(
    "value, on", [("1", True), ("true", True), (" TRUE ", True), ("0", False), ("False", False)]
)
def test_flags(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    assert config.flag("GRILLY_PROFILE") is False
    monkeypatch.setenv("GRILLY_PROFILE", value)
    assert config.flag("GRILLY_PROFILE") is on


@pytest.mark.parametrize("value", ["yes", "2", "on"])
def test_a_flag_that_is_neither(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GRILLY_PROFILE", value)
    with pytest.raises(ConfigError, match=rf"GRILLY_PROFILE='{value}' must be 1 or 0"):
        config.flag("GRILLY_PROFILE")


@pytest.mark.parametrize(
    "text, parts",
    [
        ("numpy", ("numpy", None)),
        (" vulkan : 1 ", ("vulkan", "1")),
        ("vulkan:AMD Radeon: RX", ("vulkan", "AMD Radeon: RX")),
    ],
)
def test_name_and_device(text: str, parts: tuple[str, str | None]) -> None:
    assert config.split_backend(text, "test") == parts


@pytest.mark.parametrize("text", ["", " ", ":", ":1", "numpy:", "numpy: "])
def test_no_name_or_no_device(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^test: .* must be a backend's name or name:device"):
        config.split_backend(text, "test")


def test_nothing_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.requested_backend() is None
    monkeypatch.setenv("GRILLY_BACKEND", "  ")
    assert config.requested_backend() is None
    monkeypatch.setenv("GRILLY_BACKEND", "cupy:0")
    assert config.requested_backend() == ("cupy", "0")


def test_blocked_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.blocked() == []
    monkeypatch.setenv("GRILLY_BLOCK", "cupy, ,numpy.fast ,")
    assert config.blocked() == ["cupy", "numpy.fast"]


def test_every_variable_in_the_sources_is_in_the_table() -> None:
    folders = ("grilly", "grilly_core", "backends/numpy/grilly_numpy", "backends/vulkan/grilly_vulkan")
    read = {
        name
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"[\"'`]\"?(GRILLY_[A-Z_]+)", file.read_text())
    }
    assert {"GRILLY_BACKEND", "GRILLY_NUM_THREADS"} <= read
    assert read - set(config.VARIABLES) == set()
