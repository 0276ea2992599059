"""How arrays get to a shader and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from grilly_core.autograd import no_grad
from grilly_core.errors import DTypeError
from grilly_core.selection import require_native
from grilly_core.tensor import Tensor, full, tensor

__all__ = ["Door"]


class Door:
    """What all shaders share: a backend, arrays placed on it, results read from it."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def _array(self, value: Any) -> np.ndarray:
        """Numbers as float32."""
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"a shader takes arrays of real numbers, got {array.dtype}")
        return array.astype(np.float32)

    def _place(self, value: Any) -> Any:
        """An array of numbers on the device; None stays None."""
        return None if value is None else tensor(self._array(value), backend=self._backend)

    def _state(self, value: Any, like: Tensor, start: float = 0.0) -> Tensor:
        """A state as given, or one constant in the shape of ``like``."""
        placed: Tensor = (
            full(like.shape, start, "float32", self._backend) if value is None else self._place(value)
        )
        return placed

    def _run(self, function: Callable[..., Any], *arrays: Any, native: bool = True, **options: Any) -> Any:
        """``function`` on arrays or tensors; its results as arrays.

        Args:
            function: an op or a function of ops.
            arrays: its tensors.
            native: refuse anything but kernels.
            options: its other arguments.
        """
        placed = [x if isinstance(x, Tensor) else self._place(x) for x in arrays]
        with no_grad(), require_native() if native else nullcontext():
            made = function(*placed, **options)
        return made.numpy() if isinstance(made, Tensor) else tuple([y.numpy() for y in made])
