"""Spiking neurons with state: integrate-and-fire, leaky, and leaky with a learnable leak."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

from grilly._checks import finite_number
from grilly.nn.checks import check_input
from grilly.nn.parameter import Parameter
from grilly.nn.step import StatefulModule, kept
from grilly_core import ops
from grilly_core.autograd import grad_enabled
from grilly_core.errors import ArgumentError
from grilly_core.op import Op
from grilly_core.ops.neuron import reset as reset_potential
from grilly_core.ops.neuron_rules import keeps_potentials
from grilly_core.surrogate import ATan, Surrogate
from grilly_core.tensor import Tensor

__all__ = ["BaseNode", "IFNode", "LIFNode", "ParametricLIFNode"]


class BaseNode(StatefulModule):
    """What all neurons share: threshold, reset, surrogate, step mode and the membrane potential ``v``.

    A neuron cannot tell ``[T, N, ...]`` from ``[N, ...]``: ``step_mode`` decides what the first axis is.

    Args:
        v_threshold: fires where the charged potential reaches it.
        v_reset: potential after a spike (hard reset), or None to subtract the threshold (soft reset).
        surrogate_function: what backward uses as the derivative of the step.
        detach_reset: take the spike as a constant inside the reset.
        step_mode: ``'s'``: the input is one step ``[N, ...]``; ``'m'``: all steps ``[T, N, ...]``.
        store_v_seq: in ``'m'`` keep the potentials of all steps in ``v_seq``.
    """

    v: Any
    v_seq: Tensor | None
    _all_steps: ClassVar[Op]

    def __init__(
        self,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.v_threshold = finite_number(v_threshold, f"{owner}: v_threshold")
        self.v_reset = None if v_reset is None else finite_number(v_reset, f"{owner}: v_reset (or None)")
        surrogate = ATan() if surrogate_function is None else surrogate_function
        if not isinstance(surrogate, Surrogate):
            raise ArgumentError(
                f"{owner}: surrogate_function must be a surrogate such as nn.ATan(), got {surrogate!r}"
            )
        self.surrogate_function = surrogate
        self.detach_reset = bool(detach_reset)
        self.store_v_seq = bool(store_v_seq)
        self.register_memory("v", 0.0 if self.v_reset is None else self.v_reset)
        self.register_memory("v_seq", None)

    def _constants(self) -> dict[str, Any]:
        """Attributes of the core op."""
        return {
            "v_threshold": self.v_threshold,
            "v_reset": self.v_reset,
            "detach_reset": self.detach_reset,
            "surrogate": self.surrogate_function,
        }

    def _state(self, x: Tensor) -> Tensor:
        """The potential for this input."""
        return kept(self, self.v, x.shape[1:] if self.step_mode == "m" else x.shape, x)

    def _single(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _multi(self, x: Tensor, v: Tensor, save_h: bool) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _learns(self) -> bool:
        """Whether a parameter of the neuron itself wants a gradient."""
        return any(parameter.requires_grad for parameter in self._parameters.values())

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step or of all steps."""
        check_input(self, x)
        if self.step_mode == "s":
            spikes, self.v = self._single(x, self._state(x))
            return spikes
        self.check_steps(x)
        v = self._state(x)
        recorded = grad_enabled() and (x.requires_grad or v.requires_grad or self._learns())
        save_h = self.store_v_seq or (recorded and keeps_potentials(self._all_steps, x._backend))
        spikes, last, *h = self._multi(x, v, save_h)
        self.v = last
        if self.store_v_seq:
            s = spikes.detach() if self.detach_reset else spikes
            self.v_seq = reset_potential(h[0], s, self.v_threshold, self.v_reset)
        return spikes

    def extra_repr(self) -> str:
        shown = [
            f"v_threshold={self.v_threshold:g}",
            f"v_reset={self.v_reset}",
            repr(self.surrogate_function),
        ]
        if self.detach_reset:
            shown.append("detach_reset=True")
        return ", ".join([*shown, f"step_mode={self.step_mode!r}"])


class IFNode(BaseNode):
    """Integrate-and-fire: ``H = V + X``.

    Shapes: ``[N, ...]`` in step mode 's', ``[T, N, ...]`` in 'm'; spikes come out in the same shape.

    Example:
        >>> from grilly import nn
        >>> nn.IFNode(step_mode="m")([[0.6], [0.6], [0.6]]).tolist()
        [[0.0], [1.0], [0.0]]
    """

    _all_steps = ops.if_multi_step

    def _single(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        pair: tuple[Tensor, Tensor] = ops.if_step(x, v, **self._constants())
        return pair

    def _multi(self, x: Tensor, v: Tensor, save_h: bool) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self._all_steps(x, v, save_h=save_h, **self._constants())
        return results


def check_tau(tau: float, name: str, owner: str, above: bool = False) -> float:
    """A time constant in steps: at least 1 (above 1 with ``above``)."""
    if not isinstance(tau, Real) or not math.isfinite(tau) or (tau <= 1 if above else tau < 1):
        raise ArgumentError(
            f"{owner}: {name} must be a number {'above' if above else 'of at least'} 1 (time steps), got {tau!r}; the "
            "potential keeps 1 - 1/tau of its value each step"
        )
    return float(tau)


class LIFNode(BaseNode):
    """Leaky integrate-and-fire: ``H = V + (X - (V - r)) / tau`` with ``decay_input``, else ``V - (V - r) / tau + X``.

    ``r`` is ``v_reset``, or 0 when it is None. Shapes as :class:`IFNode`.

    Args:
        tau: membrane time constant in steps, at least 1.
        decay_input: whether the input is divided by tau as well.
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.LIFNode(tau=2.0)
        >>> [node([1.5]).item() for _ in range(3)]
        [0.0, 1.0, 0.0]
        >>> round(node.v.item(), 4)
        0.75
    """

    _all_steps = ops.lif_multi_step

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
        self.tau = check_tau(tau, "tau", type(self).__name__)
        self.decay_input = bool(decay_input)

    def _constants(self) -> dict[str, Any]:
        return {"k": 1.0 / self.tau, "decay_input": self.decay_input, **super()._constants()}

    def _single(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        pair: tuple[Tensor, Tensor] = ops.lif_step(x, v, **self._constants())
        return pair

    def _multi(self, x: Tensor, v: Tensor, save_h: bool) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self._all_steps(x, v, save_h=save_h, **self._constants())
        return results

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}, decay_input={self.decay_input}, {super().extra_repr()}"


class ParametricLIFNode(BaseNode):
    """LIF with a learnable leak (Fang et al. 2021, arXiv 2007.05785): ``1 / tau = sigmoid(w)``.

    The one scalar parameter ``w`` starts at ``-ln(init_tau - 1)``. Shapes as :class:`IFNode`.

    Args:
        init_tau: initial time constant in steps, above 1.
        decay_input: whether the input is divided by tau as well.
        v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Example:
        >>> from grilly import nn
        >>> nn.ParametricLIFNode(init_tau=2.0).tau
        2.0
    """

    w: Parameter
    _all_steps = ops.plif_multi_step

    def __init__(
        self,
        init_tau: float = 2.0,
        decay_input: bool = True,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        start = check_tau(init_tau, "init_tau", type(self).__name__, above=True)
        self.decay_input = bool(decay_input)
        self.w = Parameter(-math.log(start - 1.0))

    @property
    def tau(self) -> float:
        """The current time constant in steps (read from the device)."""
        return 1.0 + math.exp(-float(self.w.item()))

    def _constants(self) -> dict[str, Any]:
        return {"decay_input": self.decay_input, **super()._constants()}

    def _single(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        pair: tuple[Tensor, Tensor] = ops.plif_step(x, v, self.w.sigmoid(), **self._constants())
        return pair

    def _multi(self, x: Tensor, v: Tensor, save_h: bool) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self._all_steps(
            x, v, self.w.sigmoid(), save_h=save_h, **self._constants()
        )
        return results

    def extra_repr(self) -> str:
        return f"tau={self.tau:.4g}, decay_input={self.decay_input}, {super().extra_repr()}"
