"""Dense layers and layers without parameters."""

from __future__ import annotations

import math

from grilly import random
from grilly._checks import finite_number, whole_number
from grilly.nn import init
from grilly.nn.checks import check_input
from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly.nn.step import StepModule
from grilly_core import ops
from grilly_core.errors import ShapeError, StateError
from grilly_core.ops.random import uniform
from grilly_core.tensor import Tensor, zeros

__all__ = ["Dropout", "Flatten", "Identity", "LeakyReLU", "Linear", "ReLU", "Softmax", "Tanh"]


def uniform_bias(size: int, fan_in: int) -> Parameter:
    """A bias drawn uniformly from ``+-1 / sqrt(fan_in)``."""
    bound = 1.0 / math.sqrt(fan_in)
    return init.uniform_(Parameter(zeros(size)), -bound, bound)


class Linear(StepModule):
    """``y = x W^T + b`` over the last axis, whatever axes come before it (batch, time).

    Args:
        in_features: extent of the last axis of the input.
        out_features: extent of the last axis of the output.
        bias: whether to add one.
        step_mode: accepted for uniformity; both modes do the same.

    Shapes: weight ``[out, in]``, bias ``[out]``; both start uniform in ``+-1 / sqrt(in)``.

    Raises:
        ShapeError: if the last axis of the input is not ``in_features``.

    Example:
        >>> from grilly import nn
        >>> nn.Linear(4, 2)([[0.0, 0.0, 0.0, 1.0]]).shape
        (1, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, step_mode: str = "s") -> None:
        super().__init__(step_mode)
        self.in_features = whole_number(in_features, "Linear: in_features", 1)
        self.out_features = whole_number(out_features, "Linear: out_features", 1)
        self.weight = init.kaiming_uniform_(
            Parameter(zeros((self.out_features, self.in_features))), gain=math.sqrt(1 / 3)
        )
        self.bias = uniform_bias(self.out_features, self.in_features) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x, self.weight)
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear({self.in_features}, {self.out_features}) takes [..., {self.in_features}], got {x.shape}"
            )
        out: Tensor = ops.linear(x, self.weight, self.bias)
        return out

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class Flatten(StepModule):
    """All axes after the batch made one: ``[N, ...] -> [N, F]``, or ``[T, N, ...] -> [T, N, F]`` in 'm'.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.Flatten(step_mode="m")(np.zeros((5, 2, 3, 4))).shape
        (5, 2, 12)
    """

    def forward(self, x: Tensor) -> Tensor:
        lead = 2 if self.step_mode == "m" else 1
        if x.ndim < lead:
            raise ShapeError(
                f"Flatten in step_mode={self.step_mode!r} takes at least {lead} axes, got {x.shape}"
            )
        return x.flatten(lead)


class Identity(Module):
    """Returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class ReLU(Module):
    """``max(x, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Tanh(Module):
    """Hyperbolic tangent. (The logistic activation is ``F.sigmoid``: ``nn.Sigmoid`` is a surrogate.)"""

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


class LeakyReLU(Module):
    """``x`` above 0, ``negative_slope * x`` below."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.where(x > 0, x, x * self.negative_slope)
        return out

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope:g}"


class Softmax(Module):
    """Softmax along ``axis``."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = ops.softmax(x, axis=x._axes(self.axis)[0])
        return out

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Dropout(StepModule):
    """Zeroes elements with probability ``p`` in training and scales the rest by ``1 / (1 - p)``.

    The mask is drawn once and kept for all time steps until ``reset`` (``F.reset_net``): a spiking network sees
    the same network at every step of a sample.

    Args:
        p: probability of zeroing, in [0, 1).
        step_mode: in 'm' the mask has the shape of one step and is shared by all T.

    Raises:
        StateError: an input of another shape before a reset.

    Example:
        >>> from grilly import nn
        >>> drop = nn.Dropout(0.5)
        >>> first = drop([1.0] * 8).tolist()
        >>> drop([1.0] * 8).tolist() == first
        True
    """

    mask: Tensor | None

    def __init__(self, p: float = 0.5, step_mode: str = "s") -> None:
        super().__init__(step_mode)
        self.p = finite_number(p, "Dropout: p", 0.0, 1.0)
        self.register_memory("mask", None)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        shape = x.shape[1:] if self.step_mode == "m" else x.shape
        if self.mask is None:
            seed, stream = random.next_stream()
            drawn = uniform(shape, seed, stream, x.spec.dtype, x._backend)
            self.mask = (drawn >= self.p).astype(x.dtype) * (1.0 / (1.0 - self.p))
        if self.mask.shape != shape:
            raise StateError(
                f"Dropout: the mask kept from before has shape {self.mask.shape}, this input needs {shape}. Call "
                "grilly.functional.reset_net(net) before a batch of another shape"
            )
        return x * self.mask

    def extra_repr(self) -> str:
        return f"p={self.p:g}, step_mode={self.step_mode!r}"
