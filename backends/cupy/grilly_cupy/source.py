"""CUDA C++ kernels: compiled when first launched, one for each dtype and set of constants."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Any

import numpy as np

from grilly_cupy.lazy import cp

__all__ = [
    "BLOCK",
    "GRID_LINES",
    "compile_options",
    "index_type",
    "launch",
    "launch_each",
    "rounded",
    "row_major",
    "source_of",
]

BLOCK = 256
GRID_LINES = 65535  # of a grid in its second and third dimension
_SHARED_UNASKED = 32 << 10  # at least; what a kernel declares itself counts too
_NULL = np.uintp(0)
_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)
_C_NAMES = {
    "float32": "float",
    "float64": "double",
    "int32": "int",
    "uint32": "unsigned",
    "bool": "bool",
}
_Defines = tuple[tuple[str, Any], ...]


@functools.cache
def source_of(file: str) -> str:
    """The text of ``cuda/<file>`` with its own headers in place of their includes.

    Example:
        >>> "block_sum" in source_of("softmax.cu")
        True
    """
    text = resources.files("grilly_cupy").joinpath("cuda", file).read_text("utf-8")
    return _INCLUDE.sub(lambda found: source_of(found[1]), text.replace("#pragma once\n", ""))


def compile_options(dtype: Any, defines: _Defines) -> tuple[str, ...]:
    """Options for NVRTC. Without contraction: a state is rounded as in NumPy, operation by operation."""
    named = (("REAL", _C_NAMES[np.dtype(dtype).name]), *defines)
    return ("--fmad=false", *(f"-D{name}={value}" for name, value in named))


@functools.cache
def _kernel(name: str, dtype: Any, defines: _Defines) -> Any:
    file, _, function = name.partition("/")
    return cp.RawKernel(source_of(f"{file}.cu"), function, compile_options(dtype, defines))


@functools.cache
def _allowed(kernel: Any, shared: int, device: int) -> None:
    """More shared memory than a block gets unasked; the attribute belongs to the kernel on the current device."""
    if shared > _SHARED_UNASKED:
        kernel.max_dynamic_shared_size_bytes = shared


def rounded(value: float, dtype: Any) -> Any:
    """A constant rounded once, as a NumPy scalar; one too large is infinite, as in core."""
    with np.errstate(over="ignore"):
        return np.dtype(dtype).type(value)


_constant = functools.lru_cache(maxsize=4096)(rounded)  # of a kernel, where the sign of zero does not matter


def _argument(value: Any, dtype: Any) -> Any:
    """Arrays and NumPy scalars as they are; None is a null pointer, a float of the kernel's dtype, an int 64 bits wide."""
    kind = type(value)
    if kind is float:
        return _constant(value, dtype)
    if kind is bool:
        return np.int32(value)
    if kind is int:
        return np.int64(value)
    return _NULL if value is None else value


def launch(
    name: str,
    dtype: Any,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    args: tuple[Any, ...],
    shared: int = 0,
    **defines: Any,
) -> None:
    """Launch ``file/function`` on CuPy's current stream.

    Args:
        name: file in ``cuda`` without its ending, and function in it.
        dtype: what REAL is: a dtype of NumPy (its name takes NumPy microseconds to make), or a name.
        grid, block: extents; nothing is launched for an empty grid.
        args: see :func:`_argument`.
        shared: bytes of shared memory whose extent the host gives.
        defines: constants to compile with.
    """
    if 0 in grid:
        return
    kernel = _kernel(name, dtype, tuple(defines.items()))
    given = tuple([_argument(arg, dtype) for arg in args])
    if shared:
        _allowed(kernel, shared, cp.cuda.runtime.getDevice())
        kernel(grid, block, given, shared_mem=shared)
    else:
        kernel(grid, block, given)


def launch_each(name: str, dtype: Any, count: int, args: tuple[Any, ...], **defines: Any) -> None:
    """:func:`launch` with at least ``count`` threads in blocks of :data:`BLOCK`."""
    launch(name, dtype, (-(-count // BLOCK),), (BLOCK,), args, **defines)


def index_type(size: int) -> str:
    """How kernels count this many elements: divisions of 64 bits cost several times those of 32.

    Example:
        >>> index_type(10)
        'unsigned'
    """
    return "unsigned" if size < 2**32 - 2**10 else "Long"


def row_major(array: Any) -> Any:
    """The array in row-major order, itself if it is; None stays None."""
    if array is None or array.flags.c_contiguous:
        return array
    return cp.ascontiguousarray(array)
