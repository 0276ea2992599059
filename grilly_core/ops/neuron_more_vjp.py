"""Gradients through time of the neurons in ``neuron_more.py``, from what forward was given.

Potentials are computed again. Going back, ``g_V`` arrives from the next step (and from a loss on v itself), ``g_S`` at the
spikes. With ``B`` what is reset (``H``; for KLIF ``F``, or ``F / k``) and ``r`` the reset potential:

* at B: ``g_V`` (soft reset) or ``g_V (1 - S)`` (hard);
* at S: ``g_S``, and without ``detach_reset`` ``-g_V v_threshold`` (soft) or ``g_V (r - B)`` (hard);
* at what was compared with the threshold: ``g_S`` times the surrogate's derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ShapeError
from grilly_core.op import Op, composite
from grilly_core.ops.neuron import charge, reset, spike
from grilly_core.ops.neuron_more import (
    adapted,
    alif_multi_step,
    cuba_lif_multi_step,
    klif_multi_step,
    scaled,
)
from grilly_core.ops.shape import stack
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor, zeros_like

__all__ = ["alif_multi_step_vjp", "cuba_lif_multi_step_vjp", "klif_multi_step_vjp"]


def _check(x: Tensor, steps: tuple[Tensor | None, ...], last: tuple[Tensor | None, ...]) -> None:
    """Refuse gradients of steps ``[T, ...]`` and states ``[...]`` that do not fit the input."""
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got input {x.shape}")
    shapes = [(g, x.shape) for g in steps] + [(g, x.shape[1:]) for g in last]
    for g, wanted in shapes:
        if g is not None and g.shape != wanted:
            raise ShapeError(f"a gradient or state has shape {g.shape}, input {x.shape} needs {wanted} there")


def _back(
    g_s: Tensor,
    g_seq: Tensor | None,
    states: tuple[Tensor, ...],
    step: Callable[..., tuple[Tensor, ...]],
) -> tuple[Tensor, ...]:
    """``step(t, g_s[t], *g_states) -> (g_x[t], *g_states)`` from the last t to the first; the first state is v."""
    out = []
    for t in reversed(range(g_s.shape[0])):
        first, *others = states
        if g_seq is not None:
            first = first + g_seq[t]
        g_x, *before = step(t, g_s[t], first, *others)
        states = tuple(before)
        out.append(g_x)
    return stack(out[::-1]), *states


def _at_spike(
    g_v: Tensor, base: Tensor, v_threshold: Any, v_reset: float | None, detach_reset: bool
) -> Tensor | None:
    """What the reset sends to the spike."""
    if detach_reset:
        return None
    return -(g_v * v_threshold) if v_reset is None else g_v * (v_reset - base)


def _at_base(g_v: Tensor, s: Tensor, v_reset: float | None) -> Tensor:
    """What the reset sends to the potential before it."""
    return g_v if v_reset is None else g_v * (1.0 - s)


def _plus(a: Tensor, b: Tensor | None) -> Tensor:
    return a if b is None else a + b


@composite(differentiable=False)
def klif_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_seq: Tensor | None,
    x: Tensor,
    v: Tensor,
    k: Tensor,
    inverse: Tensor | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, ...]:
    """Gradients of ``klif_multi_step`` with respect to x, v and ``[k]``, or ``[k, inverse]`` where there is an inverse.

    Shapes: g_s, x and g_seq (at v of every step) ``[T, ...]``, g_v and v ``[...]``, k and inverse 0-d; g_v and g_seq may be
    None.
    """
    _check(x, (g_s, g_seq), (g_v, v))
    threshold = scaled(v_threshold, inverse)
    charged, rectified, at_k, at_inverse = [], [], [], []
    start = v
    for t in range(x.shape[0]):
        h = charge(x[t], v, rate, v_reset, decay_input)
        f = (h * k).relu()
        charged.append(h)
        rectified.append(f)
        v = reset(scaled(f, inverse), spike(f - v_threshold, surrogate=surrogate), threshold, v_reset)

    def step(t: int, g_s: Tensor, g_v: Tensor) -> tuple[Tensor, ...]:
        h, f = charged[t], rectified[t]
        s = spike(f - v_threshold, surrogate=surrogate)
        base, g_base = scaled(f, inverse), _at_base(g_v, s, v_reset)
        g_spike = _plus(g_s, _at_spike(g_v, base, threshold, v_reset, detach_reset))
        g = g_spike * surrogate.derivative(f - v_threshold) + scaled(g_base, inverse)
        g = g * (f > 0.0).astype(f.dtype)
        at_k.append(g * h)
        at_inverse.append(g_base * f - g_v * s * v_threshold if v_reset is None else g_base * f)
        g_h = g * k
        return g_h * rate if decay_input else g_h, g_h * (1.0 - rate)

    g_x, g_v0 = _back(g_s, g_seq, (g_v if g_v is not None else zeros_like(start),), step)
    sums = [stack(at_k).sum()] if inverse is None else [stack(at_k).sum(), stack(at_inverse).sum()]
    return g_x, g_v0, stack(sums)


@composite(differentiable=False)
def cuba_lif_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_c: Tensor | None,
    g_seq: Tensor | None,
    x: Tensor,
    v: Tensor,
    c: Tensor,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``cuba_lif_multi_step`` with respect to x, v and c.

    Shapes: g_s, x and g_seq (at v of every step) ``[T, ...]``, the rest ``[...]``; g_v, g_c and g_seq may be None.
    """
    _check(x, (g_s, g_seq), (g_v, g_c, v, c))
    charged, start = [], v
    for t in range(x.shape[0]):
        c = c * c_decay + x[t]
        h = v * v_decay + c
        charged.append(h)
        v = reset(h, spike(h - v_threshold, surrogate=surrogate), v_threshold, v_reset)

    def step(t: int, g_s: Tensor, g_v: Tensor, g_c: Tensor) -> tuple[Tensor, ...]:
        h = charged[t]
        s = spike(h - v_threshold, surrogate=surrogate)
        g_spike = _plus(g_s, _at_spike(g_v, h, v_threshold, v_reset, detach_reset))
        g_h = g_spike * surrogate.derivative(h - v_threshold) + _at_base(g_v, s, v_reset)
        g_x = g_c + g_h
        return g_x, g_h * v_decay, g_x * c_decay

    arriving = tuple([zeros_like(start) if g is None else g for g in (g_v, g_c)])
    g_x, g_v0, g_c0 = _back(g_s, g_seq, arriving, step)
    return g_x, g_v0, g_c0


@composite(differentiable=False)
def alif_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_a: Tensor | None,
    g_seq: Tensor | None,
    x: Tensor,
    v: Tensor,
    a: Tensor,
    /,
    *,
    rate: float,
    a_decay: float,
    beta: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``alif_multi_step`` with respect to x, v and a.

    Shapes: g_s, x and g_seq (at v of every step) ``[T, ...]``, the rest ``[...]``; g_v, g_a and g_seq may be None. What
    ``detach_reset`` cuts is the reset alone: a spike's effect on the threshold keeps its gradient.
    """
    _check(x, (g_s, g_seq), (g_v, g_a, v, a))
    charged, above, start = [], [], v
    for t in range(x.shape[0]):
        h = charge(x[t], v, rate, v_reset, decay_input)
        u = adapted(h, a, v_threshold, beta)
        charged.append(h)
        above.append(u)
        s = spike(u, surrogate=surrogate)
        v, a = reset(h, s, v_threshold, v_reset), a * a_decay + s

    def step(t: int, g_s: Tensor, g_v: Tensor, g_a: Tensor) -> tuple[Tensor, ...]:
        h, s = charged[t], spike(above[t], surrogate=surrogate)
        g_spike = _plus(g_s + g_a, _at_spike(g_v, h, v_threshold, v_reset, detach_reset))
        g_u = g_spike * surrogate.derivative(above[t])
        g_h = g_u + _at_base(g_v, s, v_reset)
        return g_h * rate if decay_input else g_h, g_h * (1.0 - rate), g_a * a_decay - g_u * beta

    arriving = tuple([zeros_like(start) if g is None else g for g in (g_v, g_a)])
    g_x, g_v0, g_a0 = _back(g_s, g_seq, arriving, step)
    return g_x, g_v0, g_a0


def _define(op: Op, vjp: Op, states: int) -> None:
    """Give ``op``, which has so many states, its rule; what else it takes are slopes."""

    @op.defvjp(inputs=tuple(range(len(op.inputs))))
    def rule(ctx: Context, g_s: Tensor | None, *others: Tensor | None) -> Any:
        attrs = {name: value for name, value in ctx.attrs.items() if name != "save_v"}
        g_seq = others[states] if ctx.attrs["save_v"] else None
        arriving = zeros_like(ctx.inputs[0]) if g_s is None else g_s
        grads = vjp(arriving, *others[:states], g_seq, *ctx.inputs, **attrs)
        slopes = [
            grads[1 + states][i] if x is not None else None for i, x in enumerate(ctx.inputs[1 + states :])
        ]
        return (*grads[: 1 + states], *slopes)


_define(klif_multi_step, klif_multi_step_vjp, 1)
_define(cuba_lif_multi_step, cuba_lif_multi_step_vjp, 2)
_define(alif_multi_step, alif_multi_step_vjp, 2)
