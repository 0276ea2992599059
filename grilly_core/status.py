"""What ``grilly devices`` and ``grilly doctor`` show: every installed backend and kernel pack, tried."""

from __future__ import annotations

from dataclasses import dataclass

from grilly_core import plugins
from grilly_core.discovery import BACKENDS, KERNELS, entries
from grilly_core.errors import BackendUnavailable, ConfigError, GrillyError
from grilly_core.plugin_manager import State, current, said

__all__ = ["BackendStatus", "PackStatus", "kernel_packs", "status"]


@dataclass(frozen=True)
class BackendStatus:
    """What is known of one backend.

    Attributes:
        name: the backend.
        distribution: who supplies it, with version.
        state: 'available', 'unavailable' (machine lacks something), 'misconfigured' (a setting it cannot follow),
            'broken' (plugin at fault) or 'blocked'.
        device: the device in words, '' unless available.
        reason: why it cannot be used, with what to do; '' if it can.
    """

    name: str
    distribution: str
    state: str
    device: str
    reason: str


@dataclass(frozen=True)
class PackStatus:
    """What is known of one installed kernel pack; whether its kernels work shows in the backend's status.

    Attributes:
        name: its entry point, ``backend.pack``.
        distribution: who supplies it, with version.
        backend: the backend it has kernels for.
        reason: why it is never asked, with what to do; '' if it is.
    """

    name: str
    distribution: str
    backend: str
    reason: str


def status() -> list[BackendStatus]:
    """Try every installed backend. Never raises, whatever a plugin or the environment does.

    Example:
        >>> from grilly import backends
        >>> [(one.name, one.state) for one in backends.status() if one.name == "numpy"]
        [('numpy', 'available')]
    """
    state = current()
    listed = entries(BACKENDS)
    report = []
    for name in plugins.installed():
        owners = ", ".join(entry.owner for entry in listed.get(name, [])) or "registered in this process"
        report.append(BackendStatus(name, owners, *_try(state, name)))
    return report


def _try(state: State, name: str) -> tuple[str, str, str]:
    if state.manager.is_blocked(name):
        return "blocked", "", f"take {name} out of GRILLY_BLOCK, or do not call backends.block({name!r})"
    try:
        return "available", plugins.open_unchecked(name).device, ""
    except BackendUnavailable as error:
        return "unavailable", "", str(error)
    except ConfigError as error:
        return "misconfigured", "", str(error)
    except GrillyError as error:
        return "broken", "", str(error)
    except Exception as error:  # noqa: BLE001 - doctor reports whatever a plugin does
        return "broken", "", said(error)


def kernel_packs() -> list[PackStatus]:
    """The installed kernel packs by name. Imports nothing."""
    state = current()
    backends = plugins.installed()
    report = []
    for name, listed in sorted(entries(KERNELS).items()):
        backend, dot, _ = name.partition(".")
        if state.manager.is_blocked(name):
            reason = "blocked by GRILLY_BLOCK or backends.block()"
        elif not dot:
            reason = "its entry point must be named backend.pack, such as numpy.fast; tell its author"
        elif backend not in backends:
            reason = f"no backend {backend!r} is installed"
        else:
            reason = ""
        report.append(PackStatus(name, ", ".join(entry.owner for entry in listed), backend, reason))
    return report
