"""Keeps OpenBLAS from starting threads of its own below threads of ours."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numpy.linalg import _umath_linalg

__all__ = ["single_threaded"]

_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
)

_lock = threading.Lock()
_users = 0
_saved = 1


@functools.cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    # A symbol looked up in an extension module is also searched in the libraries it was linked with:
    # that finds the very BLAS NumPy uses, whatever its file is called.
    library = ctypes.CDLL(_umath_linalg.__file__)
    for name in _NAMES:
        try:
            getter, setter = getattr(library, name.format("get")), getattr(library, name.format("set"))
        except AttributeError:
            continue
        getter.argtypes, getter.restype = [], ctypes.c_int
        setter.argtypes, setter.restype = [ctypes.c_int], None
        return getter, setter
    return None


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run the block with OpenBLAS on the calling thread only; the old setting comes back at the end.

    Two threads that each call a BLAS which is itself threaded take turns on its one pool; one BLAS thread
    each is a quarter faster. The setting belongs to the process, so overlapping blocks are counted. With
    another BLAS than OpenBLAS this does nothing: results are the same, only the timing differs.

    Example:
        >>> import numpy as np
        >>> with single_threaded():
        ...     float(np.ones((2, 3)) @ np.ones((3, 2)) @ np.ones(2) @ np.ones(2))
        12.0
    """
    global _users, _saved
    control = _openblas()
    if control is None:
        yield
        return
    get, put = control
    with _lock:
        if _users == 0:
            _saved = get()
            put(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                put(_saved)
