"""Losses of values, of spikes over time and of potentials; one-hot labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import finite_number, positive_number
from grilly.functional.tensors import as_tensor, float_tensor
from grilly_core import ops
from grilly_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from grilly_core.tensor import Tensor, tensor

__all__ = [
    "cross_entropy", "first_spike_loss", "first_spike_time", "membrane_mse_loss", "mse_loss", "one_hot",
    "rate_cross_entropy", "rate_mse_loss", "tet_loss",
]  # fmt: skip


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


def _over_time(x: Any, owner: str) -> Tensor:
    """Floats ``[T, N, C]``."""
    x = float_tensor(x, owner)
    if x.ndim != 3 or x.shape[0] < 1:
        raise ShapeError(
            f"{owner} takes [T, N, C] with T >= 1 (time, batch, classes), got {x.shape}; F.multi_step_forward runs "
            "a network over time"
        )
    return x


def _class_targets(labels: Any, like: Tensor, correct: float, incorrect: float, owner: str) -> Tensor:
    """``[N, C]``: ``correct`` at each label, ``incorrect`` elsewhere."""
    if np.shape(labels) != like.shape[1:2]:
        raise ShapeError(f"{owner} needs labels [N], got {np.shape(labels)} for {like.shape}")
    classes = like.shape[2]
    hot: Tensor = ops.one_hot(_labels(labels, classes, like), classes=classes, dtype=like.spec.dtype)
    return hot * (correct - incorrect) + incorrect


def rate_cross_entropy(
    spikes: Any, labels: Any, *, scale: float = 1.0, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross entropy with ``scale`` times the firing rates as logits, in nats.

    Rates lie in [0, 1], which alone cannot make the softmax sharp: with 10 classes the loss stays above 1.46. A
    larger ``scale`` lets it fall further; T makes spike counts of the rates.

    Args:
        spikes: ``[T, N, C]``, one output neuron per class.
        labels: integers ``[N]``.
        scale: what rates are multiplied with, above 0.
        label_smoothing, reduction: as in ``cross_entropy``.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> round(F.rate_cross_entropy(np.eye(2)[[0, 0, 1]][:, None], [0], scale=3).item(), 4)  # counts 2 and 1
        0.3133
    """
    spikes = _over_time(spikes, "rate_cross_entropy")
    logits = spikes.mean(0) * positive_number(scale, "rate_cross_entropy: scale")
    return cross_entropy(logits, labels, label_smoothing, reduction)


def rate_mse_loss(
    spikes: Any,
    labels: Any,
    *,
    correct_rate: float = 1.0,
    incorrect_rate: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Squared error of the firing rates and one target rate for the right class, another for the rest.

    Args:
        spikes: ``[T, N, C]``, one output neuron per class.
        labels: integers ``[N]``.
        correct_rate, incorrect_rate: target rates in spikes per step.
        reduction: 'mean', 'sum' or 'none' (then ``[N, C]``).

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> F.rate_mse_loss(np.eye(2)[[0, 0, 0, 1]][:, None], [0]).item()  # rates 0.75 and 0.25
        0.0625
    """
    spikes = _over_time(spikes, "rate_mse_loss")
    target = _class_targets(labels, spikes, correct_rate, incorrect_rate, "rate_mse_loss")
    return mse_loss(spikes.mean(0), target, reduction)


def first_spike_time(spikes: Any) -> Tensor:
    """Step of the first spike, from 0; T where there is none.

    It is computed as the number of steps before which nothing fired, ``sum_t prod_{s <= t} (1 - S[s])``, so it has a
    gradient: at a step before the first spike, how much earlier a spike there would be; at the first spike, how much
    later the next one is; nothing after it. A neuron that never fires is thus told to fire.

    Args:
        spikes: ``[T, ...]``, 0 and 1 in float32 or float64.

    Returns:
        ``[...]`` in the dtype of the spikes.

    Example:
        >>> from grilly import functional as F
        >>> F.first_spike_time([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]).tolist()
        [1.0, 3.0]
    """
    spikes = float_tensor(spikes, "first_spike_time")
    if spikes.ndim < 1 or spikes.shape[0] < 1:
        raise ShapeError(f"first_spike_time takes [T, ...] with T >= 1, got {spikes.shape}")
    silent, reach = 1.0 - spikes, 1
    while reach < spikes.shape[0]:  # after each turn silent[t] is the product over the last 2 * reach steps
        silent = ops.concat([silent[:reach], silent[reach:] * silent[:-reach]], axis=0)
        reach *= 2
    return silent.sum(0)


def first_spike_loss(
    spikes: Any, labels: Any, *, tau: float = 1.0, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of ``softmax(-first_spike_time / tau)``: the right class shall fire first.

    The loss of Mostafa 2017 (arXiv 1606.08165), here on the steps of a surrogate-gradient network.

    Args:
        spikes: ``[T, N, C]``, 0 and 1, one output neuron per class.
        labels: integers ``[N]``.
        tau: a lead of how many steps counts as a factor e in probability, above 0.
        label_smoothing, reduction: as in ``cross_entropy``.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> round(F.first_spike_loss(np.eye(2)[:, None], [0]).item(), 4)  # first spikes at steps 0 and 1
        0.3133
    """
    times = first_spike_time(_over_time(spikes, "first_spike_loss"))
    return cross_entropy(
        -times * (1.0 / positive_number(tau, "first_spike_loss: tau")), labels, label_smoothing, reduction
    )


def tet_loss(
    logits: Any,
    labels: Any,
    *,
    lamb: float = 0.0,
    phi: float = 1.0,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Temporal efficient training (Deng et al. 2022, arXiv 2202.11946): the mean over time of the cross entropy.

    ``(1 - lamb) mean_t CE(O[t], y) + lamb mean_t MSE(O[t], phi)``: unlike the cross entropy of the mean output, each
    step has to be right by itself. The second term keeps single outputs from growing.

    Args:
        logits: outputs of every step ``[T, N, C]``, such as those of a last Linear layer.
        labels: integers ``[N]``.
        lamb: weight of the second term in [0, 1], usually small (0.001 to 0.05).
        phi: what the second term draws outputs to, usually the firing threshold.
        label_smoothing: as in ``cross_entropy``.
        reduction: 'mean', 'sum' (over N) or 'none' (then ``[N]``).

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> logits = np.random.default_rng(0).normal(size=(4, 2, 3))
        >>> steps = [F.cross_entropy(step, [0, 2]).item() for step in logits]
        >>> bool(np.isclose(F.tet_loss(logits, [0, 2]).item(), np.mean(steps)))
        True
    """
    logits = _over_time(logits, "tet_loss")
    steps, count, classes = logits.shape
    if not 0.0 <= finite_number(lamb, "tet_loss: lamb") <= 1.0:
        raise ArgumentError(f"tet_loss: lamb must lie in [0, 1], got {lamb!r}")
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"tet_loss: reduction must be one of mean, sum, none, got {reduction!r}")
    if np.shape(labels) != (count,):
        raise ShapeError(f"tet_loss needs labels [N], got {np.shape(labels)} for {logits.shape}")
    repeated = _labels(labels, classes, logits).broadcast_to((steps, count)).reshape(steps * count)
    entropy = ops.cross_entropy(
        logits.reshape(steps * count, classes), repeated, label_smoothing=label_smoothing, reduction="none"
    )
    loss: Tensor = entropy.reshape(steps, count).mean(0)
    if lamb:
        away = logits - finite_number(phi, "tet_loss: phi")
        loss = loss * (1.0 - lamb) + (away * away).mean((0, 2)) * lamb
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def membrane_mse_loss(
    v: Any, labels: Any, *, on_target: float = 1.0, off_target: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Squared error at every step of the output neurons' potentials and a target for the right class and the rest.

    Args:
        v: potentials ``[T, N, C]``: ``node.v_seq`` of a neuron in step mode 'm' with ``store_v_seq=True``, or the
            outputs of a last layer that does not fire.
        labels: integers ``[N]``.
        on_target, off_target: potentials that the right class and the others shall have.
        reduction: 'mean', 'sum' or 'none' (then ``[T, N, C]``).

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> F.membrane_mse_loss(np.full((3, 2, 2), 0.5), [0, 1]).item()
        0.25
    """
    v = _over_time(v, "membrane_mse_loss")
    target = _class_targets(labels, v, on_target, off_target, "membrane_mse_loss")
    return mse_loss(v, target.broadcast_to(v.shape), reduction)
