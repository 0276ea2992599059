"""The NumPy backend: any CPU, float32 and float64, the reference that other backends are compared with."""

from __future__ import annotations

from grilly_core.extend import API_VERSION, Backend, BackendInfo, hookimpl

_opened: Backend | None = None


def _open(device: str | None, automatic: bool) -> Backend:
    """One object for ``numpy`` and ``numpy:cpu``, so that their tensors mix."""
    global _opened
    from grilly_numpy.backend import NumpyBackend

    backend = NumpyBackend(device)
    if _opened is None or _opened.closed:
        _opened = backend
    return _opened


@hookimpl
def grilly_backend() -> BackendInfo:
    """Describe the backend."""
    return BackendInfo(name="numpy", api_version=API_VERSION, open=_open)
