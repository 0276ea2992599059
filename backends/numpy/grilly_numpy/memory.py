"""Large result arrays whose memory is used again.

A fresh array of many megabytes costs more than filling it: the system maps and clears every page. Arrays made
here give their memory back when the last view of them is gone, and the next array of that size takes it.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np

from grilly_core.extend import ConfigError

__all__ = ["empty", "idle_bytes", "is_foreign", "trim"]

_VARIABLE = "GRILLY_NUMPY_POOL_MB"
_DEFAULT_MB = 256
_ALIGNMENT = 64  # a cache line: SIMD loads that straddle two are slower
_SMALLEST = 1 << 18  # smaller ones the C library keeps at hand itself


class _Pool:
    """Idle buffers, oldest first, up to a limit in bytes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[np.ndarray] = []
        self.bytes = 0
        self._limit: int | None = None

    @property
    def limit(self) -> int:
        if self._limit is None:
            self._limit = _configured()
        return self._limit

    def take(self, nbytes: int) -> np.ndarray:
        with self.lock:
            for i in range(len(self.idle) - 1, -1, -1):
                if self.idle[i].nbytes == nbytes:
                    self.bytes -= nbytes
                    return self.idle.pop(i)
        buffer = np.empty(nbytes + _ALIGNMENT, np.uint8)
        start = -buffer.ctypes.data % _ALIGNMENT
        return buffer[start : start + nbytes]

    def give(self, buffer: np.ndarray) -> None:
        # Never waits: a garbage collection can end a lease while this very thread holds the lock.
        # The buffer is then simply freed.
        if self.lock.acquire(blocking=False):
            try:
                self.idle.append(buffer)
                self.bytes += buffer.nbytes
                self._shrink(self.limit)
            finally:
                self.lock.release()

    def trim(self) -> None:
        with self.lock:
            self._shrink(0)

    def _shrink(self, limit: int) -> None:
        while self.bytes > limit:
            self.bytes -= self.idle[0].nbytes
            del self.idle[0]


class _Lease:
    """The owner of an array's memory: NumPy keeps it as the ``base`` of every view."""

    __slots__ = ("__array_interface__", "buffer", "pool")

    def __init__(self, pool: _Pool, buffer: np.ndarray) -> None:
        self.pool = pool
        self.buffer = buffer
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self) -> None:
        self.pool.give(self.buffer)


_pool = _Pool()


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialised C-contiguous array like ``numpy.empty``'s; large ones come from the pool.

    Args:
        shape: extents.
        dtype: the dtype.

    Example:
        >>> empty((2, 3), np.dtype("float32")).shape
        (2, 3)
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _SMALLEST or nbytes > _pool.limit:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_pool, _pool.take(nbytes))).view(dtype).reshape(shape)


def is_foreign(array: np.ndarray) -> bool:
    """Whether the memory was made by another library, which may still use it.

    Example:
        >>> is_foreign(empty((2,), np.dtype("float32"))), is_foreign(np.from_dlpack(np.ones(2)))
        (False, True)
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner is not None and not isinstance(owner, _Lease)


def idle_bytes() -> int:
    """Bytes that the pool holds for later arrays.

    Example:
        >>> trim()
        >>> idle_bytes()
        0
    """
    return _pool.bytes


def trim() -> None:
    """Give all idle memory back to the system.

    Example:
        >>> trim()
    """
    _pool.trim()


def _configured() -> int:
    text = os.environ.get(_VARIABLE, "").strip()
    if text and not text.isdecimal():
        raise ConfigError(f"{_VARIABLE}={text!r} is not a number of megabytes; set 0 or more, or unset it")
    return int(text or _DEFAULT_MB) << 20


def _after_fork() -> None:
    _pool.lock = threading.Lock()  # its holder may not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
