"""Normalisation layers."""

from __future__ import annotations

import math
from typing import Any

from grilly._checks import whole_number
from grilly.nn import init
from grilly.nn.checks import check_input, check_rank
from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly.nn.step import StepModule
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor, ones, zeros

__all__ = [
    "BatchNorm", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "RMSNorm", "check_count", "check_settings", "moved",
]  # fmt: skip


def check_settings(owner: str, eps: float, momentum: float) -> tuple[float, float]:
    """``eps`` and ``momentum`` of a norm with running statistics."""
    if not eps > 0 or not 0 <= momentum <= 1:
        raise ArgumentError(
            f"{owner}: eps must be above 0 and momentum in [0, 1], got {eps!r} and {momentum!r}"
        )
    return float(eps), float(momentum)


def check_count(layer: Module, count: int) -> None:
    """Refuse to take statistics of fewer than two values."""
    if count < 2:
        raise ShapeError(
            f"{type(layer).__name__} in training needs more than one value per channel, got {count}; use a larger batch "
            "or call eval()"
        )


def moved(
    running: tuple[Tensor, Tensor], batch: tuple[Tensor, Tensor], momentum: float, count: int
) -> tuple[Tensor, Tensor]:
    """Running mean and unbiased variance after a batch of ``count`` values with this mean and biased variance."""
    (mean, var), (new_mean, new_var) = running, batch
    with no_grad():
        return (
            ops.moving_average(mean, new_mean.detach(), momentum=momentum),
            ops.moving_average(var, new_var.detach(), momentum=momentum, gain=count / (count - 1)),
        )


class BatchNorm(StepModule):
    """What batch norms with statistics over everything but the channel share."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.num_features = whole_number(num_features, f"{owner}: num_features", 1)
        self.eps, self.momentum = check_settings(owner, eps, momentum)
        self.weight = init.ones_(Parameter(zeros(self.num_features))) if affine else None
        self.bias = Parameter(zeros(self.num_features)) if affine else None
        self.register_buffer("running_mean", zeros(self.num_features))
        self.register_buffer("running_var", ones(self.num_features))

    def _check(self, x: Tensor) -> None:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x, self.running_mean)
        self._check(x)
        lead = 2 if self.step_mode == "m" else 1
        if x.shape[lead] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__} has num_features={self.num_features}, got {x.shape[lead]} in shape {x.shape}"
            )
        rows = x.reshape(math.prod(x.shape[:lead]), self.num_features, math.prod(x.shape[lead + 1 :]))
        y = self._train(rows) if self.training else self._infer(rows)
        return y.reshape(x.shape)

    def _train(self, x: Tensor) -> Tensor:
        count = x.shape[0] * x.shape[2]
        check_count(self, count)
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps)
        running = (self.running_mean, self.running_var)
        self.running_mean, self.running_var = moved(running, (mean, var), self.momentum, count)
        out: Tensor = y
        return out

    def _infer(self, x: Tensor) -> Tensor:
        y: Tensor = ops.batch_norm_infer(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
        return y

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum:g}"


class BatchNorm1d(BatchNorm):
    """Batch norm of ``[N, C]`` or ``[N, C, L]``; in step mode 'm' of ``[T, N, C]`` or ``[T, N, C, L]``.

    In training each channel is brought to mean 0 and variance 1 over all other axes (T included) and the
    running statistics move by ``momentum``; in evaluation the running ones are used. The running variance is
    unbiased. Source: Ioffe & Szegedy 2015, arXiv 1502.03167.

    Args:
        num_features: channels C.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
        affine: whether to learn a scale ``weight`` and shift ``bias``, both ``[C]``.
        step_mode: 's' or 'm'.

    Raises:
        ShapeError: wrong rank or channels; one value per channel in training.

    Example:
        >>> from grilly import nn
        >>> nn.BatchNorm1d(1)([[1.0], [3.0]]).numpy().round(3).tolist()
        [[-1.0], [1.0]]
    """

    def _check(self, x: Tensor) -> None:
        if x.ndim != (3 if self.step_mode == "m" else 2):
            check_rank(self, x, "[N, C, L]", "[T, N, C, L]", self.step_mode)


class BatchNorm2d(BatchNorm):
    """Batch norm of ``[N, C, H, W]``; in step mode 'm' of ``[T, N, C, H, W]``. See :class:`BatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.BatchNorm2d(3)(np.ones((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    def _check(self, x: Tensor) -> None:
        check_rank(self, x, "[N, C, H, W]", "[T, N, C, H, W]", self.step_mode)


def _as_shape(normalized_shape: Any, owner: str) -> tuple[int, ...]:
    given = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    if not given:
        raise ArgumentError(f"{owner}: normalized_shape must name at least one axis")
    return tuple([whole_number(extent, f"{owner}: normalized_shape", 1) for extent in given])


class _SampleNorm(Module):
    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, normalized_shape: Any, eps: float, affine: bool, bias: bool) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape, type(self).__name__)
        if not eps > 0:
            raise ArgumentError(f"{type(self).__name__}: eps must be above 0, got {eps!r}")
        self.eps = float(eps)
        self.weight = init.ones_(Parameter(zeros(self.normalized_shape))) if affine else None
        self.bias = Parameter(zeros(self.normalized_shape)) if affine and bias else None

    def _check(self, x: Tensor) -> int:
        check_input(self, x, self.weight)
        axes = len(self.normalized_shape)
        if x.shape[x.ndim - axes :] != self.normalized_shape or x.ndim < axes:
            raise ShapeError(
                f"{type(self).__name__} normalises the last axes {self.normalized_shape}, got {x.shape}"
            )
        return axes

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps:g}"


class LayerNorm(_SampleNorm):
    """Mean 0 and variance 1 over the last axes of each sample (Ba et al. 2016, arXiv 1607.06450).

    Args:
        normalized_shape: extent of the last axis, or a tuple of the last extents.
        eps: added to the variance.
        affine: whether to learn ``weight`` and ``bias`` of that shape.

    Example:
        >>> from grilly import nn
        >>> nn.LayerNorm(2)([[1.0, 3.0]]).numpy().round(3).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(normalized_shape, eps, affine, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.layer_norm(x, self.weight, self.bias, axes=self._check(x), eps=self.eps)
        return out


class RMSNorm(_SampleNorm):
    """Root mean square 1 over the last axes of each sample (Zhang & Sennrich 2019, arXiv 1910.07467).

    Args:
        normalized_shape: extent of the last axis, or a tuple of the last extents.
        eps: added to the mean square.
        affine: whether to learn ``weight`` of that shape.

    Example:
        >>> from grilly import nn
        >>> nn.RMSNorm(2)([[3.0, 4.0]]).numpy().round(3)
        array([[0.849, 1.131]], dtype=float32)
    """

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(normalized_shape, eps, affine, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.rms_norm(x, self.weight, axes=self._check(x), eps=self.eps)
        return out
