"""Learning-rate schedules and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from grilly._checks import whole_number
from grilly.nn.parameter import Parameter
from grilly.optim.optimizer import Optimizer
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError
from grilly_core.tensor import Tensor

__all__ = ["CosineAnnealingLR", "Schedule", "StepLR", "clip_grad_norm_", "clip_grad_value_"]


class Schedule:
    """Base class: after every epoch call ``step()``; the rate is a function of the epoch alone.

    Args:
        optimizer: whose groups' ``lr`` is set; the rates they have now are the base rates.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base = [group["lr"] for group in optimizer.groups]
        self.epoch = 0

    def factor(self, epoch: int, base: float) -> float:
        """The learning rate of ``epoch`` for a base rate."""
        raise NotImplementedError

    def step(self) -> None:
        """One epoch is done."""
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Continue at ``epoch`` (after a resume)."""
        self.epoch = whole_number(epoch, "epoch", 0)
        for group, base in zip(self.optimizer.groups, self.base, strict=True):
            group["lr"] = self.factor(epoch, base)


class StepLR(Schedule):
    """The rate times ``gamma`` every ``step_size`` epochs.

    Example:
        >>> from grilly import nn, optim
        >>> optimiser = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> schedule = optim.StepLR(optimiser, step_size=1, gamma=0.5)
        >>> schedule.step()
        >>> optimiser.lr
        0.5
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        self.step_size = whole_number(step_size, "StepLR: step_size", 1)
        if not gamma > 0:
            raise ArgumentError(f"StepLR: gamma must be above 0, got {gamma!r}")
        self.gamma = gamma

    def factor(self, epoch: int, base: float) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class CosineAnnealingLR(Schedule):
    """From the base rate to ``eta_min`` along half a cosine over ``T_max`` epochs (arXiv 1608.03983).

    Example:
        >>> from grilly import nn, optim
        >>> optimiser = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> schedule = optim.CosineAnnealingLR(optimiser, T_max=2)
        >>> schedule.step()
        >>> round(optimiser.lr, 6)
        0.5
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803
        super().__init__(optimizer)
        self.T_max = whole_number(T_max, "CosineAnnealingLR: T_max", 1)
        if not eta_min >= 0:
            raise ArgumentError(f"CosineAnnealingLR: eta_min must not be negative, got {eta_min!r}")
        self.eta_min = eta_min

    def factor(self, epoch: int, base: float) -> float:
        done = min(epoch, self.T_max) / self.T_max
        return self.eta_min + (base - self.eta_min) * (1.0 + math.cos(math.pi * done)) / 2.0


@no_grad()
def clip_grad_norm_(parameters: Iterable[Parameter], max_norm: float) -> Tensor:
    """Scale all gradients so that their joint Euclidean norm is at most ``max_norm``.

    Args:
        parameters: those whose gradients count.
        max_norm: the largest norm allowed, above 0.

    Returns:
        The norm before clipping, a 0-d Tensor (nothing is read from the device).

    Example:
        >>> from grilly import nn, optim
        >>> w = nn.Parameter([3.0, 4.0])
        >>> (w * w * 0.5).sum().backward()
        >>> optim.clip_grad_norm_([w], 1.0).item()
        5.0
    """
    if not max_norm > 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must be above 0, got {max_norm!r}")
    held = [parameter for parameter in parameters if parameter.grad is not None]
    if not held:
        raise ArgumentError("clip_grad_norm_: no parameter has a gradient; call backward() first")
    total: Any = None
    for parameter in held:
        assert parameter.grad is not None
        squares = (parameter.grad * parameter.grad).sum()
        total = squares if total is None else total + squares
    norm: Tensor = total.sqrt()
    scale = ops.minimum(max_norm / (norm + 1e-6), 1.0)
    for parameter in held:
        assert parameter.grad is not None
        parameter.grad = parameter.grad * scale
    return norm


@no_grad()
def clip_grad_value_(parameters: Iterable[Parameter], clip_value: float) -> None:
    """Limit every element of every gradient to ``[-clip_value, clip_value]``."""
    if not clip_value > 0:
        raise ArgumentError(f"clip_grad_value_: clip_value must be above 0, got {clip_value!r}")
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = ops.clip(parameter.grad, low=-clip_value, high=clip_value)
