"""Plugins through pluggy: found by name without importing, loaded one at a time, each failure kept to itself.

Backends live in entry-point group ``grilly.backends`` (the entry point's name is the backend's), kernel packs
in ``grilly.kernels``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pluggy

from grilly_core import config
from grilly_core.backend import API_VERSION, Backend, BackendInfo, Kernel
from grilly_core.errors import BackendLoadError, BackendUnavailable, ConfigError, GrillyError, KernelError

__all__ = [
    "BACKENDS", "KERNELS", "BackendStatus", "available", "block", "hookimpl", "kernel_for", "load", "open_backend",
    "register", "status", "unregister",
]  # fmt: skip

BACKENDS = "grilly.backends"
KERNELS = "grilly.kernels"

hookspec = pluggy.HookspecMarker("grilly")
hookimpl = pluggy.HookimplMarker("grilly")

_INSTALL = {"cupy": 'pip install "grilly[cupy]"'}


class Specs:
    """The two hooks of grilly."""

    @hookspec
    def grilly_backend(self) -> BackendInfo:
        """Describe one backend: name, api_version, open(). Cheap: opens no device."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def grilly_kernel(self, op: Any, backend: str) -> Kernel | None:
        """A kernel for ``op`` on ``backend``, or None. Asked once per op and opened backend."""
        raise NotImplementedError


class _State:
    """The plugin manager and what has been opened, per process."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("grilly")
        self.manager.add_hookspecs(Specs)
        self.infos: dict[str, BackendInfo] = {}
        self.opened: dict[tuple[str, str | None], Backend] = {}
        self.registered: dict[str, Any] = {}
        self.packs_loaded = False
        for name in config.blocked():
            self.manager.set_blocked(name)


_state: _State | None = None


def _get() -> _State:
    global _state
    if _state is None:
        _state = _State()
    return _state


def forget() -> None:
    """Start over: close every backend and forget every plugin (tests)."""
    global _state
    if _state is not None:
        for backend in _state.opened.values():
            backend.close()
    _state = None


def _entry_points(group: str) -> dict[str, list[tuple[metadata.EntryPoint, str, str]]]:
    """Per name: entry point, distribution and version; the same target listed twice counts once."""
    found: dict[str, list[tuple[metadata.EntryPoint, str, str]]] = {}
    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            if point.group != group:
                continue
            listed = found.setdefault(point.name, [])
            if all(point.value != other.value for other, _, _ in listed):
                listed.append((point, distribution.metadata["Name"] or "?", distribution.version))
    return found


def available() -> list[str]:
    """Names of the installed and registered backends, blocked ones left out. Imports nothing."""
    state = _get()
    names = {*_entry_points(BACKENDS), *state.registered}
    return sorted(name for name in names if not state.manager.is_blocked(name))


def load(name: str) -> BackendInfo:
    """Import the plugin of one backend and ask it what it is.

    Raises:
        ConfigError: no such backend is installed, or it is blocked.
        BackendLoadError: the plugin is broken, with entry point, distribution and cause.
    """
    state = _get()
    if state.manager.is_blocked(name):
        raise ConfigError(
            f"backend {name!r} is blocked; take it out of GRILLY_BLOCK, or do not call backends.block({name!r})"
        )
    if name not in state.infos:
        state.infos[name] = _describe(state, name)
    return state.infos[name]


def _describe(state: _State, name: str) -> BackendInfo:
    if name in state.registered:
        return _ask(state, name, f"registered plugin {name!r}")
    points = _entry_points(BACKENDS).get(name, [])
    if not points:
        raise _unknown(name)
    if len(points) > 1:
        owners = " and ".join(f"{owner} {version} ({point.value})" for point, owner, version in points)
        raise BackendLoadError(
            f"backend {name!r} is claimed by two distributions, {owners}; uninstall one of them"
        )
    point, owner, version = points[0]
    origin = f"entry point {name} = {point.value} of {owner} {version}"
    try:
        state.manager.register(point.load(), name=name)
        _check_hooks(state, name)
    except Exception as error:
        _drop(state, name)
        raise BackendLoadError(
            f"backend {name!r} cannot be loaded ({origin}): {_said(error)}{_cure(owner)}"
        ) from error
    return _ask(state, name, origin)


def _cure(owner: str) -> str:
    return f". Reinstall or update {owner}, or block it with GRILLY_BLOCK"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _drop(state: _State, name: str) -> None:
    if state.manager.get_plugin(name) is not None:
        state.manager.unregister(name=name)


def _check_hooks(state: _State, name: str) -> None:
    """Misspelt hooks of this plugin; those of others are theirs to answer for."""
    plugin = state.manager.get_plugin(name)
    known = [hook for hook in vars(Specs) if hook.startswith("grilly_")]
    for attribute in dir(plugin):
        if (
            getattr(getattr(plugin, attribute, None), "grilly_impl", None) is not None
            and attribute not in known
        ):
            close = difflib.get_close_matches(attribute, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
            raise BackendLoadError(f"{attribute} is no hook of grilly{hint}")


def _ask(state: _State, name: str, origin: str) -> BackendInfo:
    """The one BackendInfo of one plugin."""
    others = [
        plugin for plugin in state.manager.get_plugins() if plugin is not state.manager.get_plugin(name)
    ]
    try:
        answers = state.manager.subset_hook_caller("grilly_backend", remove_plugins=others)()
    except Exception as error:
        _drop(state, name)
        raise BackendLoadError(
            f"backend {name!r} cannot describe itself ({origin}): {_said(error)}"
        ) from error
    problem = _problem(name, answers)
    if problem:
        _drop(state, name)
        raise BackendLoadError(f"backend {name!r} ({origin}): {problem}")
    info: BackendInfo = answers[0]
    return info


def _problem(name: str, answers: list[Any]) -> str | None:
    if len(answers) != 1:
        return f"its hook grilly_backend must describe exactly one backend, it described {len(answers)}"
    info = answers[0]
    if not isinstance(info, BackendInfo):
        return f"its hook grilly_backend must return a BackendInfo, it returned {type(info).__name__}"
    if info.api_version != API_VERSION:
        newer = "grilly" if info.api_version > API_VERSION else "the plugin"
        return (
            f"it is written for plugin API {info.api_version}, this grilly has {API_VERSION}; update {newer}"
        )
    if info.name != name:
        return f"it calls itself {info.name!r}; entry point and BackendInfo must have one name"
    return None


def _unknown(name: str) -> ConfigError:
    names = available()
    close = difflib.get_close_matches(name, [*names, *_INSTALL], n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close and close[0] in names else ""
    meant = name if name in _INSTALL else close[0] if close and close[0] in _INSTALL else None
    install = f" For {meant}: {_INSTALL[meant]}" if meant else ""
    return ConfigError(
        f"no backend {name!r} is installed; {hint}installed are {', '.join(names) or 'none'}.{install}"
    )


def open_backend(name: str, device: str | None = None, automatic: bool = False) -> Backend:
    """The backend ``name`` on ``device``; opened once per process and device.

    Raises:
        ConfigError, BackendLoadError: see :func:`load`.
        BackendUnavailable: driver, device or library are missing.
    """
    state = _get()
    key = (name, device)
    if key not in state.opened:
        config.check_environment()
        backend = load(name).open(device, automatic)
        if not isinstance(backend, Backend):
            raise BackendLoadError(
                f"backend {name!r}: open() must return a Backend, it returned {type(backend).__name__}"
            )
        _check_primitives(state, backend)
        state.opened[key] = backend
    return state.opened[key]


def _check_primitives(state: _State, backend: Backend) -> None:
    from grilly_core.op import registry

    missing = [op.name for op in registry().values() if op.is_primitive and kernel_for(op, backend) is None]
    if missing:
        backend.close()
        raise BackendLoadError(
            f"backend {backend.name!r} has no kernel for the primitives {', '.join(missing)}; every backend must have all"
        )


def kernel_for(op: Any, backend: Backend) -> Kernel | None:
    """The kernel of ``op`` on ``backend``: a kernel pack's if one answers, else the backend's own. Cached."""
    cache: dict[Any, Kernel | None] = backend.__dict__.setdefault("_kernel_cache", {})
    if op not in cache:
        state = _get()
        if not state.packs_loaded:
            state.packs_loaded = True
            _load_packs(state)
        found = state.manager.hook.grilly_kernel(op=op, backend=backend.name)
        if found is not None and not isinstance(found, Kernel):
            raise KernelError(
                f"a kernel pack answered for {op.name} on {backend.name} with a {type(found).__name__}; hooks return what "
                "make_kernel(op, function) makes"
            )
        cache[op] = found if found is not None else backend.kernels.get(op)
    return cache[op]


def _load_packs(state: _State) -> None:
    for name, points in _entry_points(KERNELS).items():
        point, owner, version = points[0]
        if state.manager.is_blocked(name):
            continue
        origin = f"entry point {name} = {point.value} of {owner} {version}"
        try:
            state.manager.register(point.load(), name=name)
            _check_hooks(state, name)
        except Exception as error:
            _drop(state, name)
            state.packs_loaded = False
            raise BackendLoadError(
                f"kernel pack {name!r} cannot be loaded ({origin}): {_said(error)}{_cure(owner)}"
            ) from error


def block(name: str) -> None:
    """Never load the backend or kernel pack ``name`` in this process; an open one is forgotten."""
    state = _get()
    state.manager.set_blocked(name)
    _forget_kernels(state, name)


def register(plugin: Any, name: str) -> None:
    """Add a plugin without installing it (tests, notebooks): a module or object with hook implementations.

    Raises:
        ConfigError: the name is blocked or taken.
    """
    state = _get()
    if state.manager.is_blocked(name):
        raise ConfigError(f"plugin {name!r} is blocked")
    if name in state.registered or name in _entry_points(BACKENDS):
        raise ConfigError(f"a backend {name!r} exists already; choose another name or unregister it first")
    state.manager.register(plugin, name=name)
    try:
        _check_hooks(state, name)
    except BackendLoadError:
        _drop(state, name)
        raise
    state.registered[name] = plugin
    _forget_kernels(state, None)


def unregister(name: str) -> None:
    """Take back what ``register`` added; its backend is closed."""
    state = _get()
    if state.registered.pop(name, None) is None:
        raise ConfigError(f"no plugin {name!r} was registered")
    _drop(state, name)
    _forget_kernels(state, name)


def _forget_kernels(state: _State, name: str | None) -> None:
    """Ask again for every kernel; close the backend ``name``."""
    from grilly_core.op import registry

    state.infos.pop(name or "", None)
    for key in [key for key in state.opened if key[0] == name]:
        state.opened.pop(key).close()
    for backend in state.opened.values():
        backend.__dict__.pop("_kernel_cache", None)
    for op in registry().values():
        op.plans.clear()


@dataclass(frozen=True)
class BackendStatus:
    """What ``grilly doctor`` shows of one backend.

    Attributes:
        name: the backend.
        distribution: who supplies it, with version.
        state: 'available', 'unavailable' (machine lacks something), 'broken' (plugin at fault) or 'blocked'.
        device: the device in words, '' unless available.
        reason: why it cannot be used, with what to do; '' if it can.
    """

    name: str
    distribution: str
    state: str
    device: str
    reason: str


def status() -> list[BackendStatus]:
    """Try every installed backend. Never raises."""
    state = _get()
    points = _entry_points(BACKENDS)
    report = []
    for name in sorted({*points, *state.registered}):
        owner = (
            ", ".join(f"{who} {version}" for _, who, version in points.get(name, []))
            or "registered in this process"
        )
        report.append(BackendStatus(name, owner, *_try(state, name)))
    return report


def _try(state: _State, name: str) -> tuple[str, str, str]:
    if state.manager.is_blocked(name):
        return "blocked", "", "blocked by GRILLY_BLOCK or backends.block()"
    try:
        return "available", open_backend(name).device, ""
    except BackendUnavailable as error:
        return "unavailable", "", str(error)
    except GrillyError as error:
        return "broken", "", str(error)
    except Exception as error:  # noqa: BLE001 - doctor reports whatever a plugin does
        return "broken", "", _said(error)
