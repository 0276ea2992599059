"""Neurons with more than a leak: a learned slope, a synaptic current, a threshold that adapts; all steps at once.

Charge, fire and reset are those of ``neuron.py``, in the one order of operations that every backend follows. A single step
is a sequence of one. Gradients through time are in ``neuron_more_vjp.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.neuron import charge, check_neuron, fire, reset, spike
from grilly_core.ops.shape import stack
from grilly_core.ops.synapse import check_steps
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor

__all__ = [
    "adapted", "alif_multi_step", "check_factor", "check_sequence", "cuba_lif_multi_step", "klif_multi_step", "over_time",
    "scaled",
]  # fmt: skip


def check_sequence(
    x: Tensor, states: dict[str, Tensor], v_threshold: float, v_reset: float | None, rate: float | None = None
) -> None:
    """Refuse a sequence, states (by name, ``v`` among them) and constants that do not fit together."""
    check_steps(x, states, {})
    check_neuron(x, states["v"], x.shape[1:], v_threshold, v_reset, rate)


def check_factor(value: float, name: str) -> None:
    """Refuse a share of a state that is kept for the next step unless it lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name} is the share kept each step, so it must lie in [0, 1]; got {value}")


def over_time(
    step: Callable[..., tuple[Tensor, ...]], x: Tensor, states: tuple[Tensor, ...], save_v: bool
) -> tuple[Tensor, ...]:
    """``step(x[t], *states) -> (s, *states)`` over all t; the first state is v, kept of every step with ``save_v``."""
    spikes, potentials = [], []
    for t in range(x.shape[0]):
        s, *after = step(x[t], *states)
        states = tuple(after)
        spikes.append(s)
        potentials.append(states[0])
    return (stack(spikes), *states, *((stack(potentials),) if save_v else ()))


def scaled(value: Any, inverse: Tensor | None) -> Any:
    """``value`` times the inverse of the slope, where there is one."""
    return value if inverse is None else inverse * value


def check_slope(k: Tensor, inverse: Tensor | None) -> None:
    """Refuse a slope that is not one number."""
    for name, value in (("k", k), ("inverse", inverse)):
        if value is not None and value.shape != ():
            raise ShapeError(f"{name} must be a 0-d tensor, got shape {value.shape}")


@composite()
def klif_multi_step(
    x: Tensor,
    v: Tensor,
    k: Tensor,
    inverse: Tensor | None = None,
    /,
    *,
    rate: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Leaky neurons behind a rectifier of learned slope: charged to H as ``lif_multi_step`` with ``rate = 1/tau``, then
    ``F = relu(k H)``, which fires where it reaches the threshold and is reset.

    With ``inverse``, which should be ``1/k``, it is ``F inverse`` that is reset, by ``v_threshold inverse`` if softly.
    Shapes: x ``[T, ...]``, v ``[...]``, k and inverse 0-d. Returns spikes ``[T, ...]``, the last v and, with ``save_v``, v
    of every step ``[T, ...]``.

    Source: Jiang & Zhang 2023, arXiv 2302.09238.
    """
    check_sequence(x, {"v": v}, v_threshold, v_reset, rate)
    check_slope(k, inverse)

    def step(now: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        f = (charge(now, v, rate, v_reset, decay_input) * k).relu()
        s = spike(f - v_threshold, surrogate=surrogate)
        held = s.detach() if detach_reset else s
        return s, reset(scaled(f, inverse), held, scaled(v_threshold, inverse), v_reset)

    return over_time(step, x, (v,), save_v)


@composite()
def cuba_lif_multi_step(
    x: Tensor,
    v: Tensor,
    c: Tensor,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Current-based leaky neurons: the input charges a current, ``C = c c_decay + X``, and that the potential,
    ``H = v v_decay + C``.

    Shapes: x ``[T, ...]``, v and c ``[...]``. Returns spikes ``[T, ...]``, the last v and c and, with ``save_v``, v of every
    step ``[T, ...]``.

    Source: Davies et al. 2018 (Loihi), without its integers.
    """
    check_sequence(x, {"v": v, "c": c}, v_threshold, v_reset)
    check_factor(c_decay, "c_decay")
    check_factor(v_decay, "v_decay")

    def step(now: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        c = c * c_decay + now
        s, v = fire(v * v_decay + c, v_threshold, v_reset, detach_reset, surrogate)
        return s, v, c

    return over_time(step, x, (v, c), save_v)


def adapted(h: Tensor, a: Tensor, v_threshold: float, beta: float) -> Tensor:
    """How far the potential is above a threshold that ``a`` has raised."""
    return h - (a * beta + v_threshold)


@composite()
def alif_multi_step(
    x: Tensor,
    v: Tensor,
    a: Tensor,
    /,
    *,
    rate: float,
    a_decay: float,
    beta: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Leaky neurons whose spikes raise their own threshold: charged to H as ``lif_multi_step`` with ``rate = 1/tau``, firing
    where ``H >= v_threshold + beta a``; then ``a <- a a_decay + S``.

    A soft reset subtracts ``v_threshold``. Shapes: x ``[T, ...]``, v and a ``[...]``. Returns spikes ``[T, ...]``, the last
    v and a and, with ``save_v``, v of every step ``[T, ...]``.

    Source: Bellec et al. 2020, Nature Communications 11, 3625.
    """
    check_sequence(x, {"v": v, "a": a}, v_threshold, v_reset, rate)
    check_factor(a_decay, "a_decay")

    def step(now: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        h = charge(now, v, rate, v_reset, decay_input)
        s = spike(adapted(h, a, v_threshold, beta), surrogate=surrogate)
        v = reset(h, s.detach() if detach_reset else s, v_threshold, v_reset)
        return s, v, a * a_decay + s

    return over_time(step, x, (v, a), save_v)
