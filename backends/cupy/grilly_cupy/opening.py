"""Finding CuPy and a device, with what to do where one of them is missing."""

from __future__ import annotations

from typing import Any

from grilly_core.extend import BackendUnavailable, ConfigError
from grilly_cupy.backend import CupyBackend
from grilly_cupy.lazy import cp

__all__ = ["open_backend"]

_INSTALL = 'pip install "grilly[cupy]"'
_OTHER = "for CUDA 12 install cupy-cuda12x, for CUDA 13 cupy-cuda13x, and uninstall any other package of CuPy"
_OLDEST = 14

_opened: dict[int, CupyBackend] = {}


def open_backend(device: str | None) -> CupyBackend:
    """The backend on the device that ``GRILLY_BACKEND=cupy[:device]`` means; one object for each device.

    Args:
        device: a number of a CUDA device; None for CuPy's current one.

    Raises:
        BackendUnavailable: CuPy, a driver or a device are missing or do not fit each other, with the cure.
        ConfigError: no device has this number.
    """
    _import()
    count = _count()
    index = _index(device, count)
    found = _opened.get(index)
    if found is None or found.closed:
        _try(index)
        found = _opened[index] = CupyBackend(index)
    return found


def _import() -> None:
    try:
        version = str(cp.__version__)
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise BackendUnavailable(
                f"CuPy is installed without {error.name}, which it needs: {_INSTALL}"
            ) from error
        raise BackendUnavailable(f"CuPy is not installed: {_INSTALL}", optional=True) from error
    except ImportError as error:
        raise BackendUnavailable(
            f"CuPy cannot be imported, mostly because it was built for another version of CUDA ({_short(error)}): "
            f"{_INSTALL}; {_OTHER}"
        ) from error
    if int(version.split(".")[0]) < _OLDEST:
        raise BackendUnavailable(
            f"CuPy {version} is older than {_OLDEST}, which backend cupy needs: {_INSTALL}"
        )


def _count() -> int:
    try:
        count = int(cp.cuda.runtime.getDeviceCount())
    except cp.cuda.runtime.CUDARuntimeError as error:
        text = _short(error)
        cure = (
            f"update the NVIDIA driver, or install CuPy for an older CUDA: {_OTHER}"
            if "InsufficientDriver" in text
            else "check with nvidia-smi that a driver is installed and sees a GPU (in a container: --gpus all)"
        )
        raise BackendUnavailable(
            f"CuPy {cp.__version__} finds no CUDA device ({text}); {cure}. If CuPy is the wrong one: {_INSTALL}"
        ) from error
    if count < 1:
        raise BackendUnavailable("CUDA reports no device; check CUDA_VISIBLE_DEVICES and nvidia-smi")
    return count


def _index(device: str | None, count: int) -> int:
    if not device:
        return int(cp.cuda.runtime.getDevice())
    if not device.isdecimal() or int(device) >= count:
        there = "0" if count == 1 else f"0 to {count - 1}"
        raise ConfigError(f"backend cupy has no such device {device!r}; choose one by number, here {there}")
    return int(device)


def _try(index: int) -> None:
    """Compile and run a kernel and a product, so that a library that is missing shows now and with a name."""
    failures: tuple[Any, ...] = (ImportError, OSError, RuntimeError, cp.cuda.compiler.CompileException)
    try:
        with cp.cuda.Device(index):
            two = cp.full((2, 2), 1.0, "float32") + cp.full((2, 2), 1.0, "float32")
            right = float(cp.asnumpy(cp.matmul(two, two))[1, 1]) == 8.0
    except failures as error:
        raise BackendUnavailable(
            f"CUDA device {index} is there but CuPy {cp.__version__} cannot use it ({_short(error)}): the driver is too old "
            f"for it, or libraries of CUDA are missing (NVRTC, cuBLAS); {_INSTALL}; {_OTHER}"
        ) from error
    if not right:
        raise BackendUnavailable(f"CUDA device {index} computes wrong results; check it with nvidia-smi")


def _short(error: BaseException) -> str:
    """The first telling line of an error; CuPy frames some in lines of equal signs."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.strip("=")), type(error).__name__)
