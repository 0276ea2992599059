"""Losses as modules."""

from __future__ import annotations

from typing import Any

from grilly import functional as F
from grilly.nn.module import Module
from grilly_core.tensor import Tensor

__all__ = ["CrossEntropyLoss", "MSELoss"]


class _Loss(Module):
    def _as_tensor(self, value: Any) -> Any:
        # Labels are integers and a target has the dtype of the output: F decides.
        return value


class CrossEntropyLoss(_Loss):
    """``F.cross_entropy`` as a module.

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> round(nn.CrossEntropyLoss()(np.zeros((1, 4), "float32"), np.array([2])).item(), 4)
        1.3863
    """

    def __init__(self, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        super().__init__()
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, logits: Any, labels: Any) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction=self.reduction)


class MSELoss(_Loss):
    """``F.mse_loss`` as a module.

    Example:
        >>> from grilly import nn
        >>> nn.MSELoss()([1.0, 2.0], [1.0, 4.0]).item()
        2.0
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, x: Any, target: Any) -> Tensor:
        return F.mse_loss(x, target, reduction=self.reduction)
