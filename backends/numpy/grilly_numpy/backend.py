"""The backend object: NumPy arrays in host memory."""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np

from grilly_core.extend import ALONE, DTYPES, FEATURES, Backend, ConfigError, Spec
from grilly_numpy import memory
from grilly_numpy.kernels import kernels
from grilly_numpy.threads import thread_count

__all__ = ["NumpyBackend"]


class NumpyBackend(Backend):
    """Arrays are ``numpy.ndarray``; a 0-d result may be a NumPy scalar.

    Example:
        >>> NumpyBackend(None).full((2,), 1.5, "float32")
        array([1.5, 1.5], dtype=float32)
    """

    name = "numpy"
    dtypes = frozenset(DTYPES)
    features = FEATURES
    kernels = kernels

    def __init__(self, device: str | None) -> None:
        if device not in (None, "", "cpu"):
            raise ConfigError(f"backend numpy has one device, 'cpu', not {device!r}")
        threads = thread_count()
        self.device = (
            f"{platform.machine()} CPU, {threads} thread{'s' if threads > 1 else ''}, NumPy {np.__version__}"
        )

    def from_numpy(self, array: np.ndarray) -> np.ndarray:
        """A C-contiguous copy."""
        return np.array(array, copy=True, order="C")

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """The array itself; core copies before it shows it to anybody."""
        return np.asarray(array)

    def spec(self, array: np.ndarray) -> Spec:
        """Shape and dtype."""
        return Spec(array.shape, array.dtype.name)

    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> np.ndarray:
        """A filled array."""
        return np.full(shape, value, dtype)

    def is_exclusive(self, array: np.ndarray) -> bool:
        """Whether nobody else holds the array, nor a view of its memory."""
        base = getattr(array, "base", None)
        return (
            sys.getrefcount(array) <= ALONE
            and (base is None or sys.getrefcount(base) <= ALONE)
            and not memory.is_foreign(array)
        )

    def from_dlpack(self, data: Any) -> np.ndarray:
        """An array of another library in host memory, in its own memory."""
        return np.from_dlpack(data)

    def close(self) -> None:
        """Give idle memory back."""
        memory.trim()
