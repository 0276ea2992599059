"""CUDA C++ on the CPU: a kernel compiled by the host's compiler behind ``shim.hpp``, its grid run as loops.

Threads of a block are coroutines, so ``__syncthreads`` works; fused multiply-add is off, as in the kernels. What a GPU
would take silently, an argument of another size than its parameter or a pointer in place of a number, is refused.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["COMPILER", "RawKernel"]

COMPILER = shutil.which("g++")
_SHIM = Path(__file__).with_name("shim.hpp").read_text("utf-8")
_FOLDER = Path(tempfile.gettempdir()) / f"grilly-cupy-emulator-{os.getuid() if hasattr(os, 'getuid') else 0}"
_FLAGS = ["-std=c++17", "-O0", "-w", "-fPIC", "-shared", "-ffp-contract=off", "-x", "c++"]


def _library(code: str, name: str, options: tuple[str, ...]) -> Path:
    """The shared library of one kernel; kept from run to run under a name made of its source."""
    assert options[0] == "--fmad=false", "a kernel without --fmad=false may contract"
    text = f"{_SHIM}\n{code}\nEMULATE({name})\n"
    key = hashlib.sha256("\0".join([text, *options, *_FLAGS]).encode()).hexdigest()[:32]
    path = _FOLDER / f"{key}.so"
    if path.exists():
        return path
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    part = _FOLDER / f"{key}.{os.getpid()}.part"
    command = [str(COMPILER), *_FLAGS, *options[1:], "-", "-o", str(part)]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} does not compile:\n{done.stderr}")
    part.replace(path)
    return path


class RawKernel:
    """As CuPy's: compiled when first called."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = ()) -> None:
        assert isinstance(options, tuple) and all(isinstance(option, str) for option in options)
        self.code, self.name, self.options = code, name, options
        self.max_dynamic_shared_size_bytes = 48 << 10
        self._loaded: Any = None

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], shared_mem: int = 0
    ) -> None:
        assert isinstance(grid, tuple) and isinstance(block, tuple) and isinstance(args, tuple)
        assert all(isinstance(extent, int) for extent in (*grid, *block))
        assert shared_mem <= self.max_dynamic_shared_size_bytes, "more shared memory than was asked for"
        if self._loaded is None:
            self._loaded = ctypes.CDLL(str(_library(self.code, self.name, self.options)))
        count = self._loaded.parameter_count()
        sizes = (ctypes.c_int * 64).in_dll(self._loaded, "parameter_sizes")
        assert count == len(args), f"{self.name} takes {count} arguments, {len(args)} given"
        cells = [self._cell(i, arg, sizes[i]) for i, arg in enumerate(args)]
        pointers = (ctypes.c_void_p * max(1, len(cells)))(*[cell.ctypes.data for cell in cells])
        extents = [*grid, 1, 1][:3] + [*block, 1, 1][:3]
        self._loaded.emulate((ctypes.c_int * 6)(*extents), pointers)

    def _cell(self, i: int, arg: Any, size: int) -> np.ndarray:
        """The argument in memory. ``size`` is the parameter's: minus the size for floats, 0 for pointers."""
        from cupy import ndarray

        where = f"argument {i} of {self.name}"
        if isinstance(arg, ndarray):
            assert size == 0, f"{where} is an array, the parameter a number"
            return np.array([arg.data.ptr], np.uint64)
        assert isinstance(arg, np.generic), f"{where} is a {type(arg)}"
        if isinstance(arg, np.uintp) and size == 0:
            return np.array([arg])
        assert size != 0, f"{where} is a number, the parameter a pointer"
        assert arg.itemsize == abs(size), f"{where} has {arg.itemsize} bytes, the parameter {abs(size)}"
        assert (arg.dtype.kind == "f") == (size < 0), f"{where} is {arg.dtype}, the parameter of another kind"
        return np.array([arg])
