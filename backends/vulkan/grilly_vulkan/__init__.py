"""The Vulkan backend: any GPU with a Vulkan 1.2 driver, float32, no other library than the driver."""

from __future__ import annotations

from grilly_core.extend import API_VERSION, Backend, BackendInfo, hookimpl


def _open(device: str | None, automatic: bool) -> Backend:
    from grilly_vulkan.backend import open_backend

    return open_backend(device, automatic)


@hookimpl
def grilly_backend() -> BackendInfo:
    """Describe the backend."""
    return BackendInfo(name="vulkan", api_version=API_VERSION, open=_open)
