"""What every call on the device is wrapped in: the right device, and CuPy's errors as grilly's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from grilly_core.extend import BackendUnavailable, OutOfMemoryError
from grilly_cupy.lazy import cp

__all__ = ["guarded"]

_F = TypeVar("_F", bound=Callable[..., Any])


def guarded(function: _F) -> _F:
    """``function(backend, ...)`` on the backend's device.

    Raises:
        OutOfMemoryError: the device has no room, in words and with what helps.
        BackendUnavailable: CuPy cannot compile the kernel, with the line that says why.
    """

    @functools.wraps(function)
    def call(device: Any, *args: Any, **attrs: Any) -> Any:
        try:
            if device.elsewhere:
                with device.context:
                    return function(device, *args, **attrs)
            return function(device, *args, **attrs)
        except MemoryError as error:
            if not isinstance(error, cp.cuda.memory.OutOfMemoryError):
                raise
            raise OutOfMemoryError(
                f"{device.device} has no room for another array: {error}. Use a smaller batch or fewer time steps, or drop "
                "tensors that are not needed; cupy.get_default_memory_pool().free_all_blocks() gives idle memory back"
            ) from error
        except Exception as error:  # CuPy's name for this one is only looked up when something went wrong
            if not isinstance(error, cp.cuda.compiler.CompileException):
                raise
            lines = [line.strip() for line in str(error).splitlines()]
            said = next((line for line in lines if "error" in line), lines[0] if lines else "no reason given")
            raise BackendUnavailable(
                f"a kernel does not compile on {device.device}: {said}. NVRTC and CuPy may not fit each other: "
                "cupy.show_config() prints both; reinstall CuPy for this CUDA, or clear ~/.cupy/kernel_cache"
            ) from error

    return cast(_F, call)
