"""Gradient rules of the spiking neurons: from potentials that forward saved, or from the input.

A backend that has a kernel for ``*_multi_step_recompute_vjp`` computes the potentials again while it goes back: that
moves fewer bytes than saving them, and needs less memory. On the others forward saves them (:func:`keeps_potentials`).
"""

from __future__ import annotations

from typing import Any

from grilly_core import plugins
from grilly_core.autograd import Context
from grilly_core.backend import Backend
from grilly_core.op import Op, composite
from grilly_core.ops.neuron import (
    if_multi_step,
    if_step,
    lif_multi_step,
    lif_step,
    plif_multi_step,
    plif_step,
)
from grilly_core.ops.neuron_vjp import if_multi_step_vjp, lif_multi_step_vjp, plif_multi_step_vjp
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor, zeros_like

__all__ = [
    "if_multi_step_recompute_vjp", "keeps_potentials", "lif_multi_step_recompute_vjp", "plif_multi_step_recompute_vjp",
]  # fmt: skip


@composite(differentiable=False)
def if_multi_step_recompute_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    x: Tensor,
    v: Tensor,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """``if_multi_step_vjp`` from the inputs of forward in place of its potentials.

    Shapes: g_s and x ``[T, ...]``, g_v and v ``[...]``; g_v may be None. Returns g_x and the gradient at v.
    """
    attrs: dict[str, Any] = dict(
        v_threshold=v_threshold, v_reset=v_reset, detach_reset=detach_reset, surrogate=surrogate
    )
    h = if_multi_step(x, v, save_h=True, **attrs)[2]
    grads: tuple[Tensor, Tensor] = if_multi_step_vjp(g_s, g_v, None, h, **attrs)
    return grads


@composite(differentiable=False)
def lif_multi_step_recompute_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
    x: Tensor,
    v: Tensor,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """``lif_multi_step_vjp`` from the inputs of forward; shapes as ``if_multi_step_recompute_vjp``."""
    attrs: dict[str, Any] = dict(
        k=k,
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate,
    )
    h = lif_multi_step(x, v, save_h=True, **attrs)[2]
    grads: tuple[Tensor, Tensor] = lif_multi_step_vjp(g_s, g_v, None, h, **attrs)
    return grads


@composite(differentiable=False)
def plif_multi_step_recompute_vjp(
    g_s: Tensor,
    g_v: Tensor | None,
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
    """``plif_multi_step_vjp`` from the inputs of forward; shapes as ``if_multi_step_recompute_vjp``, g_k is 0-d."""
    attrs: dict[str, Any] = dict(
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate,
    )
    h = plif_multi_step(x, v, k, save_h=True, **attrs)[2]
    grads: tuple[Tensor, Tensor, Tensor] = plif_multi_step_vjp(g_s, g_v, None, h, x, v, k, **attrs)
    return grads


_RECOMPUTE: dict[Op, Op] = {
    if_multi_step: if_multi_step_recompute_vjp,
    lif_multi_step: lif_multi_step_recompute_vjp,
    plif_multi_step: plif_multi_step_recompute_vjp,
}


def keeps_potentials(op: Op, backend: Backend) -> bool:
    """Whether ``op``, one of the ``*_multi_step``, should get ``save_h`` when a gradient will be asked for."""
    return plugins.kernel_for(_RECOMPUTE[op], backend) is None


def _from_inputs(ctx: Context, op: Op, g_s: Tensor | None, g_v: Tensor | None, inputs: list[Tensor]) -> Any:
    """Gradients of ``op``, one of the ``*_multi_step``, from what it was given."""
    attrs = {name: value for name, value in ctx.attrs.items() if name != "save_h"}
    recompute = _RECOMPUTE[op]
    # Without a kernel, its body right here: the ops in it may all be native.
    run: Any = recompute.body if keeps_potentials(op, ctx.backend) else recompute
    return run(zeros_like(inputs[0]) if g_s is None else g_s, g_v, *inputs, **attrs)


def _define_multi_step(op: Op, vjp: Op, reads: tuple[int, ...]) -> None:
    """Give ``op`` its rule; ``vjp`` reads the inputs ``reads`` besides H."""
    everything = tuple(range(len(op.inputs)))

    def saves(needs: tuple[bool, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
        return reads if attrs["save_h"] else everything

    @op.defvjp(inputs=saves, outputs=(2,))
    def rule(ctx: Context, g_s: Tensor | None, g_v: Tensor | None, g_h: Tensor | None = None) -> Any:
        if not ctx.attrs["save_h"]:
            return _from_inputs(ctx, op, g_s, g_v, ctx.inputs)
        attrs = {name: value for name, value in ctx.attrs.items() if name != "save_h"}
        h = ctx.outputs[2]
        more = [ctx.inputs[i] for i in reads]
        return vjp(zeros_like(h) if g_s is None else g_s, g_v, g_h, h, *more, **attrs)


_define_multi_step(if_multi_step, if_multi_step_vjp, ())
_define_multi_step(lif_multi_step, lif_multi_step_vjp, ())
_define_multi_step(plif_multi_step, plif_multi_step_vjp, (0, 1, 2))


def _define_step(op: Op, multi: Op) -> None:
    """One step back is all steps back with T = 1."""

    @op.defvjp(inputs=tuple(range(len(op.inputs))))
    def rule(ctx: Context, g_s: Tensor | None, g_v: Tensor | None) -> Any:
        x, *state = ctx.inputs
        spikes = None if g_s is None else g_s.expand_dims(0)
        g_x, *rest = _from_inputs(ctx, multi, spikes, g_v, [x.expand_dims(0), *state])
        return (g_x.squeeze(0), *rest)


_define_step(if_step, if_multi_step)
_define_step(lif_step, lif_multi_step)
_define_step(plif_step, plif_multi_step)
