"""Losses and one-hot labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly.functional.tensors import as_tensor
from grilly_core import ops
from grilly_core.errors import DataError, DTypeError, ShapeError
from grilly_core.tensor import Tensor, tensor

__all__ = ["cross_entropy", "mse_loss", "one_hot"]


def _labels(labels: Any, classes: int, like: Tensor) -> Tensor:
    """Labels as int32 on ``like``'s backend, checked where reading them costs nothing."""
    readable = not isinstance(labels, Tensor) or "host_memory" in labels._backend.features
    if readable:
        array = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"labels must be integers, not {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= classes):
            raise DataError(
                f"labels from {array.min()} to {array.max()} do not fit {classes} classes (0 to {classes - 1})"
            )
        return labels if isinstance(labels, Tensor) else tensor(array, dtype="int32", backend=like._backend)
    return as_tensor(labels)


def one_hot(labels: Any, classes: int, dtype: Any = "float32") -> Tensor:
    """1 at each label, 0 elsewhere, along a new last axis.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> F.one_hot(np.array([2, 0]), 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    given = labels if isinstance(labels, Tensor) else tensor(np.asarray(labels))
    out: Tensor = ops.one_hot(_labels(given, classes, given), classes=classes, dtype=str(np.dtype(dtype)))
    return out


def cross_entropy(logits: Any, labels: Any, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross entropy of ``softmax(logits)`` and labels, in nats.

    Args:
        logits: ``[N, C]``.
        labels: integers ``[N]``.
        label_smoothing: share of the target spread evenly over all classes.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        DataError: a label outside ``[0, C)`` (on a device, where reading labels would stall it, NaN instead).

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> round(F.cross_entropy(np.zeros((2, 10), "float32"), np.array([3, 7])).item(), 4)
        2.3026
    """
    logits = as_tensor(logits)
    if logits.ndim != 2:
        raise ShapeError(
            f"cross_entropy takes logits [N, C], got {logits.shape}; for [T, N, C] average over T first"
        )
    checked = _labels(labels, logits.shape[1], logits)
    out: Tensor = ops.cross_entropy(logits, checked, label_smoothing=label_smoothing, reduction=reduction)
    return out


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared error of ``x`` and ``target`` of one shape."""
    out: Tensor = ops.mse_loss(x, target, reduction=reduction)
    return out
