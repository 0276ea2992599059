"""The global random state: a seed and the number of the next draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly_core import selection
from grilly_core.errors import DTypeError
from grilly_core.ops.random import philox, uniform
from grilly_core.spec import FLOATS, canonical_dtype
from grilly_core.tensor import Tensor, tensor

__all__ = ["get_state", "next_stream", "rand", "randn", "seed", "set_state"]

_state = {"seed": 0, "stream": 0}


def seed(value: int) -> None:
    """Start the random sequence that belongs to ``value``; the same on every backend.

    Initialisers, dropout, encoders and ``grilly.rand`` draw from it.

    Args:
        value: an integer from 0 to 2**64 - 1.

    Example:
        >>> import grilly
        >>> grilly.seed(0)
        >>> first = grilly.rand(2).numpy()
        >>> grilly.seed(0)
        >>> bool((grilly.rand(2).numpy() == first).all())
        True
    """
    _state.update(seed=whole_number(value, "a seed", 0, 2**64 - 1), stream=0)


def get_state() -> tuple[int, int]:
    """The seed and the number of the next draw; ``set_state`` continues from there."""
    return _state["seed"], _state["stream"]


def set_state(state: tuple[int, int]) -> None:
    """Continue a sequence where ``get_state`` was called."""
    stream = whole_number(state[1], "the number of the next draw", 0, 2**64 - 1)
    seed(state[0])
    _state["stream"] = stream


def next_stream() -> tuple[int, int]:
    """Seed and number of a draw nobody has used."""
    drawn = _state["seed"], _state["stream"]
    _state["stream"] += 1
    return drawn


def _shape(shape: Any) -> tuple[int, ...]:
    extents = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    return tuple([whole_number(extent, "an extent of shape", 0) for extent in extents])


def _float_dtype(dtype: Any, owner: str) -> str:
    name = canonical_dtype(dtype)
    if name not in FLOATS:
        raise DTypeError(f"{owner} draws float32 or float64, not {name}; convert the result with astype")
    return name


def rand(shape: Any, dtype: Any = "float32") -> Tensor:
    """Uniform numbers in [0, 1) on the active backend.

    Args:
        shape: an int or a tuple.
        dtype: float32 or float64.
    """
    extents, name, backend = _shape(shape), _float_dtype(dtype, "rand"), selection.current_backend()
    return uniform(extents, *next_stream(), name, backend)


def host_uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Uniform float64 numbers in (0, 1), drawn on the host so that every backend starts from the same weights."""
    number, stream = next_stream()
    words = philox(math.prod(shape), number, stream).astype(np.float64)
    return ((words + 0.5) * 2.0**-32).reshape(shape)


def host_normal(shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float64 numbers, drawn on the host (Box & Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log(host_uniform(shape)))
    return radius * np.cos(2.0 * np.pi * host_uniform(shape))


def randn(shape: Any, dtype: Any = "float32") -> Tensor:
    """Standard normal numbers on the active backend.

    Args:
        shape: an int or a tuple.
        dtype: float32 or float64.
    """
    name = _float_dtype(dtype, "randn")
    return tensor(host_normal(_shape(shape)), dtype=name)
