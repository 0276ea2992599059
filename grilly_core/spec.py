"""Shapes and dtypes: what an op knows of an array without touching it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grilly_core.errors import DTypeError

__all__ = ["DTYPES", "FLOATS", "INTS", "Spec", "canonical_dtype", "numpy_dtype"]

FLOATS = ("float32", "float64")
INTS = ("int32", "uint32")
DTYPES = (*FLOATS, *INTS, "bool")

_NUMPY = {name: np.dtype(name) for name in DTYPES}


class Spec(NamedTuple):
    """Shape and dtype of an array; hashable, compared by value.

    Example:
        >>> Spec((2, 3), "float32")
        float32[2,3]
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, tightly packed."""
        return self.size * _NUMPY[self.dtype].itemsize

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a canonical dtype name."""
    return _NUMPY[name]


def canonical_dtype(dtype: Any) -> str:
    """The name grilly uses for ``dtype`` (a name, a NumPy dtype or a scalar type).

    Raises:
        DTypeError: for a dtype grilly has no name for, with the list of those it has.

    Example:
        >>> canonical_dtype(np.float32), canonical_dtype(float)
        ('float32', 'float64')
    """
    if isinstance(dtype, str) and dtype in _NUMPY:
        return dtype
    try:
        name = np.dtype(dtype).name
    except TypeError:
        raise DTypeError(f"{dtype!r} is not a dtype; grilly has {', '.join(DTYPES)}") from None
    if name not in _NUMPY:
        hint = " (half precision is not supported yet)" if name == "float16" else ""
        raise DTypeError(f"dtype {name} is not supported{hint}; convert to one of {', '.join(DTYPES)}")
    return name
