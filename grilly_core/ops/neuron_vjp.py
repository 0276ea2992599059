"""Gradients through time of the spiking neurons, from their potentials H.

With ``g_S`` arriving at the spikes and ``g_V`` carried back from the next step (``sg`` the surrogate's
derivative at ``H - v_threshold``): ``g_H = g_S sg + g_V R``, where ``R`` is ``1 - v_threshold sg`` (soft reset) or
``(1 - S) + (r - H) sg`` (hard), without the ``sg`` term under ``detach_reset``. Then ``g_X = k g_H`` (with
``decay_input``) or ``g_H``, and ``g_V <- (1 - k) g_H``; without leak both are ``g_H``.
"""

from __future__ import annotations

from typing import Any

from grilly_core.errors import ShapeError
from grilly_core.op import composite
from grilly_core.ops.neuron import reset, spike
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
