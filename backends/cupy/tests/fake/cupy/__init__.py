"""A stand-in for CuPy on machines without a GPU: arrays of NumPy, CUDA kernels compiled for the CPU (``emulator.py``).

It is stricter than NumPy where CuPy is: functions take its own arrays and scalars only, and results of no dimension are
arrays. It has what ``grilly_cupy`` uses and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupy import cuda
from cupy.emulator import RawKernel

__all__ = ["RawKernel", "asnumpy", "cuda", "from_dlpack", "get_default_memory_pool", "ndarray"]

__version__ = "14.0.0"


class _Memory(cuda.PooledMemory):
    pass


class _Pointer:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr
        self.mem = _Memory()


class ndarray(np.ndarray):  # noqa: N801 - CuPy's name
    """An array that NumPy's functions refuse to mix with plain ones."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **kwargs: Any) -> Any:
        for given in inputs:
            if type(given) is np.ndarray:
                raise TypeError(f"Unsupported type {type(given)}")
        plain = [np.asarray(x) if isinstance(x, ndarray) else x for x in inputs]
        if out:
            kwargs["out"] = tuple(np.asarray(x) for x in out)
        with np.errstate(all="ignore"):
            made = getattr(ufunc, method)(*plain, **kwargs)
        return out[0] if out else _own(made)

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a function of NumPy was called with an array of CuPy")

    @property
    def data(self) -> Any:
        return _Pointer(self.ctypes.data if self.size else 0)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, ndarray):
            return _own(np.asarray(self)[np.asarray(item)])
        return _own(np.asarray(self)[item]) if _is_point(self, item) else super().__getitem__(item)

    def sum(self, *args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return _own(np.asarray(self).sum(*args, **kwargs))

    def max(self, *args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return _own(np.asarray(self).max(*args, **kwargs))

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return _own(np.asarray(self).astype(*args, **kwargs))


def _is_point(array: Any, item: Any) -> bool:
    return isinstance(item, tuple | int) and np.ndim(np.asarray(array)[item]) == 0


def _own(value: Any) -> ndarray:
    return np.asarray(value).view(ndarray)


_FUNCTIONS = frozenset({
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "greater_equal", "equal",
    "negative", "absolute", "exp", "log", "sqrt", "tanh", "arctan", "floor", "rint", "where",
    "concatenate", "broadcast_to", "take", "argsort", "searchsorted", "matmul", "ascontiguousarray",
})  # fmt: skip
_MAKERS = frozenset({"empty", "zeros", "full", "arange", "array"})


def __getattr__(name: str) -> Any:
    if name in _MAKERS:
        return lambda *args, **kwargs: _own(getattr(np, name)(*args, **kwargs))
    if name not in _FUNCTIONS:
        raise AttributeError(f"the stand-in for CuPy has no {name}")

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        for given in args:
            if type(given) is np.ndarray:
                raise TypeError(f"Unsupported type {type(given)}")
        plain = [_plain(arg) for arg in args]
        if out is not None:
            kwargs["out"] = np.asarray(out)
        with np.errstate(all="ignore"):
            made = getattr(np, name)(*plain, **kwargs)
        return out if out is not None else _own(made)

    return call


def _plain(arg: Any) -> Any:
    if isinstance(arg, ndarray):
        return np.asarray(arg)
    return [np.asarray(item) for item in arg] if isinstance(arg, list) else arg


def from_dlpack(array: Any) -> ndarray:
    """Shared memory."""
    return _own(np.from_dlpack(array))


def asnumpy(array: ndarray) -> np.ndarray:
    """A copy."""
    assert isinstance(array, ndarray)
    return np.array(np.asarray(array), order="C")


class _Pool:
    def free_all_blocks(self) -> None:
        return

    def total_bytes(self) -> int:
        return 512


def get_default_memory_pool() -> _Pool:
    """Nothing is counted."""
    return _Pool()
