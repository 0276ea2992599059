"""Plugins: backends and kernel packs found by entry point, loaded by name, each failure kept to its plugin.

Listing reads metadata and imports nothing. A backend is imported when somebody asks for it by name, a kernel
pack when the backend it is for opens.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pluggy

from grilly_core import config, discovery
from grilly_core.backend import API_VERSION, Backend, BackendInfo, Kernel, KernelTable, make_kernel
from grilly_core.discovery import BACKENDS, KERNELS, Installed
from grilly_core.errors import BackendLoadError, BackendUnavailable, ConfigError

if TYPE_CHECKING:
    from grilly_core.op import Op

__all__ = [
    "BackendStatus",
    "available",
    "block",
    "hookimpl",
    "hookspec",
    "kernel_for",
    "kernels_for",
    "load",
    "on_change",
    "open_backend",
    "packs",
    "refresh",
    "register",
    "status",
    "unblock",
    "unregister",
]

hookspec = pluggy.HookspecMarker("grilly")
hookimpl = pluggy.HookimplMarker("grilly")
"""Marks a function of a plugin as the implementation of the hook with the same name."""


class Hooks:
    """The hooks a plugin may implement."""

    @hookspec
    def grilly_backend(self) -> BackendInfo:  # type: ignore[empty-body]
        """Describe one backend: name, API version, ``open``. Cheap: imports no driver, opens no device."""

    @hookspec(firstresult=True)
    def grilly_kernel(self, op: Op, backend: str) -> Kernel | None:
        """A kernel for ``op`` on the backend named ``backend``, or None.

        Asked once per op and open backend. The backend's own table answers last.
        """


@dataclass
class _State:
    """What this process knows of plugins."""

    manager: pluggy.PluginManager
    blocked: dict[str, str]
    installed: list[Installed] | None = None
    infos: dict[str, BackendInfo] = field(default_factory=dict)
    failures: dict[str, BackendLoadError] = field(default_factory=dict)
    opened: dict[tuple[str, str | None], Backend] = field(default_factory=dict)
    automatic: set[tuple[str, str | None]] = field(default_factory=set)
    packed: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)


_lock = threading.RLock()
_current: _State | None = None
_search_path: list[str] | None = None
_listeners: list[Callable[[], None]] = []
_kernels: WeakKeyDictionary[Backend, dict[Op, tuple[Kernel, ...]]] = WeakKeyDictionary()


def _state() -> _State:
    global _current
    with _lock:
        if _current is None:
            manager = pluggy.PluginManager("grilly")
            manager.add_hookspecs(Hooks)
            _current = _State(manager, dict.fromkeys(config.blocked_names(), "GRILLY_BLOCK"))
            for name in _current.blocked:
                manager.set_blocked(name)
        return _current


def _installed(state: _State, group: str) -> list[Installed]:
    if state.installed is None:
        state.installed = discovery.scan(_search_path)
    return [one for one in state.installed if one.group == group]


def on_change(listener: Callable[[], None]) -> None:
    """Have ``listener`` called after a plugin was blocked or removed."""
    _listeners.append(listener)


def _changed(state: _State, name: str) -> None:
    """Forget all that was derived from the plugin ``name``, and every kernel choice."""
    state.infos.pop(name, None)
    state.failures.pop(name, None)
    for key in [key for key in state.opened if key[0] == name]:
        del state.opened[key]
        state.automatic.discard(key)
    _forget_kernels()
    for listener in _listeners:
        listener()


def _forget_kernels() -> None:
    from grilly_core.op import registry

    _kernels.clear()
    for op in registry().values():
        op.plans.clear()


# What there is


def available() -> list[str]:
    """Names of the backends that can be asked for, sorted. Reads metadata and imports none of them.

    Example:
        >>> "numpy" in available()
        True
    """
    with _lock:
        state = _state()
        state.installed = None
        names = {one.name for one in _installed(state, BACKENDS)} | {
            name for name in state.added if hasattr(state.manager.get_plugin(name), "grilly_backend")
        }
        return sorted(names - set(state.blocked))


def packs() -> list[Installed]:
    """The installed kernel packs (``key`` names one, ``name`` is the backend it is for); imports none."""
    with _lock:
        return _installed(_state(), KERNELS)


@dataclass(frozen=True)
class BackendStatus:
    """What ``grilly doctor`` says about one backend.

    Attributes:
        name: the backend's name.
        distribution: what supplies it; empty when it was registered by the program.
        version: the distribution's version.
        state: ``available``, ``unavailable`` (this machine lacks what it needs), ``broken`` or ``blocked``.
        reason: why it is not available.
        cure: what to do about it.
        device: the device in words, when it is available.
    """

    name: str
    distribution: str = ""
    version: str = ""
    state: str = "available"
    reason: str = ""
    cure: str = ""
    device: str = ""


def status() -> list[BackendStatus]:
    """Open every installed backend on its default device and say how each fared. Never raises.

    Example:
        >>> [s.state for s in status() if s.name == "numpy"]
        ['available']
    """
    names = available()
    with _lock:
        state = _state()
        sources = {one.name: (one.distribution, one.version) for one in reversed(_installed(state, BACKENDS))}
        pack_keys = {one.key for one in _installed(state, KERNELS)}
        blocked = {name: where for name, where in state.blocked.items() if name not in pack_keys}
    found = [_status_of(name, *sources.get(name, ("", ""))) for name in names]
    for name, where in blocked.items():
        missing = "" if name in sources else "; no backend of this name is installed"
        cure = f"remove it from {where}" if where == "GRILLY_BLOCK" else f'call unblock("{name}")'
        found.append(
            BackendStatus(name, *sources.get(name, ("", "")), "blocked", f"blocked by {where}{missing}", cure)
        )
    return sorted(found, key=lambda one: one.name)


def _status_of(name: str, distribution: str, version: str) -> BackendStatus:
    try:
        device = open_backend(name).device
    except BackendUnavailable as error:
        return BackendStatus(name, distribution, version, "unavailable", str(error), _unavailable_cure(name, distribution))
    except BackendLoadError as error:
        cause, _, cure = str(error).partition(". ")
        return BackendStatus(name, distribution, version, "broken", cause, cure)
    except (Exception, SystemExit) as error:
        return BackendStatus(name, distribution, version, "broken", _said(error), _hide_cure(name, distribution))
    return BackendStatus(name, distribution, version, device=device)
