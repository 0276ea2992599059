"""Fake installed distributions, found by real metadata discovery, and a plugin state of the test's own."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import grilly_numpy
from grilly_core import discovery, plugin_manager, plugins, selection

__all__ = ["OPEN", "Site", "backend_source", "fresh_state"]

OPEN = """
    from grilly_numpy.backend import NumpyBackend
    class FooBackend(NumpyBackend):
        name = {name!r}
        def __init__(self):
            self.device = f"{name} device {{device or 0}}"
    return FooBackend()
"""
"""Body of ``open(device, automatic)`` of a backend that works."""


def backend_source(
    name: str = "foo", *, opens: str | None = None, api_version: str = "API_VERSION", top: str = ""
) -> str:
    """A plugin module with one backend; ``opens`` is the body of ``open(device, automatic)``."""
    body = textwrap.indent(
        textwrap.dedent(OPEN.format(name=name) if opens is None else opens).strip(), "    "
    )
    return (
        f"from grilly_core.extend import *\n{top}\n"
        f"def _open(device, automatic):\n{body}\n"
        "@hookimpl\ndef grilly_backend():\n"
        f"    return BackendInfo(name={name!r}, api_version={api_version}, open=_open)\n"
    )


class Site:
    """A folder on ``sys.path`` that distributions can be installed into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.modules: list[str] = []

    def install(
        self,
        distribution: str,
        source: str | None,
        *,
        version: str = "1.2",
        group: str = "grilly.backends",
        name: str = "foo",
        module: str = "grilly_foo",
        target: str | None = None,
        entry_points: str | None = None,
    ) -> None:
        """Write the metadata of a distribution with one entry point, and the module it points at.

        Args:
            distribution: its name; the folder in the path is derived from it and ``version``.
            source: text of the module; None leaves the module out.
            version: its version.
            group: entry-point group.
            name: name of the entry point.
            module: name of the module.
            target: what the entry point refers to, by default the module.
            entry_points: the whole text of entry_points.txt, in place of the one entry.
        """
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        text = f"[{group}]\n{name} = {target or module}\n" if entry_points is None else entry_points
        (info / "entry_points.txt").write_text(text)
        self.modules.append(module)
        if source is not None:
            (self.folder / f"{module}.py").write_text(source)
        importlib.invalidate_caches()

    def imported(self) -> list[str]:
        """Which of the installed modules have been imported."""
        return [module for module in self.modules if module in sys.modules]

    def forget_modules(self) -> None:
        """Take them out of ``sys.modules``."""
        for module in self.modules:
            sys.modules.pop(module, None)


class _NumpyOnly(plugin_manager.State):
    def __init__(self) -> None:
        super().__init__()
        for name in {"vulkan", "cupy"}.intersection(plugins.entries(discovery.BACKENDS)):
            self.manager.set_blocked(name)


@contextmanager
def fresh_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plugins and selection as in a new process without ``GRILLY_*`` variables; what was there comes back.

    Of grilly's own backends NumPy only is there: the machine's devices decide nothing, and none is opened and closed
    under the feet of other tests.
    """
    for name in list(os.environ):
        if name.startswith("GRILLY_"):
            monkeypatch.delenv(name)
    with monkeypatch.context() as patch:
        patch.setattr(plugin_manager, "_state", None)
        patch.setattr(plugin_manager, "State", _NumpyOnly)
        patch.setattr(plugins, "AUTOMATIC", ("numpy",))
        patch.setattr(grilly_numpy, "_opened", None)
        for name, value in (("_default", None), ("_chosen", False), ("_native_from_environment", None)):
            patch.setattr(selection, name, value)
        yield
        plugins.forget()
        # What the test itself patched goes first: undone later it would bring back the values patched here.
        monkeypatch.undo()
