"""Plugins through pluggy: found by name without importing, loaded one at a time, each failure kept to itself.

Backends live in entry-point group ``grilly.backends`` (the entry point's name is the backend's), kernel packs
in ``grilly.kernels`` (its name is ``backend.pack``; it is loaded when that backend opens, and asked for it only).
"""

from __future__ import annotations

import difflib
from typing import Any

from grilly_core import config
from grilly_core.backend import Backend, BackendInfo
from grilly_core.discovery import BACKENDS, KERNELS, entries, only
from grilly_core.errors import BackendUnavailable, ConfigError
from grilly_core.kernel_choice import kernel_for
from grilly_core.plugin_checks import backend_problem, info_problem
from grilly_core.plugin_manager import State, add, broken, current, drop, forget_state, hookimpl, lock, said

__all__ = [
    "AUTOMATIC", "available", "block", "check_settings", "forget", "hookimpl", "installed", "kernel_for", "load",
    "open_backend", "open_unchecked", "register", "unregister",
]  # fmt: skip

AUTOMATIC = ("vulkan", "cupy", "numpy")
"""Grilly's own backends, in the order in which automatic choice tries them."""

_INSTALL = {"cupy": 'pip install "grilly[cupy]"'}


def forget() -> None:
    """Start over: close every backend and forget every plugin (tests)."""
    state = forget_state()
    if state is not None:
        _close(list(state.opened.values()))


def available() -> list[str]:
    """Names of the installed and registered backends, blocked ones left out. Imports nothing."""
    state = current()
    return [name for name in installed() if not state.manager.is_blocked(name)]


def installed() -> list[str]:
    """Names of the installed and registered backends, blocked ones too. Imports nothing."""
    state = current()
    registered = [name for name in state.registered if "grilly_backend" in state.hooks(name)]
    return sorted({*entries(BACKENDS), *registered})


def load(name: str) -> BackendInfo:
    """Import the plugin of one backend and ask it what it is.

    Raises:
        ConfigError: no such backend is installed, or it is blocked.
        BackendLoadError: the plugin is broken, with entry point, distribution and cause.
    """
    state = current()
    with lock:
        if state.manager.is_blocked(name):
            raise ConfigError(
                f"backend {name!r} is blocked; take it out of GRILLY_BLOCK, or do not call backends.block({name!r})"
            )
        if name not in state.infos:
            state.infos[name] = _describe(state, name)
        return state.infos[name]


def _describe(state: State, name: str) -> BackendInfo:
    if name not in state.registered:
        listed = entries(BACKENDS).get(name)
        if not listed:
            raise _unknown(name)
        entry = only(listed, "backend")
        add(state, name, entry.point.load, f"backend {name!r} cannot be loaded")
    return _ask(state, name)


def _ask(state: State, name: str) -> BackendInfo:
    """The one BackendInfo of one plugin. An installed one that does not give it is dropped, to be loaded again."""
    mine = state.manager.get_plugin(name)
    others = [plugin for plugin in state.manager.get_plugins() if plugin is not mine]
    cause: Exception | None = None
    try:
        answers = state.manager.subset_hook_caller("grilly_backend", remove_plugins=others)()
        problem = info_problem(name, answers)
    except Exception as error:  # noqa: BLE001 - raised below, with the plugin named
        cause, problem = error, said(error)
    if problem is None:
        info: BackendInfo = answers[0]
        return info
    if name not in state.registered:
        drop(state, name)
    raise broken(name, f"backend {name!r} cannot describe itself", problem) from cause


def _unknown(name: str) -> ConfigError:
    names = available()
    close = difflib.get_close_matches(name, [*names, *_INSTALL], n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close and close[0] in names else ""
    meant = name if name in _INSTALL else close[0] if close and close[0] in _INSTALL else None
    install = f" For {meant}: {_INSTALL[meant]}" if meant and meant not in names else ""
    return ConfigError(
        f"no backend {name!r} is installed; {hint}installed are {', '.join(names) or 'none'}.{install}"
    )


def check_settings() -> None:
    """Refuse misspelt settings: variables, and names in ``GRILLY_BLOCK`` that resemble an installed one.

    Raises:
        ConfigError: saying what was probably meant.
    """
    config.check_environment()
    known = {*installed(), *entries(KERNELS)}
    for name in config.blocked():
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if close and name not in known and name not in AUTOMATIC:
            raise ConfigError(
                f"GRILLY_BLOCK: nothing named {name!r} is installed; did you mean {close[0]!r}?"
            )


def open_backend(name: str, device: str | None = None, automatic: bool = False) -> Backend:
    """The backend ``name`` on ``device``; opened once per process and device.

    Args:
        name: the backend.
        device: which of its devices; None lets it choose.
        automatic: the user named no backend; one that should not be chosen by itself declines.

    Raises:
        ConfigError, BackendLoadError: see :func:`load`.
        BackendUnavailable: driver, device or library are missing.
    """
    state = current()
    with lock:
        if (name, device) not in state.opened:
            check_settings()
        return _open(state, name, device, automatic)


def open_unchecked(name: str) -> Backend:
    """As :func:`open_backend`, whatever the environment holds (``grilly doctor``)."""
    with lock:
        return _open(current(), name, None, False)


def _open(state: State, name: str, device: str | None, automatic: bool) -> Backend:
    key = (name, device)
    known = state.opened.get(key)
    if known is not None and (not automatic or key in state.accepted):
        return known
    backend = _open_anew(load(name), device, automatic)
    if automatic:
        state.accepted.add(key)
    if known is not None:
        # Opened by name before: automatic choice only wanted to hear whether it agrees.
        if backend is not known:
            backend.close()
        return known
    state.opened[key] = backend
    return backend


def _open_anew(info: BackendInfo, device: str | None, automatic: bool) -> Backend:
    name, what = info.name, f"backend {info.name!r} cannot be opened"
    try:
        backend = info.open(device, automatic)
    except (BackendUnavailable, ConfigError):
        raise
    except Exception as error:
        raise broken(name, what, said(error)) from error
    if problem := backend_problem(name, backend):
        if isinstance(backend, Backend):
            backend.close()
        raise broken(name, what, problem)
    backend.closed = False
    try:
        _check_primitives(backend)
    except BaseException:
        _close([backend])
        raise
    return backend


def _check_primitives(backend: Backend) -> None:
    from grilly_core.op import registry

    missing = [op.name for op in registry().values() if op.is_primitive and kernel_for(op, backend) is None]
    if missing:
        why = f"it has no kernel for the primitives {', '.join(missing)}; every backend must have all"
        raise broken(backend.name, f"backend {backend.name!r} cannot be opened", why)


def block(name: str) -> None:
    """Never load the backend or kernel pack ``name`` in this process; an open backend is closed.

    Example:
        >>> from grilly import backends
        >>> backends.block("foo")
        >>> "foo" in backends.available()
        False
    """
    state = current()
    with lock:
        state.manager.set_blocked(name)
        _reconsider(state, name)


def register(plugin: Any, name: str) -> None:
    """Add a plugin without installing it (tests, notebooks): a module or object with hook implementations.

    Args:
        plugin: implements ``grilly_backend``, ``grilly_kernel`` or both.
        name: the backend's name, or any free name for a kernel pack, which is asked for every backend.

    Raises:
        ConfigError: the name is blocked or taken.
        BackendLoadError: its hooks do not fit.
    """
    state = current()
    with lock:
        if state.manager.is_blocked(name):
            raise ConfigError(
                f"plugin {name!r} is blocked; choose another name or take it out of GRILLY_BLOCK"
            )
        if name in state.registered or name in entries(BACKENDS) or name in entries(KERNELS):
            raise ConfigError(f"a plugin {name!r} exists already; choose another name or unregister it first")
        add(state, name, lambda: plugin, f"plugin {name!r} cannot be registered")
        state.registered[name] = plugin
        _reconsider(state, name)


def unregister(name: str) -> None:
    """Take back what ``register`` added; its backend is closed.

    Raises:
        ConfigError: nothing of this name was registered.
    """
    state = current()
    with lock:
        if state.registered.pop(name, None) is None:
            raise ConfigError(
                f"no plugin {name!r} was registered; registered are {', '.join(state.registered) or 'none'}"
            )
        drop(state, name)
        _reconsider(state, name)


def _reconsider(state: State, name: str) -> None:
    """After plugin ``name`` came or went: close its backends, ask again for every kernel."""
    from grilly_core.op import registry

    state.infos.pop(name, None)
    gone = [key for key in state.opened if key[0] == name]
    _close([state.opened.pop(key) for key in gone])
    state.accepted.difference_update(gone)
    for backend in state.opened.values():
        backend.__dict__.pop("_kernel_cache", None)
    for op in registry().values():
        op.plans.clear()


def _close(backends: list[Backend]) -> None:
    """Close each once, the rest also when one fails; a plugin may open the same object again."""
    from grilly_core.op import registry

    for op in registry().values():
        op.plans.clear()
    failures: list[Exception] = []
    for backend in {id(backend): backend for backend in backends}.values():
        backend.closed = True
        backend.__dict__.pop("_kernel_cache", None)
        try:
            backend.close()
        except Exception as error:  # noqa: BLE001 - raised below, once the others are closed
            failures.append(error)
    if failures:
        raise ExceptionGroup("backends that did not close", failures)
