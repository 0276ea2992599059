"""Synapses: what a spike becomes on its way to a neuron, over time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly._checks import finite_number, positive_number, whole_number
from grilly.nn.checks import check_input
from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly.nn.step import StatefulModule, kept
from grilly_core import ops
from grilly_core.errors import ArgumentError
from grilly_core.ops.synapse import delay_line
from grilly_core.tensor import Tensor, scalar

__all__ = ["DualTimescaleSynapse", "STPSynapse", "SynapseFilter"]


def initial_w(tau: float) -> float:
    """``logit(e^(-1/tau))``, which neither overflows nor cancels for any tau above 0."""
    return -1.0 / tau - math.log(-math.expm1(-1.0 / tau))


def tau_of(trace: SynapseFilter | _Arm) -> float:
    """The current time constant in steps (read from the device if it is learnt)."""
    return 1.0 / float(np.logaddexp(0.0, -trace.w.item())) if trace.learnable else trace._tau


def decay_of(trace: SynapseFilter | _Arm, x: Tensor) -> Tensor:
    """What a step leaves of a trace, 0-d, for this input."""
    if trace.learnable:
        return trace.w.sigmoid()
    return scalar(math.exp(-1.0 / trace._tau), x.spec.dtype, x._backend)


def state_shape(layer: StatefulModule, x: Tensor) -> tuple[int, ...]:
    """The shape of one step of the input."""
    return x.shape[1:] if layer.step_mode == "m" else x.shape


class SynapseFilter(StatefulModule):
    """A trace that every input raises and that decays: ``y[t] = e^(-1/tau_syn) y[t-1] + x[t - delay]``.

    Unlike SpikingJelly's layer of this name it decays at a spike too. Shapes: ``[N, ...]`` in step mode 's',
    ``[T, N, ...]`` in 'm'; the output has the shape of the input. Memories: ``y`` and, with a delay, ``line``: the inputs
    still on their way, ``[delay, N, ...]``, oldest first, zeros before the first.

    Args:
        tau_syn: time constant in steps, above 0.
        delay: steps from an input to its effect.
        learnable: the decay is ``sigmoid(w)`` with one scalar parameter ``w``, which starts at ``logit(e^(-1/tau_syn))``.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: ``tau_syn`` not above 0, a negative delay.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> synapse = nn.SynapseFilter(tau_syn=5.0, delay=1, step_mode="m")
        >>> [round(y, 3) for y in synapse([[1.0], [0.0], [0.0], [0.0]]).reshape(4).tolist()]
        [0.0, 1.0, 0.819, 0.67]
    """

    y: Any
    line: Any
    w: Parameter

    def __init__(
        self, tau_syn: float = 5.0, delay: int = 0, learnable: bool = False, step_mode: str = "s"
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self._tau = positive_number(tau_syn, f"{owner}: tau_syn (time steps)")
        self.delay = whole_number(delay, f"{owner}: delay (time steps)", 0)
        self.learnable = bool(learnable)
        if self.learnable:
            self.w = Parameter(initial_w(self._tau))
        self.register_memory("y", 0.0)
        if self.delay:
            self.register_memory("line", 0.0)

    @property
    def tau_syn(self) -> float:
        """The current time constant in steps (read from the device if it is learnt)."""
        return tau_of(self)

    def forward(self, x: Tensor) -> Tensor:
        """The trace after one step or after each of all steps."""
        check_input(self, x, self.w if self.learnable else None)
        self.check_steps(x)
        shape = state_shape(self, x)
        y, line = kept(self, self.y, shape, x), None
        steps = x if self.step_mode == "m" else x.expand_dims(0)
        if self.delay:
            line = kept(self, self.line, (self.delay, *shape), x)
            self.line = delay_line(line, steps)
        traces, last = ops.synapse_filter(steps, y, decay_of(self, x), line)
        if self.step_mode == "m":
            self.y = last
            out: Tensor = traces
        else:
            self.y = out = traces.squeeze(0)
        return out

    def extra_repr(self) -> str:
        shown = [f"tau_syn={self.tau_syn:.4g}", f"delay={self.delay}"]
        if self.learnable:
            shown.append("learnable=True")
        return ", ".join([*shown, f"step_mode={self.step_mode!r}"])


class _Arm(Module):
    """The decay of one trace of a synapse with several, whose memories hold the trace."""

    w: Parameter

    def __init__(self, tau: float, learnable: bool) -> None:
        super().__init__()
        self._tau, self.learnable = tau, learnable
        if learnable:
            self.w = Parameter(initial_w(tau))

    def extra_repr(self) -> str:
        return f"tau={tau_of(self):.4g}"


class DualTimescaleSynapse(StatefulModule):
    """A fast and a slow trace of the same input, weighed: ``w_fast y_fast + w_slow y_slow``.

    Each trace is ``y[t] = e^(-1/tau) y[t-1] + x[t]``. Shapes as :class:`SynapseFilter`. Memories: ``y_fast`` and ``y_slow``.

    Args:
        tau_fast, tau_slow: time constants in steps, above 0.
        w_fast, w_slow: weights of the two.
        learnable: parameters ``w_fast``, ``w_slow``, ``fast.w`` and ``slow.w``, all scalar; the decays are ``sigmoid`` of
            the last two, which start at ``logit(e^(-1/tau))``.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: a time constant not above 0, a weight that is no number.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> synapse = nn.DualTimescaleSynapse(tau_fast=1.0, tau_slow=50.0, step_mode="m")
        >>> [round(y, 3) for y in synapse([[1.0], [0.0], [0.0]]).reshape(3).tolist()]
        [1.0, 0.674, 0.548]
        >>> [name for name, _ in nn.DualTimescaleSynapse(learnable=True).named_parameters()]
        ['w_fast', 'w_slow', 'fast.w', 'slow.w']
    """

    w_fast: Any
    w_slow: Any
    y_fast: Any
    y_slow: Any

    def __init__(
        self,
        tau_fast: float = 5.0,
        tau_slow: float = 50.0,
        w_fast: float = 0.5,
        w_slow: float = 0.5,
        learnable: bool = False,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.learnable = bool(learnable)
        self.fast = _Arm(positive_number(tau_fast, f"{owner}: tau_fast (time steps)"), self.learnable)
        self.slow = _Arm(positive_number(tau_slow, f"{owner}: tau_slow (time steps)"), self.learnable)
        for name, weight in (("w_fast", w_fast), ("w_slow", w_slow)):
            number = finite_number(weight, f"{owner}: {name}")
            setattr(self, name, Parameter(number) if self.learnable else number)
        self.register_memory("y_fast", 0.0)
        self.register_memory("y_slow", 0.0)

    def _weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both weights, 0-d, for this input."""
        if self.learnable:
            return self.w_fast, self.w_slow
        dtype, backend = x.spec.dtype, x._backend
        return scalar(self.w_fast, dtype, backend), scalar(self.w_slow, dtype, backend)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed traces after one step or after each of all steps."""
        check_input(self, x, self.fast.w if self.learnable else None)
        self.check_steps(x)
        shape = state_shape(self, x)
        out, self.y_fast, self.y_slow = ops.dual_timescale(
            x if self.step_mode == "m" else x.expand_dims(0),
            kept(self, self.y_fast, shape, x),
            kept(self, self.y_slow, shape, x),
            decay_of(self.fast, x),
            decay_of(self.slow, x),
            *self._weights(x),
        )
        result: Tensor = out if self.step_mode == "m" else out.squeeze(0)
        return result

    def extra_repr(self) -> str:
        w_fast, w_slow = (w.item() if isinstance(w, Tensor) else w for w in (self.w_fast, self.w_slow))
        shown = [f"tau_fast={tau_of(self.fast):.4g}", f"tau_slow={tau_of(self.slow):.4g}"]
        shown += [f"w_fast={w_fast:.4g}", f"w_slow={w_slow:.4g}"]
        if self.learnable:
            shown.append("learnable=True")
        return ", ".join([*shown, f"step_mode={self.step_mode!r}"])


class STPSynapse(StatefulModule):
    """Short-term plasticity: each spike uses up a share of the resources, which recover, and raises the next share.

    A spike is an input above 0. Every step first ``u <- u e^(-1/tau_f)`` (facilitation fades) and
    ``R <- 1 + (R - 1) e^(-1/tau_d)`` (resources recover); then at a spike ``u <- u + U (1 - u)``, the output is
    ``x u R`` and ``R <- R - u R``; without one it is 0. The first release is U. Gradients flow to x; whether there was a
    spike counts as constant. Shapes as :class:`SynapseFilter`. Memories: ``u`` (0 at first) and ``R`` (1).

    Source: Tsodyks, Pawelzik & Markram 1998, with a step of 1.

    Args:
        tau_d: time constant of recovery from depression in steps, above 0.
        tau_f: time constant of facilitation in steps, above 0.
        U: share that a first spike uses, above 0 and at most 1.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: a time constant not above 0, U outside (0, 1].
        StateError: state of another shape.

    Example:
        >>> from grilly import nn
        >>> synapse = nn.STPSynapse(tau_d=200.0, tau_f=20.0, U=0.5, step_mode="m")
        >>> [round(y, 3) for y in synapse([[1.0], [1.0], [0.0], [1.0]]).reshape(4).tolist()]
        [0.5, 0.371, 0.0, 0.117]
    """

    u: Any
    R: Any

    def __init__(
        self,
        tau_d: float = 200.0,
        tau_f: float = 20.0,
        U: float = 0.2,  # noqa: N803
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.tau_d = positive_number(tau_d, f"{owner}: tau_d (time steps)")
        self.tau_f = positive_number(tau_f, f"{owner}: tau_f (time steps)")
        self.U = positive_number(U, f"{owner}: U")
        if self.U > 1.0:
            raise ArgumentError(f"{owner}: U is the share that a first spike uses, so at most 1, got {U!r}")
        self.register_memory("u", 0.0)
        self.register_memory("R", 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """What is released in one step or in each of all steps."""
        check_input(self, x)
        self.check_steps(x)
        shape = state_shape(self, x)
        states = kept(self, self.u, shape, x), kept(self, self.R, shape, x)
        out, self.u, self.R = ops.stp_synapse(
            x if self.step_mode == "m" else x.expand_dims(0),
            *states,
            decay_u=math.exp(-1.0 / self.tau_f),
            decay_r=math.exp(-1.0 / self.tau_d),
            use=self.U,
        )
        result: Tensor = out if self.step_mode == "m" else out.squeeze(0)
        return result

    def extra_repr(self) -> str:
        return f"tau_d={self.tau_d:g}, tau_f={self.tau_f:g}, U={self.U:g}, step_mode={self.step_mode!r}"
