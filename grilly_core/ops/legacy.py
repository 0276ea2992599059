"""What flat spiking networks are made of: neurons of one step, readout, a deterministic rate code, surrogates alone.

Neurons follow the order of operations written here on every backend, without contraction (see ``ops.neuron``).
"""

from __future__ import annotations

import math

from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.compare import greater, greater_equal, logical_and, logical_not, where
from grilly_core.ops.elementwise import cast, clip, floor, maximum
from grilly_core.ops.infer import float_unary
from grilly_core.ops.reduce import max, mean, sum
from grilly_core.ops.shape import stack
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor

__all__ = ["continuous_to_spike", "gif_neuron", "lif_neuron", "readout", "surrogate_gradient"]


def _check_states(x: Tensor, **states: Tensor) -> None:
    float_unary(x.spec)
    for name, state in states.items():
        if state.shape != x.shape:
            raise ShapeError(f"the state {name} has shape {state.shape}, the input {x.shape}")


def _check_finite(**constants: float) -> None:
    for name, value in constants.items():
        if not math.isfinite(value):
            raise ArgumentError(f"{name} must be finite, got {value}")


@composite(differentiable=False)
def lif_neuron(
    x: Tensor, v: Tensor, wait: Tensor, /, *, threshold: float = 1.0, decay: float = 0.9, refractory: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of leaky neurons with an absolute refractory period: ``v = decay v + x``, reset to 0 at a spike.

    A neuron fires where ``v >= threshold``; for the ``refractory`` steps after that ``v`` stays 0 and it cannot fire.
    Shapes: x, v and wait (steps left to be silent, a float) alike; returns spikes, v and wait.
    """
    _check_states(x, v=v, wait=wait)
    _check_finite(threshold=threshold, decay=decay)
    if not isinstance(refractory, int) or refractory < 0:
        raise ArgumentError(f"refractory must be a number of steps, 0 or more, got {refractory!r}")
    free = logical_not(greater(wait, 0.0))
    h = v * decay + x
    fires = logical_and(free, greater_equal(h, threshold))
    spikes = cast(fires, dtype=x.spec.dtype)
    kept = where(logical_and(free, logical_not(fires)), h, 0.0)
    return spikes, kept, where(fires, float(refractory), maximum(wait - 1.0, 0.0))


@composite(differentiable=False)
def gif_neuron(
    x: Tensor,
    v: Tensor,
    eta: Tensor,
    gamma: Tensor,
    /,
    *,
    v_threshold: float = 1.0,
    decay: float = 0.9,
    tau_eta: float = 20.0,
    tau_gamma: float = 20.0,
    a: float = 0.1,
    b: float = 0.1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of generalised integrate-and-fire neurons, with a spike-triggered current and a moving threshold.

    ``v = decay v + x - eta``; fires where ``v >= v_threshold + gamma`` and is reset to 0; then
    ``eta <- eta e^(-1/tau_eta) + a S`` and ``gamma <- gamma e^(-1/tau_gamma) + b S`` (tau in steps). Shapes: all alike;
    returns spikes, v, eta and gamma.

    Source: Mensi et al. 2012, Journal of Neurophysiology 107, in discrete time.
    """
    _check_states(x, v=v, eta=eta, gamma=gamma)
    _check_finite(v_threshold=v_threshold, decay=decay, a=a, b=b)
    for name, tau in (("tau_eta", tau_eta), ("tau_gamma", tau_gamma)):
        if not (math.isfinite(tau) and tau > 0):
            raise ArgumentError(f"{name} must be a number of steps above 0, got {tau}")
    h = (v * decay + x) - eta
    fires = greater_equal(h, gamma + v_threshold)
    spikes = cast(fires, dtype=x.spec.dtype)
    eta = eta * math.exp(-1.0 / tau_eta) + spikes * a
    gamma = gamma * math.exp(-1.0 / tau_gamma) + spikes * b
    return spikes, where(fires, 0.0, h), eta, gamma


READOUTS = ("mean", "max", "sum")


@composite()
def readout(x: Tensor, /, *, mode: str = "mean") -> Tensor:
    """What a sequence says in the end: its ``'mean'``, ``'max'`` or ``'sum'`` over time, ``[T, ...] -> [...]``."""
    if mode not in READOUTS:
        raise ArgumentError(f"mode must be one of {', '.join(READOUTS)}, got {mode!r}")
    float_unary(x.spec)
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got {x.shape}")
    out: Tensor = {"mean": mean, "max": max, "sum": sum}[mode](x, axis=(0,))
    return out


@composite(differentiable=False)
def continuous_to_spike(x: Tensor, /, *, steps: int) -> Tensor:
    """Numbers in [0, 1] as evenly spaced spikes: ``[...] -> [steps, ...]``, about ``x steps`` spikes each.

    Step ``t`` (from 0) has a spike where ``floor((t + 1) x) > floor(t x)``: what a neuron without leak and with soft
    reset emits at constant input. Values outside [0, 1] count as the nearest in it, NaN as silence.
    """
    if not isinstance(steps, int) or steps < 1:
        raise ArgumentError(f"steps must be an integer of at least 1, got {steps!r}")
    float_unary(x.spec)
    rate = clip(x, low=0.0, high=1.0)
    counts = [floor(rate * float(t)) for t in range(steps + 1)]
    return cast(stack([greater(counts[t + 1], counts[t]) for t in range(steps)]), dtype=x.spec.dtype)


@composite(differentiable=False)
def surrogate_gradient(u: Tensor, /, *, surrogate: Surrogate) -> Tensor:
    """The derivative that ``surrogate`` puts in place of the step's, elementwise at ``u = H - v_threshold``."""
    if not isinstance(surrogate, Surrogate):
        raise ArgumentError(f"the surrogate must be a Surrogate such as nn.ATan(), got {surrogate!r}")
    float_unary(u.spec)
    return surrogate.derivative(u).broadcast_to(u.shape)
