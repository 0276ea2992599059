"""Neurons whose output is no binary spike: counts, signs, or the potential itself."""

from __future__ import annotations

from typing import Any

from grilly._checks import positive_number, whole_number
from grilly.nn.checks import check_input
from grilly.nn.neuron_states import StatesNode
from grilly.nn.neurons import check_tau
from grilly.nn.step import StatefulModule, kept
from grilly_core import ops
from grilly_core.errors import ArgumentError
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor, scalar

__all__ = ["ILIFNode", "NonSpikingLIFNode", "TernaryLIFNode"]


class ILIFNode(StatesNode):
    """LIF that emits whole numbers: ``H = V - V / tau + X``, ``S = round(clip(H / v_threshold, 0, max_spike_count))``.

    Soft reset: ``V = H - S v_threshold``. Halves round to even. The gradient of S is that of the clip: 1 where
    ``0 <= H / v_threshold <= max_spike_count``, else 0. Training sees counts; each stands for so many spikes at inference.
    Shapes as :class:`IFNode`.

    Source: Luo et al. 2024, "Integer-Valued Training and Spike-Driven Inference", arXiv 2407.20708 (their decay of 0.25 is
    ``tau = 4/3``).

    Args:
        tau: membrane time constant in steps, at least 1.
        max_spike_count: most spikes of one step, at least 1.
        v_threshold: potential of one spike, above 0.
        detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``, ``max_spike_count < 1``, a threshold not above 0.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.ILIFNode(max_spike_count=4)
        >>> node([2.75, 9.0, -1.0]).tolist(), node.v.tolist()
        ([3.0, 4.0, 0.0], [-0.25, 5.0, -1.0])
    """

    _all_steps = ops.ilif_multi_step

    def __init__(
        self,
        tau: float = 4.0 / 3.0,
        max_spike_count: int = 4,
        v_threshold: float = 1.0,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        owner = type(self).__name__
        positive_number(v_threshold, f"{owner}: v_threshold")
        super().__init__(v_threshold, None, None, detach_reset, step_mode, store_v_seq)
        self.tau = check_tau(tau, "tau", owner)
        self.max_spike_count = whole_number(max_spike_count, f"{owner}: max_spike_count", 1)

    def _constants(self) -> dict[str, Any]:
        return {
            "rate": 1.0 / self.tau,
            "max_spike_count": self.max_spike_count,
            "v_threshold": self.v_threshold,
            "detach_reset": self.detach_reset,
        }

    def extra_repr(self) -> str:
        shown = (
            f"tau={self.tau:.4g}, max_spike_count={self.max_spike_count}, v_threshold={self.v_threshold:g}"
        )
        return f"{shown}, step_mode={self.step_mode!r}"


class TernaryLIFNode(StatesNode):
    """LIF with a threshold on either side: 1 where ``H >= v_threshold``, -1 where ``H <= -v_threshold``, else 0.

    Charged as :class:`LIFNode`. Either spike resets to ``v_reset``; a soft reset subtracts ``v_threshold S``. Backward
    sees the surrogate at both thresholds. Shapes as :class:`IFNode`.

    Source: Guo et al. 2024, "Ternary Spike", arXiv 2312.06372.

    Args:
        tau: membrane time constant in steps, at least 1.
        decay_input: whether the input is divided by tau as well.
        v_threshold: above 0.
        v_reset: strictly between the thresholds, or None.
        surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``, a threshold not above 0, a reset potential beyond it.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> nn.TernaryLIFNode(tau=2.0)([2.5, 0.5, -2.5]).tolist()
        [1.0, 0.0, -1.0]
    """

    _all_steps = ops.ternary_lif_multi_step

    def __init__(
        self,
        tau: float = 2.0,
        decay_input: bool = True,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        owner = type(self).__name__
        if not self.v_threshold > abs(self.v_reset or 0.0):
            raise ArgumentError(
                f"{owner}: v_reset must lie strictly between -v_threshold and v_threshold, got {v_reset} and {v_threshold}"
            )
        self.tau = check_tau(tau, "tau", owner)
        self.decay_input = bool(decay_input)

    def _constants(self) -> dict[str, Any]:
        return {"rate": 1.0 / self.tau, "decay_input": self.decay_input, **super()._constants()}

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}, decay_input={self.decay_input}, {super().extra_repr()}"


def _extreme(v: Tensor) -> Tensor:
    """Of the highest and the lowest over time the one further from 0; the lowest where they are as far."""
    high, low = v.max(0), -((-v).max(0))
    chosen: Tensor = ops.where(high.abs() > low.abs(), high, low)
    return chosen


_DECODE = {
    "max-mem": lambda v: v.max(0),
    "max-abs-mem": _extreme,
    "mean-mem": lambda v: v.mean(0),
    "last-mem": lambda v: v[v.shape[0] - 1],
}


class NonSpikingLIFNode(StatefulModule):
    """A leaky integrator that never fires, for readouts: ``V <- V + (X - V) / tau``, and V is the output.

    Shapes: ``[N, ...]`` in step mode 's'; in 'm' ``[T, N, ...]``, and ``[N, ...]`` out with ``decode``. All steps are one
    fused trace, ``V <- V (1 - 1/tau) + X / tau``. Memory: ``v`` (0 at first).

    Args:
        tau: membrane time constant in steps, at least 1.
        decode: what to make of V over time in 'm': None keeps every step; ``'max-mem'``, ``'max-abs-mem'`` (the value
            furthest from 0), ``'mean-mem'`` or ``'last-mem'``.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: ``tau < 1``, an unknown decoding.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> nn.NonSpikingLIFNode(tau=2.0, step_mode="m")([[1.0], [1.0]]).tolist()
        [[0.5], [0.75]]
        >>> nn.NonSpikingLIFNode(tau=2.0, decode="max-mem", step_mode="m")([[2.0], [0.0]]).tolist()
        [1.0]
    """

    v: Any

    def __init__(self, tau: float = 2.0, decode: str | None = None, step_mode: str = "s") -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.tau = check_tau(tau, "tau", owner)
        if decode is not None and decode not in _DECODE:
            raise ArgumentError(f"{owner}: decode must be None or one of {sorted(_DECODE)}, got {decode!r}")
        self.decode = decode
        self.register_memory("v", 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The potential after one step, after each of all steps, or what is decoded from those."""
        check_input(self, x)
        self.check_steps(x)
        steps = x if self.step_mode == "m" else x.expand_dims(0)
        v = kept(self, self.v, steps.shape[1:], x)
        rate = 1.0 / self.tau
        potentials, self.v = ops.synapse_filter(
            steps * rate, v, scalar(1.0 - rate, x.spec.dtype, x._backend), None
        )
        if self.step_mode == "s":
            return self.v
        out: Tensor = potentials if self.decode is None else _DECODE[self.decode](potentials)
        return out

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}, decode={self.decode!r}, step_mode={self.step_mode!r}"
