"""Parameters: leaves of the tape that keep their identity while optimisers replace their contents."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_core.errors import DTypeError, ShapeError
from grilly_core.spec import FLOATS
from grilly_core.tensor import Tensor, tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that a module learns; assigning one to a module's attribute registers it.

    Args:
        data: anything ``grilly.tensor`` takes; a Tensor stays on its backend.
        requires_grad: False freezes it.

    Example:
        >>> from grilly import nn
        >>> nn.Parameter([0.5, 1.0]).requires_grad
        True
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        made = tensor(data, backend=data._backend if isinstance(data, Tensor) else None)
        if made.spec.dtype not in FLOATS:
            raise DTypeError(f"a parameter must be float32 or float64, not {made.spec.dtype}")
        super().__init__(made._data, made._backend, made.spec, requires_grad)

    def assign(self, data: Any) -> None:
        """Replace the contents, keeping shape, dtype and backend. Graphs recorded before keep the old ones.

        Args:
            data: a NumPy array or a Tensor of the parameter's shape.

        Raises:
            ShapeError: for another shape.
        """
        source = data.numpy() if isinstance(data, Tensor) and data._backend is not self._backend else data
        fresh = source if isinstance(source, Tensor) else np.asarray(source)
        if tuple(fresh.shape) != self.shape:
            raise ShapeError(
                f"contents of shape {tuple(fresh.shape)} do not fit a parameter of shape {self.shape}"
            )
        self._data = tensor(fresh, dtype=self.dtype, backend=self._backend)._data
