"""Gradients through time of the spiking neurons, and the rules that use them.

With ``g_S`` arriving at the spikes and ``g_V`` carried back from the next step (``sg`` the surrogate's
derivative at ``H - v_threshold``): ``g_H = g_S sg + g_V R``, where ``R`` is ``1 - v_threshold sg`` (soft reset) or
``(1 - S) + (r - H) sg`` (hard), without the ``sg`` term under ``detach_reset``. Then ``g_X = k g_H`` (with
``decay_input``) or ``g_H``, and ``g_V <- (1 - k) g_H``; without leak both are ``g_H``.
"""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ShapeError
from grilly_core.op import Op, composite
from grilly_core.ops.neuron import (
    charge,
    if_multi_step,
    if_step,
    lif_multi_step,
    lif_step,
    plif_multi_step,
    plif_step,
    reset,
    spike,
)
from grilly_core.ops.shape import stack
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor, zeros_like

__all__ = ["if_multi_step_vjp", "lif_multi_step_vjp", "plif_multi_step_vjp"]


def _back_through_time(
    g_s: Tensor,
    g_v: Tensor | None,
    g_h: Tensor | None,
    h: Tensor,
    leak: Any,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[list[Tensor], Tensor]:
    """``g_H`` of every step and ``g_V`` before the first; ``leak`` multiplies g_H on its way to g_V."""
    if g_s.shape != h.shape or (g_v is not None and g_v.shape != h.shape[1:]):
        raise ShapeError(f"gradients {g_s.shape} and {g_v and g_v.shape} do not fit potentials {h.shape}")
    carried = g_v if g_v is not None else zeros_like(h[0])
    out: list[Tensor] = []
    for t in reversed(range(h.shape[0])):
        u = h[t] - v_threshold
        sg = surrogate.derivative(u)
        if v_reset is None:
            passed = 1.0 - sg * (0.0 if detach_reset else v_threshold)
        else:
            passed = 1.0 - spike(u, surrogate=surrogate)
            if not detach_reset:
                passed = passed + (v_reset - h[t]) * sg
        g = g_s[t] * sg + carried * passed
        if g_h is not None:
            g = g + g_h[t]
        out.append(g)
        carried = g if leak is None else g * leak
    return out[::-1], carried


@composite(differentiable=False)
def if_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_h: Tensor | None,
    h: Tensor,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """Gradients of ``if_multi_step`` with respect to x and v.

    Shapes: g_s, g_h and h ``[T, ...]``, g_v ``[...]``; g_v and g_h may be None. Returns g_x and the gradient at v.
    """
    grads, g_v0 = _back_through_time(g_s, g_v, g_h, h, None, v_threshold, v_reset, detach_reset, surrogate)
    return stack(grads), g_v0


@composite(differentiable=False)
def lif_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_h: Tensor | None,
    h: Tensor,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """Gradients of ``lif_multi_step`` with respect to x and v; shapes as ``if_multi_step_vjp``."""
    grads, g_v0 = _back_through_time(g_s, g_v, g_h, h, 1.0 - k, v_threshold, v_reset, detach_reset, surrogate)
    g_x = stack(grads)
    return (g_x * k if decay_input else g_x), g_v0


@composite(differentiable=False)
def plif_multi_step_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    g_h: Tensor | None,
    h: Tensor,
    x: Tensor,
    v: Tensor,
    k: Tensor,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``plif_multi_step`` with respect to x, v and k.

    Shapes as ``if_multi_step_vjp``; g_k is 0-d: the sum over steps and neurons of ``g_H (X - (V - r))`` with
    ``decay_input``, else of ``-g_H (V - r)``.
    """
    grads, g_v0 = _back_through_time(g_s, g_v, g_h, h, 1.0 - k, v_threshold, v_reset, detach_reset, surrogate)
    g_k: Tensor | None = None
    for t, g in enumerate(grads):
        before = (
            v
            if t == 0
            else reset(h[t - 1], spike(h[t - 1] - v_threshold, surrogate=surrogate), v_threshold, v_reset)
        )
        leak = before - (v_reset or 0.0)
        term = (g * (x[t] - leak if decay_input else -leak)).sum()
        g_k = term if g_k is None else g_k + term
    assert g_k is not None
    g_x = stack(grads)
    return (g_x * k if decay_input else g_x), g_v0, g_k


def _multi_step_saves(needs: tuple[bool, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    """H is enough; without it backward computes it again from x and v."""
    return () if attrs["save_h"] else (0, 1)


def _vjp_attrs(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attrs.items() if name != "save_h"}


def _potentials(ctx: Context, op: Op) -> Tensor:
    if ctx.attrs["save_h"]:
        saved: Tensor = ctx.outputs[2]
        return saved
    again: Tensor = op(*ctx.inputs, **{**ctx.attrs, "save_h": True})[2]
    return again


def _spike_gradient(g_s: Tensor | None, h: Tensor) -> Tensor:
    return zeros_like(h) if g_s is None else g_s


def _define_multi_step(op: Op, vjp: Op) -> None:
    @op.defvjp(inputs=_multi_step_saves, outputs=(2,))
    def rule(ctx: Context, g_s: Tensor | None, g_v: Tensor | None, g_h: Tensor | None = None) -> Any:
        h = _potentials(ctx, op)
        return vjp(_spike_gradient(g_s, h), g_v, g_h, h, **_vjp_attrs(ctx.attrs))


_define_multi_step(if_multi_step, if_multi_step_vjp)
_define_multi_step(lif_multi_step, lif_multi_step_vjp)


@plif_multi_step.defvjp(inputs=(0, 1, 2), outputs=(2,))
def _(ctx: Context, g_s: Tensor | None, g_v: Tensor | None, g_h: Tensor | None = None) -> Any:
    h = _potentials(ctx, plif_multi_step)
    return plif_multi_step_vjp(_spike_gradient(g_s, h), g_v, g_h, h, *ctx.inputs, **_vjp_attrs(ctx.attrs))


def _step_back(ctx: Context, vjp: Op, g_s: Tensor | None, g_v: Tensor | None) -> Any:
    """One step back is all steps back with T = 1; H is one charge away from the saved x and v."""
    x, v, *k = ctx.inputs
    attrs = ctx.attrs
    h = charge(
        x, v, k[0] if k else attrs.get("k"), attrs["v_reset"], attrs.get("decay_input", True)
    ).expand_dims(0)
    more = (x.expand_dims(0), v, *k) if k else ()
    g_x, *rest = vjp(
        _spike_gradient(None if g_s is None else g_s.expand_dims(0), h), g_v, None, h, *more, **attrs
    )
    return (g_x.squeeze(0), *rest)


def _define_step(op: Op, vjp: Op) -> None:
    @op.defvjp(inputs=tuple(range(len(op.inputs))))
    def rule(ctx: Context, g_s: Tensor | None, g_v: Tensor | None) -> Any:
        return _step_back(ctx, vjp, g_s, g_v)


_define_step(if_step, if_multi_step_vjp)
_define_step(lif_step, lif_multi_step_vjp)
_define_step(plif_step, plif_multi_step_vjp)
