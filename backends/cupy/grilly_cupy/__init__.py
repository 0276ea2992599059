"""The CuPy backend: NVIDIA GPUs through CUDA, float32 and float64. Importing this imports no CuPy; opening it does."""

from __future__ import annotations

from grilly_core.extend import API_VERSION, Backend, BackendInfo, hookimpl


def _open(device: str | None, automatic: bool) -> Backend:
    from grilly_cupy.opening import open_backend

    return open_backend(device)


@hookimpl
def grilly_backend() -> BackendInfo:
    """Describe the backend."""
    return BackendInfo(name="cupy", api_version=API_VERSION, open=_open)
