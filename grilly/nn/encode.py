"""Encoders as modules: from values to spikes over time."""

from __future__ import annotations

from typing import Any

from grilly import functional as F
from grilly._checks import positive_number, whole_number
from grilly.nn.checks import check_input
from grilly.nn.module import Module
from grilly.nn.step import StepModule
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError, StateError
from grilly_core.tensor import Tensor

__all__ = ["DeltaEncoder", "LatencyEncoder", "PoissonEncoder"]


class PoissonEncoder(Module):
    """``F.poisson_encode`` as a module: spikes at random, with probability x at each step.

    Args:
        T: number of steps: ``[N, ...]`` becomes ``[T, N, ...]``, for networks in step mode 'm'. None: one draw for
            each element, so that the module stands in front of a single-step network that is called in a loop.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.PoissonEncoder(T=8)(np.full((2, 3), 0.5)).shape
        (8, 2, 3)
    """

    def __init__(self, T: int | None = None) -> None:  # noqa: N803
        super().__init__()
        self.T = None if T is None else whole_number(T, "PoissonEncoder: T", 1)

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        return F.poisson_encode(x, T=self.T)

    def extra_repr(self) -> str:
        return f"T={self.T}"


class LatencyEncoder(Module):
    """``F.latency_encode`` as a module: ``[N, ...]`` in [0, 1] becomes one spike each in ``[T, N, ...]``.

    Args:
        T: number of steps.
        mode: 'linear' or 'log'.

    Example:
        >>> from grilly import nn
        >>> nn.LatencyEncoder(T=3)([[1.0, 0.0]]).tolist()
        [[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 1.0]]]
    """

    def __init__(self, T: int, mode: str = "linear") -> None:  # noqa: N803
        super().__init__()
        self.T = whole_number(T, "LatencyEncoder: T", 1)
        if mode not in ("linear", "log"):
            raise ArgumentError(f"LatencyEncoder: mode must be 'linear' or 'log', got {mode!r}")
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        return F.latency_encode(x, T=self.T, mode=self.mode)

    def extra_repr(self) -> str:
        return f"T={self.T}, mode={self.mode!r}"


class DeltaEncoder(StepModule):
    """``F.delta_encode`` as a module that remembers the last input: a spike where a value rose by ``threshold``.

    Args:
        threshold: the smallest rise that fires, above 0.
        padding: the first step after ``reset()`` is compared with itself instead of with 0.
        off_spike: give -1 where a value fell by ``threshold`` or more.
        step_mode: ``'s'``: ``[N, ...]``; ``'m'``: ``[T, N, ...]``. Spikes come out in the same shape.

    Raises:
        StateError: the input has another shape, dtype or backend than the one remembered.

    Example:
        >>> from grilly import nn
        >>> encoder = nn.DeltaEncoder(threshold=0.5)
        >>> [encoder([x]).item() for x in (1.0, 1.0, 0.0, 0.5)]
        [1.0, 0.0, 0.0, 1.0]
    """

    previous: Any

    def __init__(
        self, threshold: float, padding: bool = False, off_spike: bool = False, step_mode: str = "s"
    ) -> None:
        super().__init__(step_mode)
        self.threshold = positive_number(threshold, "DeltaEncoder: threshold")
        self.padding, self.off_spike = bool(padding), bool(off_spike)
        self.register_memory("previous", None)

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        if self.step_mode == "m" and (x.ndim < 1 or x.shape[0] < 1):
            raise ShapeError(f"DeltaEncoder in step_mode='m' takes [T, N, ...] with T >= 1, got {x.shape}")
        steps = x.detach() if self.step_mode == "m" else x.detach().expand_dims(0)
        known = self._known(steps[0])
        if known is None:
            spikes = self._encode(steps, self.padding)
        else:
            spikes = self._encode(ops.concat([known.expand_dims(0), steps], axis=0), True)[1:]
        self.previous = steps[-1]
        return spikes if self.step_mode == "m" else spikes[0]

    def _encode(self, x: Tensor, padding: bool) -> Tensor:
        return F.delta_encode(x, threshold=self.threshold, padding=padding, off_spike=self.off_spike)

    def _known(self, x: Tensor) -> Tensor | None:
        """The input remembered, checked against the first new one."""
        known: Tensor | None = self.previous
        if known is not None and (known.spec != x.spec or known._backend is not x._backend):
            raise StateError(
                f"DeltaEncoder remembers an input {known.spec} on {known.backend}, the new one is {x.spec} on "
                f"{x.backend}. Call grilly.functional.reset_net(net) before other inputs"
            )
        return known

    def extra_repr(self) -> str:
        shown = [f"threshold={self.threshold:g}"]
        shown += [f"{name}=True" for name in ("padding", "off_spike") if getattr(self, name)]
        return ", ".join([*shown, f"step_mode={self.step_mode!r}"])
