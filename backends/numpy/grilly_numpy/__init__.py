"""The NumPy backend: any CPU, float32 and float64, the reference that other backends are compared with."""

from __future__ import annotations

from grilly_core.extend import API_VERSION, Backend, BackendInfo, hookimpl


def _open(device: str | None, automatic: bool) -> Backend:
    from grilly_numpy.backend import NumpyBackend

    return NumpyBackend(device)


@hookimpl
def grilly_backend() -> BackendInfo:
    """Describe the backend."""
    return BackendInfo(name="numpy", api_version=API_VERSION, open=_open)
