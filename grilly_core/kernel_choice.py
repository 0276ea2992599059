"""Which kernel runs an op: a kernel pack's if one answers, else the backend's own."""

from __future__ import annotations

from typing import Any

from grilly_core.backend import Backend, Kernel
from grilly_core.discovery import KERNELS, entries, only
from grilly_core.errors import BackendLoadError, KernelError
from grilly_core.plugin_manager import State, add, current, lock, origin, said

__all__ = ["kernel_for"]


def kernel_for(op: Any, backend: Backend) -> Kernel | None:
    """The kernel of ``op`` on ``backend``: a kernel pack's if one answers, else the backend's own. Cached.

    Raises:
        BackendLoadError: a kernel pack of this backend is broken.
        KernelError: a pack answered with something else than a Kernel.
    """
    cache: dict[Any, Kernel | None] = backend.__dict__.setdefault("_kernel_cache", {})
    if op not in cache:
        with lock:
            found = _ask_packs(current(), op, backend.name)
            cache[op] = found if found is not None else backend.kernels.get(op)
    return cache[op]


def _ask_packs(state: State, op: Any, backend: str) -> Kernel | None:
    if backend not in state.packed:
        _load_packs(state, backend)
        state.packed.add(backend)
    asked = {
        name: plugin
        for name, plugin in state.manager.list_name_plugin()
        if name in state.registered or name == backend or name.partition(".")[0] == backend
    }
    others = [plugin for plugin in state.manager.get_plugins() if plugin not in asked.values()]
    hook = state.manager.subset_hook_caller("grilly_kernel", remove_plugins=others)
    try:
        found = hook(op=op, backend=backend)
    except Exception as error:
        raise BackendLoadError(
            f"a kernel pack failed when asked for {op.name} on {backend}: {said(error)}. {_suspects(state, asked)}"
        ) from error
    if found is not None and not isinstance(found, Kernel):
        raise KernelError(
            f"a kernel pack answered for {op.name} on {backend} with a {type(found).__name__}; grilly_kernel returns what "
            f"make_kernel(op, function) makes, or None. {_suspects(state, asked)}"
        )
    return found


def _suspects(state: State, asked: dict[str, Any]) -> str:
    packs = [name for name in asked if "grilly_kernel" in state.hooks(name)]
    return "Asked were: " + "; ".join(f"{name} ({origin(name)[0]}). {origin(name)[1]}" for name in packs)


def _load_packs(state: State, backend: str) -> None:
    # pluggy asks the last registered first.
    for name, listed in sorted(entries(KERNELS).items(), reverse=True):
        loaded = state.manager.get_plugin(name) is not None
        if name.partition(".")[0] == backend and not loaded and not state.manager.is_blocked(name):
            add(state, name, only(listed, "kernel pack").point.load, f"kernel pack {name!r} cannot be loaded")
