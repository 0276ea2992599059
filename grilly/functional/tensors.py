"""Arguments as Tensors."""

from __future__ import annotations

from typing import Any

from grilly_core.tensor import Tensor, tensor

__all__ = ["as_tensor"]


def as_tensor(x: Any) -> Tensor:
    """``x`` itself if it is a Tensor, else one on the active backend; arrays keep their dtype."""
    return x if isinstance(x, Tensor) else tensor(x)
