"""The backend object: CuPy arrays on one CUDA device, on CuPy's current stream and in its memory pool."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from grilly_core.extend import ALONE, DTYPES, Backend, DeviceLostError, Spec, flag
from grilly_cupy.guard import guarded
from grilly_cupy.kernels import kernels
from grilly_cupy.lazy import cp
from grilly_cupy.source import rounded

__all__ = ["CupyBackend"]

Array = Any
_AMPERE = 8  # from which on warps load and multiply halves in the shapes that the kernels use


class CupyBackend(Backend):
    """Arrays are ``cupy.ndarray``.

    Work goes to the stream that is CuPy's current one, memory comes from CuPy's pool, so both are shared with other code
    that uses CuPy, and ``cupy.cuda.set_allocator`` is honoured.

    Args:
        index: the number of the CUDA device.

    Attributes:
        index: the same.
        context: makes the device the current one of this thread, in a ``with`` block.
        elsewhere: whether kernels must do so, as it is not the device that threads start with.
        processors: multiprocessors of the device.
        split_products: large products of float32 go to the tensor cores, each factor split in two parts.
    """

    name = "cupy"
    dtypes = frozenset(DTYPES)
    features = frozenset({"deterministic_scatter", "float64", "ieee_special"})
    kernels = kernels

    def __init__(self, index: int) -> None:
        self.index = index
        self.context = cp.cuda.Device(index)
        self.elsewhere = index != 0
        properties = cp.cuda.runtime.getDeviceProperties(index)
        name = properties["name"].decode()
        self.processors = int(properties["multiProcessorCount"])
        self.split_products = properties["major"] >= _AMPERE and not flag("GRILLY_CUPY_PLAIN_FLOAT")
        self.device = f"{name} (CUDA device {index}, CuPy {cp.__version__})"

    @guarded
    def from_numpy(self, array: np.ndarray) -> Array:
        """A row-major copy on the device."""
        return cp.array(np.asarray(array, order="C"))

    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy on the host; waits for pending work."""
        with self.context, _losses():
            copied: np.ndarray = cp.asnumpy(array)
        return copied

    def spec(self, array: Array) -> Spec:
        """Shape and dtype."""
        return Spec(array.shape, array.dtype.name)

    @guarded
    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> Array:
        """A filled array."""
        is_zero = value == 0 and math.copysign(1.0, value) > 0
        return cp.zeros(shape, dtype) if is_zero else cp.full(shape, rounded(value, dtype), dtype)

    @guarded
    def from_dlpack(self, data: Any) -> Array:
        """An array of another library on this device, in its own memory."""
        return cp.from_dlpack(data)

    def is_exclusive(self, array: Array) -> bool:
        """Whether nobody else holds the array, nor a view of its memory; False for memory not of CuPy's pool."""
        base = array.base
        return (
            sys.getrefcount(array) <= ALONE
            and (base is None or sys.getrefcount(base) <= ALONE)
            and isinstance(array.data.mem, cp.cuda.memory.PooledMemory)
        )

    def synchronize(self) -> None:
        """Return when all work of the device is done."""
        with _losses():
            self.context.synchronize()

    def peak_memory(self, reset: bool = False) -> int:
        """Most bytes that CuPy's pool held since the last ``reset``, which gives back what is idle."""
        with self.context:
            pool = cp.get_default_memory_pool()
            if reset:
                pool.free_all_blocks()
            return int(pool.total_bytes())

    def close(self) -> None:
        """Give idle memory back."""
        with self.context:
            cp.get_default_memory_pool().free_all_blocks()


class _losses:  # noqa: N801 - reads as a statement
    """Errors of the CUDA runtime while waiting mean that an earlier kernel failed: the device is lost to this process."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and isinstance(error, cp.cuda.runtime.CUDARuntimeError):
            raise DeviceLostError(
                f"the CUDA device failed ({error}); start the process again. To find the kernel, run with "
                "CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer"
            ) from error
