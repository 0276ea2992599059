"""Devices, streams and errors of the stand-in. ``faults`` makes it fail as CuPy does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

faults: dict[str, Any] = {}
"""``count``: what getDeviceCount returns or raises; ``compile``, ``synchronize``: raised there."""


class PooledMemory:
    """Memory of the pool."""


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""


class CompileException(Exception):
    """An error of the compiler."""


class OutOfMemoryError(MemoryError):
    """No room."""


def _count() -> int:
    count = faults.get("count", 1)
    if isinstance(count, Exception):
        raise count
    return int(count)


class Device:
    """A device."""

    current: int = 0

    def __init__(self, index: int = 0) -> None:
        self.id = index

    def __enter__(self) -> Device:
        self.before, Device.current = Device.current, self.id
        return self

    def __exit__(self, *error: object) -> None:
        Device.current = self.before

    def synchronize(self) -> None:
        if "synchronize" in faults:
            raise faults["synchronize"]


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDevice=lambda: Device.current,
    getDeviceCount=_count,
    getDeviceProperties=lambda index: {"name": b"stand-in", "major": 8, "multiProcessorCount": 4},
)
compiler = SimpleNamespace(CompileException=CompileException)
memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError, PooledMemory=PooledMemory)
