"""Batch norms of whole sequences: one for each step, or one for all of them."""

from __future__ import annotations

import math
from typing import ClassVar

from grilly._checks import finite_number, whole_number
from grilly.nn import init
from grilly.nn.checks import check_input, check_rank
from grilly.nn.norm import BatchNorm, check_count, check_settings, moved
from grilly.nn.parameter import Parameter
from grilly.nn.step import MultiStepModule
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ShapeError
from grilly_core.tensor import Tensor, ones, zeros

__all__ = [
    "BatchNormThroughTime1d", "BatchNormThroughTime2d", "TemporalEffectiveBatchNorm1d", "TemporalEffectiveBatchNorm2d",
    "ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d",
]  # fmt: skip

_LINES, _IMAGES = "[T, N, C, L]", "[T, N, C, H, W]"


class _SequenceNorm(MultiStepModule):
    """A norm of whole sequences, of at most ``T`` steps where it has something for each step."""

    T: int | None = None
    _layout: ClassVar[str]

    def _check(self, x: Tensor) -> None:
        if self._layout != _LINES or x.ndim != 3:  # [T, N, C] too
            check_rank(self, x, None, self._layout, self.step_mode)
        name, steps = type(self).__name__, x.shape[0]
        if steps == 0:
            raise ShapeError(f"{name} takes at least one time step, got {x.shape}")
        if self.T is not None and steps > self.T:
            raise ShapeError(
                f"{name} was made for T={self.T} time steps, got {steps} in {x.shape}; make it with T={steps}, or cut the "
                "sequence"
            )

    def _first(self, values: Tensor, steps: int) -> Tensor:
        """Of values of each step those of the first ones."""
        return values if steps == self.T else values[:steps]


class _BatchNormThroughTime(_SequenceNorm):
    T: int
    weight: Parameter
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        T: int,  # noqa: N803
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        step_mode: str = "m",
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.T = whole_number(T, f"{owner}: T (time steps)", 1)
        self.num_features = whole_number(num_features, f"{owner}: num_features", 1)
        self.eps, self.momentum = check_settings(owner, eps, momentum)
        shape = (self.T, self.num_features)
        self.weight = init.ones_(Parameter(zeros(shape)))
        self.register_buffer("running_mean", zeros(shape))
        self.register_buffer("running_var", ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x, self.weight)
        self._check(x)
        if x.shape[2] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__} has num_features={self.num_features}, got {x.shape[2]} in shape {x.shape}"
            )
        rows = x.reshape(*x.shape[:3], math.prod(x.shape[3:]))
        y = self._train(rows) if self.training else self._infer(rows)
        return y.reshape(x.shape)

    def _train(self, x: Tensor) -> Tensor:
        steps, count = x.shape[0], x.shape[1] * x.shape[3]
        check_count(self, count)
        y, *batch = ops.bn_through_time(x, self._first(self.weight, steps), eps=self.eps)
        old = [self._first(running, steps) for running in (self.running_mean, self.running_var)]
        fresh = moved((old[0], old[1]), (batch[0], batch[1]), self.momentum, count)
        self.running_mean = self._replaced(self.running_mean, fresh[0])
        self.running_var = self._replaced(self.running_var, fresh[1])
        out: Tensor = y
        return out

    def _replaced(self, running: Tensor, first: Tensor) -> Tensor:
        """Running values with those of the first steps replaced; later steps keep theirs."""
        steps = first.shape[0]
        if steps == self.T:
            return first
        with no_grad():
            out: Tensor = ops.concat([first, running[steps:]], axis=0)
        return out

    def _infer(self, x: Tensor) -> Tensor:
        steps, _, channels, _ = x.shape
        mean, var, weight = (
            self._first(values, steps) for values in (self.running_mean, self.running_var, self.weight)
        )
        scale = weight / (var + self.eps).sqrt()
        shape = (steps, 1, channels, 1)
        return (x - mean.reshape(shape)) * scale.reshape(shape)

    def extra_repr(self) -> str:
        return f"T={self.T}, {self.num_features}, eps={self.eps:g}, momentum={self.momentum:g}"


class BatchNormThroughTime1d(_BatchNormThroughTime):
    """An independent batch norm for every time step, of ``[T, N, C]`` or ``[T, N, C, L]`` (Kim & Panda 2021).

    Each step has its own statistics, over N and L, and its own scale; there is no shift. In evaluation the running
    statistics of the step are used. The running variance is unbiased. A sequence may be shorter than T: what belongs to
    later steps stays as it is. Source: doi 10.3389/fnins.2021.773954.

    Args:
        T: time steps, the longest sequence it takes.
        num_features: channels C.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        weight: ``[T, C]``.
        running_mean, running_var: buffers, ``[T, C]``.

    Raises:
        ArgumentError: step mode 's', or a setting out of range.
        ShapeError: wrong rank or channels, more than T steps; in training one value per channel and step.

    Example:
        >>> from grilly import nn
        >>> norm = nn.BatchNormThroughTime1d(T=2, num_features=1)
        >>> norm([[[1.0], [3.0]], [[50.0], [90.0]]]).numpy().round(3).tolist()
        [[[-1.0], [1.0]], [[-1.0], [1.0]]]
    """

    _layout = _LINES


class BatchNormThroughTime2d(_BatchNormThroughTime):
    """An independent batch norm for every time step, of ``[T, N, C, H, W]``. See :class:`BatchNormThroughTime1d`.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.BatchNormThroughTime2d(4, 3)(np.ones((2, 5, 3, 6, 6))).shape
        (2, 5, 3, 6, 6)
    """

    _layout = _IMAGES


class _TemporalEffectiveBatchNorm(BatchNorm, _SequenceNorm):
    T: int
    scale: Parameter

    def __init__(
        self,
        T: int,  # noqa: N803
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        step_mode: str = "m",
    ) -> None:
        super().__init__(num_features, eps, momentum, step_mode=step_mode)
        self.T = whole_number(T, f"{type(self).__name__}: T (time steps)", 1)
        self.scale = init.ones_(Parameter(zeros(self.T)))

    def _check(self, x: Tensor) -> None:
        _SequenceNorm._check(self, x)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * self._first(self.scale, x.shape[0]).reshape(-1, *[1] * (x.ndim - 1))

    def extra_repr(self) -> str:
        return f"T={self.T}, {super().extra_repr()}"


class TemporalEffectiveBatchNorm1d(_TemporalEffectiveBatchNorm):
    """Batch norm over time and batch whose result each step scales: ``scale[t] (weight xhat + bias)`` (Duan et al. 2022).

    Takes ``[T, N, C]`` or ``[T, N, C, L]``; statistics are over all axes but C. A sequence may be shorter than T:
    it meets the first scales. Source: Duan, Ding, Chen, Yu & Huang 2022, Temporal Effective Batch Normalization in
    Spiking Neural Networks, NeurIPS.

    Args:
        T: time steps, the longest sequence it takes.
        num_features: channels C.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics, whose variance is unbiased.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        weight, bias: ``[C]``.
        scale: ``[T]``, initially 1.
        running_mean, running_var: buffers, ``[C]``.

    Raises:
        ArgumentError: step mode 's', or a setting out of range.
        ShapeError: wrong rank or channels, more than T steps; in training one value per channel.

    Example:
        >>> from grilly import nn
        >>> norm = nn.TemporalEffectiveBatchNorm1d(T=2, num_features=1)
        >>> norm.scale.assign([1.0, 0.5])
        >>> norm([[[1.0]], [[3.0]]]).numpy().round(3).tolist()
        [[[-1.0]], [[0.5]]]
    """

    _layout = _LINES


class TemporalEffectiveBatchNorm2d(_TemporalEffectiveBatchNorm):
    """Batch norm of ``[T, N, C, H, W]`` whose result each step scales. See :class:`TemporalEffectiveBatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.TemporalEffectiveBatchNorm2d(4, 3)(np.ones((4, 5, 3, 6, 6))).shape
        (4, 5, 3, 6, 6)
    """

    _layout = _IMAGES


class _ThresholdDependentBatchNorm(BatchNorm, _SequenceNorm):
    weight: Parameter

    def __init__(
        self,
        num_features: int,
        v_threshold: float = 1.0,
        alpha: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        step_mode: str = "m",
    ) -> None:
        super().__init__(num_features, eps, momentum, step_mode=step_mode)
        owner = type(self).__name__
        self.v_threshold = finite_number(v_threshold, f"{owner}: v_threshold")
        self.alpha = finite_number(alpha, f"{owner}: alpha")
        init.constant_(self.weight, self.alpha * self.v_threshold)

    def _check(self, x: Tensor) -> None:
        _SequenceNorm._check(self, x)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, v_threshold={self.v_threshold:g}, alpha={self.alpha:g}"


class ThresholdDependentBatchNorm1d(_ThresholdDependentBatchNorm):
    """Batch norm over time and batch that starts at the scale of the threshold: ``weight = alpha v_threshold``.

    Takes ``[T, N, C]`` or ``[T, N, C, L]``; statistics are over all axes but C. Source: Zheng et al. 2021, arXiv 2011.05280.

    Args:
        num_features: channels C.
        v_threshold: threshold of the neurons that follow.
        alpha: what else scales; where k branches are added up, 1 / sqrt(k) in the paper.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics, whose variance is unbiased.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        weight, bias: ``[C]``.
        running_mean, running_var: buffers, ``[C]``.

    Raises:
        ArgumentError: step mode 's', or a setting out of range.
        ShapeError: wrong rank or channels; in training one value per channel.

    Example:
        >>> from grilly import nn
        >>> norm = nn.ThresholdDependentBatchNorm1d(1, v_threshold=0.5)
        >>> norm([[[1.0]], [[3.0]]]).numpy().round(3).tolist()
        [[[-0.5]], [[0.5]]]
    """

    _layout = _LINES


class ThresholdDependentBatchNorm2d(_ThresholdDependentBatchNorm):
    """Batch norm of ``[T, N, C, H, W]`` at the scale of the threshold. See :class:`ThresholdDependentBatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.ThresholdDependentBatchNorm2d(3)(np.ones((4, 5, 3, 6, 6))).shape
        (4, 5, 3, 6, 6)
    """

    _layout = _IMAGES
