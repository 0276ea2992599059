"""Losses as modules. Options are those of the functions, which check them when the loss is used or before."""

from __future__ import annotations

from typing import Any

from grilly import functional as F
from grilly._checks import finite_number, positive_number
from grilly.nn.module import Module
from grilly_core.tensor import Tensor

__all__ = [
    "CrossEntropyLoss", "FirstSpikeLoss", "MSELoss", "MembraneMSELoss", "RateCrossEntropyLoss", "RateMSELoss", "TETLoss",
]  # fmt: skip


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


class RateCrossEntropyLoss(_Loss):
    """``F.rate_cross_entropy`` as a module: spikes ``[T, N, C]``, labels ``[N]``.

    Args:
        scale: what firing rates are multiplied with to be logits.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> round(nn.RateCrossEntropyLoss()(np.zeros((8, 1, 4), "float32"), [2]).item(), 4)
        1.3863
    """

    def __init__(self, scale: float = 1.0, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        super().__init__()
        self.scale = positive_number(scale, "RateCrossEntropyLoss: scale")
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, spikes: Any, labels: Any) -> Tensor:
        return F.rate_cross_entropy(
            spikes,
            labels,
            scale=self.scale,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class RateMSELoss(_Loss):
    """``F.rate_mse_loss`` as a module: spikes ``[T, N, C]``, labels ``[N]``.

    Args:
        correct_rate, incorrect_rate: target rates of the right class and of the others, in spikes per step.
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.RateMSELoss(reduction="sum")(np.zeros((8, 3, 4), "float32"), [0, 1, 2]).item()
        3.0
    """

    def __init__(
        self, correct_rate: float = 1.0, incorrect_rate: float = 0.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.correct_rate = finite_number(correct_rate, "RateMSELoss: correct_rate")
        self.incorrect_rate = finite_number(incorrect_rate, "RateMSELoss: incorrect_rate")
        self.reduction = reduction

    def forward(self, spikes: Any, labels: Any) -> Tensor:
        return F.rate_mse_loss(
            spikes,
            labels,
            correct_rate=self.correct_rate,
            incorrect_rate=self.incorrect_rate,
            reduction=self.reduction,
        )


class FirstSpikeLoss(_Loss):
    """``F.first_spike_loss`` as a module: spikes ``[T, N, C]``, labels ``[N]``; the right class shall fire first.

    Args:
        tau: a lead of how many steps counts as a factor e in probability.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> round(nn.FirstSpikeLoss()(np.zeros((8, 1, 4), "float32"), [2]).item(), 4)
        1.3863
    """

    def __init__(self, tau: float = 1.0, label_smoothing: float = 0.0, reduction: str = "mean") -> None:
        super().__init__()
        self.tau = positive_number(tau, "FirstSpikeLoss: tau")
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, spikes: Any, labels: Any) -> Tensor:
        return F.first_spike_loss(
            spikes, labels, tau=self.tau, label_smoothing=self.label_smoothing, reduction=self.reduction
        )


class TETLoss(_Loss):
    """``F.tet_loss`` as a module (Deng et al. 2022, arXiv 2202.11946): outputs ``[T, N, C]``, labels ``[N]``.

    Args:
        lamb: weight of the regulariser, in [0, 1].
        phi: what the regulariser draws outputs to.
        label_smoothing: share of the target spread evenly over all classes, in [0, 1).
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.TETLoss(lamb=1.0, phi=2.0)(np.zeros((8, 1, 4), "float32"), [2]).item()
        4.0
    """

    def __init__(
        self, lamb: float = 0.0, phi: float = 1.0, label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.lamb, self.phi = lamb, phi
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, logits: Any, labels: Any) -> Tensor:
        return F.tet_loss(
            logits,
            labels,
            lamb=self.lamb,
            phi=self.phi,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class MembraneMSELoss(_Loss):
    """``F.membrane_mse_loss`` as a module: potentials ``[T, N, C]``, labels ``[N]``.

    Args:
        on_target, off_target: potentials that the right class and the others shall have at every step.
        reduction: 'mean', 'sum' or 'none'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.MembraneMSELoss(on_target=2.0)(np.zeros((8, 1, 4), "float32"), [2]).item()
        1.0
    """

    def __init__(self, on_target: float = 1.0, off_target: float = 0.0, reduction: str = "mean") -> None:
        super().__init__()
        self.on_target = finite_number(on_target, "MembraneMSELoss: on_target")
        self.off_target = finite_number(off_target, "MembraneMSELoss: off_target")
        self.reduction = reduction

    def forward(self, v: Any, labels: Any) -> Tensor:
        return F.membrane_mse_loss(
            v, labels, on_target=self.on_target, off_target=self.off_target, reduction=self.reduction
        )
