"""Nonlinear neurons: quadratic, exponential, and quadratic with a recovery variable."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number, positive_number
from grilly.nn.neuron_states import StatesNode
from grilly.nn.neurons import check_tau
from grilly_core import ops
from grilly_core.surrogate import Surrogate

__all__ = ["EIFNode", "IzhikevichNode", "QIFNode"]


class QIFNode(StatesNode):
    """Quadratic integrate-and-fire: ``H = V + (X + a0 (V - v_rest) (V - v_c)) / tau``.

    Below the critical potential ``v_c`` it falls back to rest, above it runs away to a spike. Shapes as :class:`IFNode`.

    Source: Ermentrout & Kopell 1986; Latham et al. 2000.

    Args:
        tau: membrane time constant in steps, at least 1.
        v_c: critical potential.
        a0: curvature, above 0.
        v_threshold: see :class:`BaseNode`.
        v_rest: resting potential.
        v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``, ``a0`` not above 0.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.QIFNode(tau=2.0, v_c=0.5, v_rest=0.0, v_reset=0.0)
        >>> node([1.0]).item(), node([1.0]).item(), node.v.item()
        (0.0, 1.0, 0.0)
    """

    _all_steps = ops.qif_multi_step

    def __init__(
        self,
        tau: float = 2.0,
        v_c: float = 0.8,
        a0: float = 1.0,
        v_threshold: float = 1.0,
        v_rest: float = 0.0,
        v_reset: float | None = -0.1,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        owner = type(self).__name__
        self.tau = check_tau(tau, "tau", owner)
        self.v_c, self.v_rest = finite_number(v_c, f"{owner}: v_c"), finite_number(v_rest, f"{owner}: v_rest")
        self.a0 = positive_number(a0, f"{owner}: a0")

    def _constants(self) -> dict[str, Any]:
        own = {"rate": 1.0 / self.tau, "v_c": self.v_c, "a0": self.a0, "v_rest": self.v_rest}
        return {**own, **super()._constants()}

    def extra_repr(self) -> str:
        shown = f"tau={self.tau:g}, v_c={self.v_c:g}, a0={self.a0:g}, v_rest={self.v_rest:g}"
        return f"{shown}, {super().extra_repr()}"


class EIFNode(StatesNode):
    """Exponential integrate-and-fire: ``H = V + (X - (V - v_rest) + delta_T e^((V - theta_rh) / delta_T)) / tau``.

    Shapes as :class:`IFNode`. The exponential is each device's own: potentials agree between backends up to its rounding.

    Source: Fourcaud-Trocmé et al. 2003.

    Args:
        tau: membrane time constant in steps, at least 1.
        delta_T: sharpness of the upstroke, above 0.
        theta_rh: rheobase threshold, where the upstroke begins.
        v_threshold: see :class:`BaseNode`.
        v_rest: resting potential.
        v_reset, surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: ``tau < 1``, ``delta_T`` not above 0.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.EIFNode(tau=2.0, delta_T=1.0, theta_rh=0.0, v_reset=0.0)
        >>> node([0.5]).item(), node.v.item(), node([0.5]).item()
        (0.0, 0.75, 1.0)
    """

    _all_steps = ops.eif_multi_step

    def __init__(
        self,
        tau: float = 2.0,
        delta_T: float = 1.0,  # noqa: N803
        theta_rh: float = 0.8,
        v_threshold: float = 1.0,
        v_rest: float = 0.0,
        v_reset: float | None = -0.1,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        owner = type(self).__name__
        self.tau = check_tau(tau, "tau", owner)
        self.delta_T = positive_number(delta_T, f"{owner}: delta_T")
        self.theta_rh = finite_number(theta_rh, f"{owner}: theta_rh")
        self.v_rest = finite_number(v_rest, f"{owner}: v_rest")

    def _constants(self) -> dict[str, Any]:
        own = {
            "rate": 1.0 / self.tau,
            "delta_t": self.delta_T,
            "theta_rh": self.theta_rh,
            "v_rest": self.v_rest,
        }
        return {**own, **super()._constants()}

    def extra_repr(self) -> str:
        shown = (
            f"tau={self.tau:g}, delta_T={self.delta_T:g}, theta_rh={self.theta_rh:g}, v_rest={self.v_rest:g}"
        )
        return f"{shown}, {super().extra_repr()}"


class IzhikevichNode(StatesNode):
    """Quadratic integrate-and-fire with a recovery variable.

    ``H = V + (X + a0 (V - v_rest) (V - v_c) - W) / tau``, then ``W <- W + (a (H - v_rest) - W) / tau_w + b S``. Shapes as
    :class:`IFNode`. Memories: ``v`` and ``w`` (``w_rest`` at first).

    Source: Izhikevich 2003, "Simple model of spiking neurons", in units of the threshold.

    Args:
        tau: membrane time constant in steps, at least 1.
        v_c: critical potential.
        a0: curvature, above 0.
        v_threshold, v_reset: see :class:`BaseNode`.
        v_rest: resting potential.
        w_rest: recovery at first and after ``reset()``.
        tau_w: time constant of the recovery in steps, at least 1.
        a: how much the potential drives the recovery.
        b: how much a spike adds to it.
        surrogate_function, detach_reset, step_mode, store_v_seq: see :class:`BaseNode`.

    Raises:
        ArgumentError: a time constant below 1, ``a0`` not above 0.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> node = nn.IzhikevichNode(tau=2.0, v_rest=0.0, v_c=0.5, tau_w=2.0, a=0.5, b=1.0)
        >>> node([2.0]).item(), node.v.item(), node.w.item()
        (1.0, 0.0, 1.25)
    """

    w: Any
    _all_steps = ops.izhikevich_multi_step
    _states = ("v", "w")

    def __init__(
        self,
        tau: float = 2.0,
        v_c: float = 0.8,
        a0: float = 1.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        v_rest: float = -0.1,
        w_rest: float = 0.0,
        tau_w: float = 2.0,
        a: float = 0.0,
        b: float = 0.0,
        surrogate_function: Surrogate | None = None,
        detach_reset: bool = False,
        step_mode: str = "s",
        store_v_seq: bool = False,
    ) -> None:
        super().__init__(v_threshold, v_reset, surrogate_function, detach_reset, step_mode, store_v_seq)
        owner = type(self).__name__
        self.tau, self.tau_w = check_tau(tau, "tau", owner), check_tau(tau_w, "tau_w", owner)
        self.a0 = positive_number(a0, f"{owner}: a0")
        self.v_c, self.v_rest = finite_number(v_c, f"{owner}: v_c"), finite_number(v_rest, f"{owner}: v_rest")
        self.a, self.b = finite_number(a, f"{owner}: a"), finite_number(b, f"{owner}: b")
        self.register_memory("w", finite_number(w_rest, f"{owner}: w_rest"))

    def _constants(self) -> dict[str, Any]:
        own = {"rate": 1.0 / self.tau, "v_c": self.v_c, "a0": self.a0, "v_rest": self.v_rest}
        recovery = {"w_rate": 1.0 / self.tau_w, "a": self.a, "b": self.b}
        return {**own, **recovery, **super()._constants()}

    def extra_repr(self) -> str:
        shown = f"tau={self.tau:g}, v_c={self.v_c:g}, a0={self.a0:g}, v_rest={self.v_rest:g}"
        recovery = f"tau_w={self.tau_w:g}, a={self.a:g}, b={self.b:g}"
        return f"{shown}, {recovery}, {super().extra_repr()}"
