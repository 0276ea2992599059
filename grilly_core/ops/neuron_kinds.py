"""More kinds of neurons, written with other ops: nonlinear ones, and ones that emit counts or signs.

None has a gradient rule: the tape differentiates their bodies. A backend may still supply a kernel for any of them.
"""

from __future__ import annotations

from grilly_core.errors import ArgumentError
from grilly_core.op import composite
from grilly_core.ops.compare import logical_and
from grilly_core.ops.elementwise import clip
from grilly_core.ops.elementwise import round as nearest
from grilly_core.ops.neuron import charge, fire, reset, spike
from grilly_core.ops.neuron_more import check_sequence, over_time
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor

__all__ = [
    "eif_multi_step", "ilif_multi_step", "izhikevich_multi_step", "qif_multi_step", "ternary_lif_multi_step",
]  # fmt: skip


def quadratic(v: Tensor, a0: float, v_rest: float, v_c: float) -> Tensor:
    """``a0 (v - v_rest) (v - v_c)``: what pulls v back to rest below the critical potential and drives it up above."""
    return (v - v_rest) * a0 * (v - v_c)


@composite()
def qif_multi_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    rate: float,
    v_c: float,
    a0: float,
    v_rest: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Quadratic neurons: ``H = v + (X + a0 (v - v_rest) (v - v_c)) rate``.

    Shapes: x ``[T, ...]``, v ``[...]``. Returns spikes ``[T, ...]``, the last v and, with ``save_v``, v of every step
    ``[T, ...]``. Source: Ermentrout & Kopell 1986; Latham et al. 2000.
    """
    check_sequence(x, {"v": v}, v_threshold, v_reset, rate)

    def step(now: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        h = v + (now + quadratic(v, a0, v_rest, v_c)) * rate
        return fire(h, v_threshold, v_reset, detach_reset, surrogate)

    return over_time(step, x, (v,), save_v)


@composite()
def eif_multi_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    rate: float,
    delta_t: float,
    theta_rh: float,
    v_rest: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Exponential neurons: ``H = v + (X + v_rest - v + delta_t e^((v - theta_rh) / delta_t)) rate``.

    Shapes and results as ``qif_multi_step``. Source: Fourcaud-Trocmé et al. 2003.
    """
    check_sequence(x, {"v": v}, v_threshold, v_reset, rate)
    if not delta_t > 0:
        raise ArgumentError(f"delta_t must be above 0, got {delta_t}")

    def step(now: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        upstroke = ((v - theta_rh) * (1.0 / delta_t)).exp() * delta_t
        h = v + ((now + v_rest) - v + upstroke) * rate
        return fire(h, v_threshold, v_reset, detach_reset, surrogate)

    return over_time(step, x, (v,), save_v)


@composite()
def izhikevich_multi_step(
    x: Tensor,
    v: Tensor,
    w: Tensor,
    /,
    *,
    rate: float,
    v_c: float,
    a0: float,
    v_rest: float,
    w_rate: float,
    a: float,
    b: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Quadratic neurons with a recovery variable: ``H = v + (X + a0 (v - v_rest) (v - v_c) - w) rate``, then
    ``w <- w + (a (H - v_rest) - w) w_rate + b S``.

    Shapes and results as ``qif_multi_step``, with the last w after the last v. Source: Izhikevich 2003.
    """
    check_sequence(x, {"v": v, "w": w}, v_threshold, v_reset, rate)
    if not 0 < w_rate <= 1:
        raise ArgumentError(f"w_rate = 1/tau_w must lie in (0, 1], got {w_rate}")

    def step(now: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        h = v + (now + quadratic(v, a0, v_rest, v_c) - w) * rate
        s, v = fire(h, v_threshold, v_reset, detach_reset, surrogate)
        return s, v, w + ((h - v_rest) * a - w) * w_rate + s * b

    return over_time(step, x, (v, w), save_v)


def counted(u: Tensor, most: int) -> Tensor:
    """``round(clip(u, 0, most))``, halves to even; the gradient is 1 for ``0 <= u <= most``, else 0."""
    count = nearest(clip(u, low=0.0, high=float(most))).detach()
    window = logical_and(u >= 0.0, u <= float(most)).astype(u.dtype)
    return count + (u - u.detach()) * window


@composite()
def ilif_multi_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    rate: float,
    max_spike_count: int,
    v_threshold: float = 1.0,
    detach_reset: bool = False,
    save_v: bool = False,
) -> tuple[Tensor, ...]:
    """Leaky neurons that emit a whole number of spikes at once: ``H = v - v rate + X``,
    ``S = round(clip(H / v_threshold, 0, max_spike_count))``, ``v <- H - S v_threshold``.

    The gradient of S is that of the clip. Shapes and results as ``qif_multi_step``.
    Source: Luo et al. 2024, arXiv 2407.20708.
    """
    check_sequence(x, {"v": v}, v_threshold, None, rate)
    if max_spike_count < 1 or not v_threshold > 0:
        raise ArgumentError(
            f"max_spike_count must be at least 1 and v_threshold above 0, got {max_spike_count} and {v_threshold}"
        )

    def step(now: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        h = charge(now, v, rate, None, False)
        s = counted(h * (1.0 / v_threshold), max_spike_count)
        return s, reset(h, s.detach() if detach_reset else s, v_threshold, None)

    return over_time(step, x, (v,), save_v)


@composite()
def ternary_lif_multi_step(
    x: Tensor,
    v: Tensor,
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
    """Leaky neurons with a threshold on either side: 1 where ``H >= v_threshold``, -1 where ``H <= -v_threshold``, else 0.

    Either spike resets to ``v_reset``; a soft reset subtracts ``v_threshold S``. Charged as ``lif_multi_step`` with
    ``rate = 1/tau``. Shapes and results as ``qif_multi_step``. Source: Guo et al. 2024, arXiv 2312.06372.
    """
    check_sequence(x, {"v": v}, v_threshold, v_reset, rate)
    if not v_threshold > abs(v_reset or 0.0):
        raise ArgumentError(
            f"v_reset must lie strictly between -v_threshold and v_threshold, got {v_reset} and {v_threshold}"
        )

    def step(now: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        h = charge(now, v, rate, v_reset, decay_input)
        up, down = spike(h - v_threshold, surrogate=surrogate), spike(-h - v_threshold, surrogate=surrogate)
        s = up - down
        event = s if v_reset is None else up + down
        return s, reset(h, event.detach() if detach_reset else event, v_threshold, v_reset)

    return over_time(step, x, (v,), save_v)
