"""Parallel spiking neurons: no reset, so that the potential of every step is a weighted sum of inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.nn import init
from grilly.nn.checks import check_input
from grilly.nn.parameter import Parameter
from grilly.nn.step import MultiStepModule, StatefulModule, kept
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError, StateError
from grilly_core.ops.synapse import delay_line
from grilly_core.surrogate import ATan, Surrogate
from grilly_core.tensor import Tensor, tensor, zeros

__all__ = ["PSN", "MaskedPSN", "SlidingPSN"]


def _surrogate(given: Surrogate | None, owner: str) -> Surrogate:
    surrogate = ATan() if given is None else given
    if not isinstance(surrogate, Surrogate):
        raise ArgumentError(
            f"{owner}: surrogate_function must be a surrogate such as nn.ATan(), got {surrogate!r}"
        )
    return surrogate


def _weight(T: int) -> tuple[Parameter, Parameter]:  # noqa: N803
    """The weight of every pair of steps, ``[T, T]``, and a bias for each, ``[T, 1]``: minus the threshold."""
    weight = init.kaiming_uniform_(Parameter(zeros((T, T))), gain=math.sqrt(1 / 3))
    return weight, init.constant_(Parameter(zeros((T, 1))), -1.0)


def _potential(weight: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """``weight [steps, inputs] @ x [inputs, N, ...] + bias``."""
    flat: Tensor = ops.matmul(weight, x.reshape(x.shape[0], math.prod(x.shape[1:])))
    return (flat + bias).reshape(weight.shape[0], *x.shape[1:])


def _check_length(layer: PSN | MaskedPSN, x: Tensor) -> None:
    if x.ndim < 1 or x.shape[0] != layer.T:
        raise ShapeError(
            f"{type(layer).__name__}(T={layer.T}) takes [T, N, ...] with T={layer.T}, got {x.shape}"
        )


class PSN(MultiStepModule):
    """Parallel spiking neuron: ``H = W X + B``, ``S[t] = 1`` where ``H[t] >= 0``; no reset, all steps at once.

    Every step sees every other one, later ones too. Shapes: ``[T, N, ...]``; weight ``[T, T]``, bias ``[T, 1]``, which
    starts at -1: minus the threshold. It keeps no state. The sums are matrix products, each device's own: two backends may
    differ on a potential within rounding of 0.

    Source: Fang et al. 2023, "Parallel Spiking Neurons", arXiv 2304.12760.

    Args:
        T: number of steps.
        surrogate_function: what backward uses as the derivative of the step.
        step_mode: ``'m'``.

    Raises:
        ArgumentError: step mode 's'.
        ShapeError: another number of steps.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.PSN(T=4)(np.ones((4, 2, 3))).shape
        (4, 2, 3)
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        T: int,  # noqa: N803
        surrogate_function: Surrogate | None = None,
        step_mode: str = "m",
    ) -> None:
        super().__init__(step_mode)
        self.T = whole_number(T, "PSN: T", 1)
        self.surrogate_function = _surrogate(surrogate_function, "PSN")
        self.weight, self.bias = _weight(self.T)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all steps."""
        check_input(self, x, self.weight)
        _check_length(self, x)
        out: Tensor = ops.spike(_potential(self.weight, x, self.bias), surrogate=self.surrogate_function)
        return out

    def extra_repr(self) -> str:
        return f"T={self.T}, {self.surrogate_function!r}"


class MaskedPSN(StatefulModule):
    """Parallel spiking neuron of order k: as :class:`PSN`, each step seeing the last k inputs only, once the mask is closed.

    The weight is ``(lambda_ M + 1 - lambda_) W`` with ``M[t, i] = 1`` where ``t - k < i <= t``. Raise ``lambda_`` from 0 to
    1 while training; at 1 the neuron is causal and can run step by step. Shapes: ``[T, N, ...]`` in step mode 'm',
    ``[N, ...]`` in 's'; weight ``[T, T]``, bias ``[T, 1]``. Memories, for 's': ``time_step`` and ``line``, the last
    ``k - 1`` inputs.

    Source: Fang et al. 2023, arXiv 2304.12760.

    Args:
        k: order, at least 1.
        T: number of steps.
        lambda_init: ``lambda_`` at first, from 0 to 1; it is a buffer and saved.
        surrogate_function: what backward uses as the derivative of the step.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: a number out of range; step mode 's' while ``lambda_`` is below 1.
        ShapeError: another number of steps in 'm'.
        StateError: more than T steps in 's', or state of another shape.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> node = nn.MaskedPSN(k=2, T=4, step_mode="m")
        >>> node.lambda_ = 1.0
        >>> node(np.ones((4, 2, 3))).shape, node.lambda_
        ((4, 2, 3), 1.0)
    """

    weight: Parameter
    bias: Parameter
    mask: Tensor
    _lambda_: Tensor
    time_step: int
    line: Any

    def __init__(
        self,
        k: int,
        T: int,  # noqa: N803
        lambda_init: float = 0.0,
        surrogate_function: Surrogate | None = None,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        self.T, self.k = whole_number(T, "MaskedPSN: T", 1), whole_number(k, "MaskedPSN: k", 1)
        self.surrogate_function = _surrogate(surrogate_function, "MaskedPSN")
        self.weight, self.bias = _weight(self.T)
        self.register_buffer("_lambda_", np.float32(0.0))
        self.lambda_ = lambda_init
        whole = np.ones((self.T, self.T), np.float32)
        self.register_buffer("mask", np.tril(whole) * np.triu(whole, 1 - self.k))
        self.register_memory("time_step", 0)
        self.register_memory("line", 0.0)

    @property
    def lambda_(self) -> float:
        """How far the mask is closed (read from the device)."""
        return float(self._lambda_.item())

    @lambda_.setter
    def lambda_(self, value: float) -> None:
        if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise ArgumentError(f"MaskedPSN: lambda_ must be a number from 0 to 1, got {value!r}")
        held = self._lambda_
        self._lambda_ = tensor(float(value), dtype=held.dtype, backend=held._backend)

    def masked_weight(self) -> Tensor:
        """The weight behind the mask, ``[T, T]``."""
        closed = self._lambda_
        return (self.mask * closed + (1.0 - closed)) * self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step or of all steps."""
        check_input(self, x, self.weight)
        if self.step_mode == "m":
            _check_length(self, x)
            h = _potential(self.masked_weight(), x, self.bias)
        else:
            h = self._single(x)
        out: Tensor = ops.spike(h, surrogate=self.surrogate_function)
        return out

    def _single(self, x: Tensor) -> Tensor:
        """The potential of one step."""
        t, first = self.time_step, max(self.time_step + 1 - self.k, 0)
        if t >= self.T:
            raise StateError(
                f"MaskedPSN(T={self.T}) has run {t} steps. Call grilly.functional.reset_net(net) before the next sequence"
            )
        if self.lambda_ < 1.0:
            raise ArgumentError(
                f"MaskedPSN in step_mode='s' needs lambda_ = 1, got {self.lambda_:g}: with an open mask a step depends on "
                "later ones; set step_mode='m'"
            )
        seen = _with_past(self, x.expand_dims(0))
        row = self.masked_weight()[t : t + 1, first : t + 1]
        self.time_step = t + 1
        return _potential(row, seen[seen.shape[0] - row.shape[1] :], self.bias[t]).squeeze(0)

    def extra_repr(self) -> str:
        return f"k={self.k}, T={self.T}, lambda_={self.lambda_:g}, step_mode={self.step_mode!r}"


def _with_past(layer: MaskedPSN | SlidingPSN, x: Tensor) -> Tensor:
    """The last ``k - 1`` inputs, zeros at first, before the steps ``x``; remembers the last of all."""
    if layer.k == 1:
        return x
    line = kept(layer, layer.line, (layer.k - 1, *x.shape[1:]), x)
    layer.line = delay_line(line, x)
    both: Tensor = ops.concat([line, x], axis=0)
    return both


class SlidingPSN(StatefulModule):
    """Parallel spiking neuron whose k weights slide over time: ``H[t] = sum_i w[i] X[t - k + 1 + i] + B``.

    It fires where ``H[t] >= 0``. Shapes: ``[N, ...]`` in step mode 's', ``[T, N, ...]`` in 'm', for any T; weight ``[k]``,
    the last for the latest input; bias 0-d, which starts at -1: minus the threshold. Memory: ``line``, the last ``k - 1``
    inputs, zeros before the first; a sequence in 'm' continues the one before unless reset.

    Source: Fang et al. 2023, arXiv 2304.12760.

    Args:
        k: order, at least 1.
        exp_init: start at ``2^(i - k + 1)``, as a leaky neuron; False: uniform at random.
        surrogate_function: what backward uses as the derivative of the step.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: ``k < 1``.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.SlidingPSN(k=2, step_mode="m")
        >>> node.weight.tolist(), node([[0.5], [0.75], [0.5]]).tolist()
        ([0.5, 1.0], [[0.0], [1.0], [0.0]])
    """

    weight: Parameter
    bias: Parameter
    line: Any

    def __init__(
        self,
        k: int,
        exp_init: bool = True,
        surrogate_function: Surrogate | None = None,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        self.k = whole_number(k, "SlidingPSN: k", 1)
        self.surrogate_function = _surrogate(surrogate_function, "SlidingPSN")
        if exp_init:
            self.weight = Parameter(np.exp2(np.arange(1.0 - self.k, 1.0)).astype(np.float32))
        else:
            bound = 1.0 / math.sqrt(self.k)
            self.weight = init.uniform_(Parameter(zeros((self.k,))), -bound, bound)
        self.bias = Parameter(-1.0)
        self.register_memory("line", 0.0)

    def _band(self, steps: int) -> Tensor:
        """The weights of ``steps`` steps over their inputs and the ``k - 1`` before, ``[steps, steps + k - 1]``."""
        place = np.arange(steps + self.k - 1) - np.arange(steps)[:, None]
        place = np.where((place >= 0) & (place < self.k), place, self.k).astype(np.int32)
        padded = ops.pad(self.weight, low=(0,), high=(1,))
        band: Tensor = ops.gather(padded, tensor(place, backend=self.weight._backend), axis=0)
        return band

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step or of all steps."""
        check_input(self, x, self.weight)
        self.check_steps(x)
        steps = x if self.step_mode == "m" else x.expand_dims(0)
        h = _potential(self._band(steps.shape[0]), _with_past(self, steps), self.bias)
        spikes: Tensor = ops.spike(h, surrogate=self.surrogate_function)
        return spikes if self.step_mode == "m" else spikes.squeeze(0)

    def extra_repr(self) -> str:
        return f"k={self.k}, {self.surrogate_function!r}, step_mode={self.step_mode!r}"
