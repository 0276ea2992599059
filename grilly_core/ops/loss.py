"""Softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.compare import equal
from grilly_core.ops.infer import check_axis
from grilly_core.ops.reduce import max
from grilly_core.tensor import Tensor, tensor

__all__ = ["cross_entropy", "log_softmax", "log_softmax_vjp", "mse_loss", "one_hot", "softmax", "softmax_vjp"]


@composite()
def softmax(x: Tensor, /, *, axis: int) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``axis``, shifted by the maximum so that it cannot overflow."""
    check_axis(x.spec, axis)
    e = (x - max(x, axis=(axis,), keepdims=True)).exp()
    return e / e.sum(axis=axis, keepdims=True)


@softmax.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return softmax_vjp(g, ctx.outputs[0], axis=ctx.attrs["axis"])


@composite()
def softmax_vjp(g: Tensor, y: Tensor, /, *, axis: int) -> Tensor:
    """Gradient of ``softmax`` from its output: ``y (g - sum(g y))``."""
    return y * (g - (g * y).sum(axis=axis, keepdims=True))


@composite()
def log_softmax(x: Tensor, /, *, axis: int) -> Tensor:
    """Logarithm of ``softmax(x)`` along ``axis``, computed without forming it."""
    check_axis(x.spec, axis)
    shifted = x - max(x, axis=(axis,), keepdims=True)
    return shifted - shifted.exp().sum(axis=axis, keepdims=True).log()


@log_softmax.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return log_softmax_vjp(g, ctx.outputs[0], axis=ctx.attrs["axis"])


@composite()
def log_softmax_vjp(g: Tensor, y: Tensor, /, *, axis: int) -> Tensor:
    """Gradient of ``log_softmax`` from its output: ``g - exp(y) sum(g)``."""
    return g - y.exp() * g.sum(axis=axis, keepdims=True)


@composite(differentiable=False)
def one_hot(labels: Tensor, /, *, classes: int, dtype: str = "float32") -> Tensor:
    """1 at each label and 0 elsewhere, along a new last axis; all 0 for a label outside ``[0, classes)``."""
    if labels.spec.dtype != "int32":
        raise DTypeError(f"labels must be int32, not {labels.spec.dtype}")
    if classes < 1:
        raise ArgumentError(f"classes must be at least 1, got {classes}")
    numbers = tensor(np.arange(classes, dtype=np.int32), backend=labels._backend)
    return equal(labels.expand_dims(-1), numbers).astype(dtype)


_REDUCTIONS = ("mean", "sum", "none")


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction not in _REDUCTIONS:
        raise ArgumentError(f"reduction must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


@composite()
def cross_entropy(
    logits: Tensor, labels: Tensor, /, *, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of softmax probabilities and labels, in nats.

    Shapes: logits ``[N, C]``, labels int32 ``[N]``; a scalar, or ``[N]`` with ``reduction='none'``. A label outside
    ``[0, C)`` gives NaN (backends in host memory refuse it earlier, in ``F.cross_entropy``).
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(f"needs logits [N, C] and labels [N], got {logits.shape} and {labels.shape}")
    if not 0 <= label_smoothing < 1:
        raise ArgumentError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
    classes = logits.shape[1]
    target = one_hot(labels, classes=classes, dtype=logits.spec.dtype)
    target = target / target.sum(axis=1, keepdims=True)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    return _reduce(-(target * log_softmax(logits, axis=1)).sum(axis=1), reduction)


@composite()
def mse_loss(x: Tensor, target: Tensor, /, *, reduction: str = "mean") -> Tensor:
    """Squared error, averaged over all elements (or summed, or none of both)."""
    if x.shape != target.shape:
        raise ShapeError(f"input {x.shape} and target {target.shape} differ")
    difference = x - target
    return _reduce(difference * difference, reduction)
