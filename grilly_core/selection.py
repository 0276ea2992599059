"""Which backend new tensors go to.

``with using(name)`` beats ``use_backend(name)`` beats ``GRILLY_BACKEND`` beats automatic choice. Ops follow their
arguments; only new tensors ask here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from grilly_core import config, plugins
from grilly_core.backend import Backend
from grilly_core.errors import BackendUnavailable, ConfigError
from grilly_core.plugin_manager import lock

__all__ = [
    "current_backend",
    "native_required",
    "require_native",
    "reset_selection",
    "resolve",
    "use_backend",
    "using",
]

_log = logging.getLogger("grilly")

_scoped: ContextVar[Backend | None] = ContextVar("grilly_backend", default=None)
_native: ContextVar[bool | None] = ContextVar("grilly_require_native", default=None)
_default: Backend | None = None
_chosen = False
_native_from_environment: bool | None = None


def current_backend() -> Backend:
    """The backend that new tensors go to; decided and opened on first use.

    Raises:
        ConfigError, BackendLoadError, BackendUnavailable: the requested backend cannot be used.
        ExceptionGroup: no backend was requested and none works, with every reason.
    """
    scoped = _scoped.get()
    if scoped is not None and not scoped.closed:
        return scoped
    if scoped is None and _default is not None and not _default.closed:
        return _default
    return _decide(scoped)


def _decide(scoped: Backend | None) -> Backend:
    """The default of this process, where none is open."""
    global _default
    with lock:
        closed = scoped or (_default if _chosen else None)
        if closed is not None and closed.closed:
            raise ConfigError(
                f"backend {closed.name!r} was chosen for new tensors and has been closed since, by backends.block or "
                "unregister; choose another with use_backend()"
            )
        if _default is None or _default.closed:
            plugins.check_settings()
            requested = config.requested_backend()
            _default = plugins.open_backend(*requested) if requested else _choose()
        return _default


def _choose() -> Backend:
    """The first of the known backends that works; other people's are never chosen by themselves."""
    installed = plugins.available()
    skipped: list[BackendUnavailable] = []
    reasons: list[str] = []
    for name in plugins.AUTOMATIC:
        if name not in installed:
            continue
        try:
            backend = plugins.open_backend(name, None, automatic=True)
        except BackendUnavailable as error:
            skipped.append(error)
            reasons.append(f"{name}: {error}")
            continue
        for reason, absent in zip(reasons, skipped, strict=True):
            level = logging.DEBUG if absent.optional else logging.WARNING
            _log.log(level, "using backend %s; skipped %s", name, reason)
        return backend
    if skipped:
        raise ExceptionGroup(f"no backend works on this machine: {'; '.join(reasons)}", skipped)
    raise ConfigError(
        f"none of the backends {', '.join(plugins.AUTOMATIC)} is installed or allowed; installed are "
        f"{', '.join(installed) or 'none'}. Reinstall grilly, or choose one with GRILLY_BACKEND or use_backend()"
    )


def resolve(backend: str | Backend) -> Backend:
    """A backend from ``name``, ``name:device`` or itself."""
    if isinstance(backend, Backend):
        return backend
    if not isinstance(backend, str):
        raise ConfigError(f"a backend is chosen by name, e.g. 'numpy' or 'vulkan:1'; got {backend!r}")
    return plugins.open_backend(*config.split_backend(backend, "backend"))


def use_backend(backend: str | Backend) -> Backend:
    """Send new tensors to ``backend`` from now on.

    Args:
        backend: ``name`` or ``name:device``.

    Returns:
        The opened backend.

    Raises:
        ConfigError: no such backend is installed; says which are.
        BackendUnavailable: it lacks a driver, device or library; says what to install.

    Example:
        >>> import grilly
        >>> grilly.use_backend("numpy").name
        'numpy'
    """
    global _default, _chosen
    opened = resolve(backend)
    with lock:
        _default, _chosen = opened, True
    return opened


@contextmanager
def using(backend: str | Backend) -> Iterator[Backend]:
    """Send new tensors to ``backend`` inside the block (this thread or task only).

    Example:
        >>> import grilly
        >>> with grilly.backend("numpy"):
        ...     grilly.tensor([1.0]).backend
        'numpy'
    """
    chosen = resolve(backend)
    token = _scoped.set(chosen)
    try:
        yield chosen
    finally:
        _scoped.reset(token)


@contextmanager
def require_native(required: bool = True) -> Iterator[None]:
    """Refuse, inside the block, every op that would run as a composite.

    For benchmarks, and to assert that a fused kernel is really used. ``GRILLY_REQUIRE_NATIVE=1`` does it for a
    whole program.
    """
    token = _native.set(required)
    try:
        yield
    finally:
        _native.reset(token)


def native_required() -> bool:
    """Whether composites are refused now."""
    global _native_from_environment
    scoped = _native.get()
    if scoped is not None:
        return scoped
    if _native_from_environment is None:
        _native_from_environment = config.flag("GRILLY_REQUIRE_NATIVE")
    return _native_from_environment


def reset_selection() -> None:
    """Decide again on next use (tests; a changed environment)."""
    global _default, _chosen, _native_from_environment
    _default, _chosen = None, False
    _native_from_environment = None
