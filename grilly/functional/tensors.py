"""Arguments as Tensors."""

from __future__ import annotations

from typing import Any

from grilly_core.errors import DTypeError
from grilly_core.spec import FLOATS
from grilly_core.tensor import Tensor, tensor

__all__ = ["as_tensor", "float_tensor"]


def as_tensor(x: Any) -> Tensor:
    """``x`` itself if it is a Tensor, else one on the active backend; arrays keep their dtype."""
    return x if isinstance(x, Tensor) else tensor(x)


def float_tensor(x: Any, owner: str) -> Tensor:
    """``as_tensor(x)``, which must be float32 or float64.

    Args:
        x: array, Tensor, number or nested lists.
        owner: the function that takes it, for the error.

    Raises:
        DTypeError: another dtype.
    """
    x = as_tensor(x)
    if x.spec.dtype not in FLOATS:
        raise DTypeError(
            f"{owner} takes float32 or float64, got {x.spec.dtype}; convert with x.astype('float32')"
        )
    return x
