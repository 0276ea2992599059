"""A backend of the test's own, a driver that fails when told to, and Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from backends_under_test import open_or_skip


class FaultyLib:
    """The Vulkan library, with calls counted and results exchanged.

    Attributes:
        calls: how often each function was called.
        results: by function, what it returns instead of being called; a callable is asked with the number of the call
            and returns a code, or None for the real thing.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()
        self.results: dict[str, int | Callable[[int], int | None]] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not name.startswith("vk"):
            return real

        def call(*args: Any) -> Any:
            self.calls[name] += 1
            result = self.results.get(name)
            if callable(result):
                result = result(self.calls[name])
            return real(*args) if result is None else result

        return call


class Done(NamedTuple):
    """A finished process."""

    code: int
    out: str
    err: str
    seconds: float


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def device() -> Any:
    """Capabilities of the device under test; tests are skipped where there is none."""
    return open_or_skip("vulkan").capabilities  # type: ignore[attr-defined]


@pytest.fixture
def make(device: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """``make(**options)``: another backend on the same device, closed at the end of the test."""
    from grilly_vulkan.backend import VulkanBackend

    made = []

    def build(**options: Any) -> Any:
        made.append(VulkanBackend(device, **options))
        return made[-1]

    for name in ("GRILLY_PROFILE", "GRILLY_VK_SYNC", "GRILLY_VK_MEMORY_MB"):
        monkeypatch.delenv(name, raising=False)
    yield build
    for backend in made:
        backend.close()


@pytest.fixture
def faulty(device: Any, monkeypatch: pytest.MonkeyPatch) -> FaultyLib:
    """The library that everything made from now on calls."""
    from grilly_vulkan import _vk

    lib = FaultyLib(_vk.lib)
    monkeypatch.setattr(_vk, "lib", lib)
    return lib


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(code, **environment)``: Python in a process of its own, without settings of this one."""

    def start(code: str, *args: str, timeout: float = 60, **environment: str) -> Done:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRILLY_", "PYTEST_"))}
        command = [sys.executable, "-W", "error", *(args or ("-c", textwrap.dedent(code)))]
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=tmp_path, env={**kept, **environment}, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    return start
