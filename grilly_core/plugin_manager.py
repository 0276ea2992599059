"""The plugin manager of this process: hooks, registered plugins, opened backends, and where each plugin comes from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pluggy

from grilly_core import config
from grilly_core.backend import Backend, BackendInfo, Kernel
from grilly_core.discovery import BACKENDS, KERNELS, entries
from grilly_core.errors import BackendLoadError
from grilly_core.plugin_checks import hook_problem

__all__ = [
    "Specs",
    "State",
    "add",
    "broken",
    "current",
    "drop",
    "forget_state",
    "hookimpl",
    "lock",
    "origin",
    "said",
]

hookspec = pluggy.HookspecMarker("grilly")
hookimpl = pluggy.HookimplMarker("grilly")
lock = threading.RLock()


class Specs:
    """The two hooks of grilly."""

    @hookspec
    def grilly_backend(self) -> BackendInfo:
        """Describe one backend: name, api_version, open(). Cheap: opens no device."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def grilly_kernel(self, op: Any, backend: str) -> Kernel | None:
        """A kernel for ``op`` on ``backend``, or None. Asked once per op and opened backend.

        Of several packs for one backend the first by name answers first, unless a hook says ``tryfirst``; plugins
        registered later than the packs answer before them.
        """
        raise NotImplementedError


_HOOKS = ("grilly_backend", "grilly_kernel")


class State:
    """The plugin manager and what has been opened, per process."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("grilly")
        self.manager.add_hookspecs(Specs)
        self.infos: dict[str, BackendInfo] = {}
        self.opened: dict[tuple[str, str | None], Backend] = {}
        self.accepted: set[tuple[str, str | None]] = set()
        """Opened ones that agreed to be chosen automatically (a CPU behind a GPU interface declines)."""
        self.registered: dict[str, Any] = {}
        self.packed: set[str] = set()
        """Backends whose kernel packs are loaded."""
        for name in config.blocked():
            self.manager.set_blocked(name)

    def hooks(self, name: str) -> set[str]:
        """The hooks that plugin ``name`` implements; none if it is blocked."""
        return {caller.name for caller in self.manager.get_hookcallers(self.manager.get_plugin(name)) or []}


_state: State | None = None


def current() -> State:
    """The state of this process, made on first use."""
    global _state
    with lock:
        if _state is None:
            _state = State()
        return _state


def forget_state() -> State | None:
    """Begin anew; returns the state there was."""
    global _state
    with lock:
        state, _state = _state, None
        return state


def origin(name: str) -> tuple[str, str]:
    """Where a plugin comes from and what to do when it is broken."""
    for group in (BACKENDS, KERNELS):
        for entry in entries(group).get(name, []):
            return entry.origin, entry.cure
    return (
        "registered in this process",
        f"Correct the plugin, or take it back with backends.unregister({name!r})",
    )


def broken(name: str, what: str, why: str) -> BackendLoadError:
    """The error for plugin ``name``: what failed, where it comes from, why, and the cure."""
    where, cure = origin(name)
    return BackendLoadError(f"{what} ({where}): {why}. {cure}")


def said(error: BaseException) -> str:
    """An exception in words."""
    return f"{type(error).__name__}: {error}"


def add(state: State, name: str, make: Callable[[], Any], what: str) -> None:
    """Register the plugin that ``make()`` returns; one that does not fit is not kept."""
    try:
        plugin = make()
        other = None if plugin is None else state.manager.get_name(plugin)  # None is what blocked names hold
        problem = (
            hook_problem(plugin, _HOOKS)
            if other is None
            else f"the same object is plugin {other!r} already; give each plugin a module of its own"
        )
        if problem is None:
            state.manager.register(plugin, name=name)
    except Exception as error:
        drop(state, name)
        raise broken(name, what, said(error)) from error
    if problem is not None:
        raise broken(name, what, problem)


def drop(state: State, name: str) -> None:
    """Take plugin ``name`` out, if it is there."""
    if state.manager.get_plugin(name) is not None:
        state.manager.unregister(name=name)
