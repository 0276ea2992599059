"""Any Python array API namespace as a grilly backend: PyTorch, JAX, array-api-strict. One line adds another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from grilly_core.extend import Backend, BackendInfo, BackendUnavailable, ConfigError, hookimpl

__all__ = ["Plugin", "jax", "strict", "torch"]


@dataclass(frozen=True)
class Plugin:
    """One entry point: ``module`` is the namespace, imported when the backend opens, after ``prepare()``."""

    name: str
    module: str
    prepare: Callable[[], None] = lambda: None

    @hookimpl
    def grilly_backend(self) -> BackendInfo:
        """Describe the backend."""
        return BackendInfo(name=self.name, api_version=1, open=self._open)

    def _open(self, device: str | None, automatic: bool) -> Backend:
        try:
            self.prepare()
            xp = import_module(self.module)
        except ImportError as error:
            cure = f'pip install "grilly-array-api[{self.name}]"'
            raise BackendUnavailable(f"backend {self.name}: {error}; {cure}") from error
        info = xp.__array_namespace_info__()
        there: dict[Any, Any] = {None: info.default_device()}
        if device is not None:
            there = {str(one).partition("'")[2].rstrip("')") or str(one): one for one in info.devices()}
            there.pop("meta", None)  # PyTorch's device whose arrays hold nothing
        if device not in there:
            raise ConfigError(f"backend {self.name} has the devices {', '.join(there)}, not {device!r}")
        from grilly_array_api.backend import open_backend

        return open_backend(self.name, xp, there[device])


def _widen_jax() -> None:
    import_module("jax").config.update("jax_enable_x64", True)  # or it has neither float64 nor int64


torch = Plugin("torch", "array_api_compat.torch")
strict = Plugin("strict", "array_api_strict")
jax = Plugin("jax", "jax.numpy", _widen_jax)
