"""Neurons whose op runs all steps at once and may keep a second state beside the potential."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from grilly._checks import finite_number, positive_number
from grilly.nn.checks import check_input
from grilly.nn.neurons import BaseNode, check_tau
from grilly.nn.parameter import Parameter
from grilly.nn.step import kept, together
from grilly_core import ops
from grilly_core.errors import ArgumentError
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor

__all__ = ["ALIFNode", "CubaLIFNode", "KLIFNode", "StatesNode", "check_share"]


def check_share(value: Any, name: str, owner: str) -> float:
    """What a step leaves of a state: a number from 0 to 1."""
    number = finite_number(value, f"{owner}: {name}")
    if not 0.0 <= number <= 1.0:
        raise ArgumentError(f"{owner}: {name} is the share kept each step, so from 0 to 1, got {value!r}")
    return number


class StatesNode(BaseNode):
    """A neuron with one core op for all steps; one step is a sequence of one.

    A subclass names its op in ``_all_steps`` and its memories, in the order of the op, in ``_states``.
    """

    _states: ClassVar[tuple[str, ...]] = ("v",)

    def _slopes(self) -> tuple[Tensor | None, ...]:
        """What the op takes after the states."""
        return ()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step or of all steps."""
        check_input(self, x, next(iter(self._parameters.values()), None))
        self.check_steps(x)
        multi = self.step_mode == "m"
        steps = x if multi else x.expand_dims(0)
        save_v = multi and self.store_v_seq
        states = [kept(self, self._memories[name], steps.shape[1:], x) for name in self._states]
        results = self._all_steps(steps, *states, *self._slopes(), save_v=save_v, **self._constants())
        spikes, *after = results if results[0]._node is results[1]._node else together(*results)
        for name, state in zip(self._states, after, strict=False):
            setattr(self, name, state)
        if save_v:
            self.v_seq = after[-1]
        out: Tensor = spikes if multi else spikes.squeeze(0)
        return out


class KLIFNode(StatesNode):
    """LIF behind a rectifier of learned slope: ``F = relu(k H)``, ``H`` charged as :class:`LIFNode` does.

    It fires where ``F >= v_threshold`` and F is reset as usual; with ``scale_reset`` the slope is undone first:
    ``V = (1 - S) F / k + S v_reset``, softly ``V = (F - S v_threshold) / k``. The one scalar parameter ``k`` starts at 1.
    Shapes as :class:`IFNode`.

    Source: Jiang & Zhang 2023, "KLIF", arXiv 2302.09238.

    Args:
        scale_reset: whether the reset undoes the slope.
        tau: membrane time constant in steps, at least 1.
        decay_input: whether the input is divided by tau as well.
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.KLIFNode(tau=2.0, step_mode="m")
        >>> node([[1.5], [1.5], [1.5]]).tolist(), node.k.item()
        ([[0.0], [1.0], [0.0]], 1.0)
    """

    k: Parameter
    _all_steps = ops.klif_multi_step

    def __init__(
        self,
        scale_reset: bool = False,
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
        self.scale_reset = bool(scale_reset)
        self.tau = check_tau(tau, "tau", type(self).__name__)
        self.decay_input = bool(decay_input)
        self.k = Parameter(1.0)

    def _slopes(self) -> tuple[Tensor | None, ...]:
        return self.k, 1.0 / self.k if self.scale_reset else None

    def _constants(self) -> dict[str, Any]:
        return {"rate": 1.0 / self.tau, "decay_input": self.decay_input, **super()._constants()}

    def extra_repr(self) -> str:
        shown = f"scale_reset={self.scale_reset}, tau={self.tau:g}, decay_input={self.decay_input}"
        return f"{shown}, {super().extra_repr()}"


class CubaLIFNode(StatesNode):
    """Current-based LIF: the input charges a current and that the potential.

    ``C = c_decay C + X``, ``H = v_decay V + C``. Shapes as :class:`IFNode`. Memories: ``v`` and ``c``.

    Source: Davies et al. 2018 (Loihi), in floating point.

    Args:
        c_decay: share of the current left after a step, from 0 to 1.
        v_decay: share of the potential left after a step, from 0 to 1.
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: a decay outside [0, 1].
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.CubaLIFNode(c_decay=0.5, v_decay=0.75, v_threshold=0.5)
        >>> [node([x]).item() for x in (0.25, 0.25, 0.0)], node.c.item()
        ([0.0, 1.0, 0.0], 0.1875)
    """

    c: Any
    _all_steps = ops.cuba_lif_multi_step
    _states = ("v", "c")

    def __init__(
        self,
        c_decay: float = 0.5,
        v_decay: float = 0.75,
        v_threshold: float = 0.5,
        v_reset: float | None = 0.0,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        owner = type(self).__name__
        self.c_decay = check_share(c_decay, "c_decay", owner)
        self.v_decay = check_share(v_decay, "v_decay", owner)
        self.register_memory("c", 0.0)

    def _constants(self) -> dict[str, Any]:
        return {"c_decay": self.c_decay, "v_decay": self.v_decay, **super()._constants()}

    def extra_repr(self) -> str:
        return f"c_decay={self.c_decay:g}, v_decay={self.v_decay:g}, {super().extra_repr()}"


class ALIFNode(StatesNode):
    """LIF with an adaptive threshold: each spike raises it, and what is raised decays.

    Charged as :class:`LIFNode`, it fires where ``H >= v_threshold + beta a``; then ``a <- e^(-1/tau_a) a + S``. A soft reset
    subtracts ``v_threshold``. ``detach_reset`` concerns the reset alone: what a spike does to the threshold has a gradient.
    Shapes as :class:`IFNode`. Memories: ``v`` and ``a`` (0 at first).

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons", Nature
    Communications 11, 3625 (the time constants there depend on the task; the defaults are ours).

    Args:
        tau: membrane time constant in steps, at least 1.
        tau_a: time constant of the adaptation in steps, above 0.
        beta: how much a spike raises the threshold.
        decay_input: whether the input is divided by tau as well.
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``, ``tau_a`` not above 0.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.ALIFNode(tau=1.0, tau_a=20.0, beta=0.2, step_mode="m")
        >>> node([[1.1], [1.1], [1.3]]).tolist(), round(node.a.item(), 3)
        ([[1.0], [0.0], [1.0]], 1.905)
    """

    a: Any
    _all_steps = ops.alif_multi_step
    _states = ("v", "a")

    def __init__(
        self,
        tau: float = 2.0,
        tau_a: float = 20.0,
        beta: float = 0.2,
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
        self.tau = check_tau(tau, "tau", owner)
        self.tau_a = positive_number(tau_a, f"{owner}: tau_a (time steps)")
        self.beta = finite_number(beta, f"{owner}: beta")
        self.decay_input = bool(decay_input)
        self.register_memory("a", 0.0)

    def _constants(self) -> dict[str, Any]:
        own = {"rate": 1.0 / self.tau, "a_decay": math.exp(-1.0 / self.tau_a), "beta": self.beta}
        return {**own, "decay_input": self.decay_input, **super()._constants()}

    def extra_repr(self) -> str:
        shown = f"tau={self.tau:g}, tau_a={self.tau_a:g}, beta={self.beta:g}, decay_input={self.decay_input}"
        return f"{shown}, {super().extra_repr()}"
