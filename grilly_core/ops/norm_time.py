"""Normalisation of spiking networks over time: a batch norm for every step, and the state of NeuNorm."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.norm import batch_norm, batch_norm_vjp
from grilly_core.ops.shape import stack
from grilly_core.tensor import Tensor, full

__all__ = ["bn_through_time", "bn_through_time_vjp", "neunorm_multi_step", "neunorm_multi_step_vjp"]


def _check(x: Tensor, weight: Tensor | None, eps: float) -> None:
    if x.ndim != 4:
        raise ShapeError(f"needs [T, M, C, L], got {x.shape}")
    per_step = (x.shape[0], x.shape[2])
    if weight is not None and weight.shape != per_step:
        raise ShapeError(f"weight {weight.shape} does not fit {per_step[0]} steps of {per_step[1]} channels")
    if x.shape[1] * x.shape[3] == 0:
        raise ShapeError(f"no values to take statistics of in {x.shape}")
    if not eps > 0:
        raise ArgumentError(f"eps must be above 0, got {eps}")


def _side_by_side(x: Tensor) -> Tensor:
    """``[T, M, C, L]`` as ``[M, T*C, L]``: the channels of all steps."""
    steps, m, channels, extent = x.shape
    return x.transpose(1, 0, 2, 3).reshape(m, steps * channels, extent)


def _in_turn(y: Tensor, per_step: tuple[int, int]) -> Tensor:
    """Back from ``[M, T*C, L]`` to ``[T, M, C, L]``."""
    return y.reshape(y.shape[0], *per_step, y.shape[2]).transpose(1, 0, 2, 3)


def _line(v: Tensor) -> Tensor:
    return v.reshape(v.size)


@composite()
def bn_through_time(
    x: Tensor, weight: Tensor | None = None, /, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch norm for every time step, with statistics and scale of its own and no shift.

    Statistics are joint over axes 1 and 3; callers fold the batch into axis 1, space into axis 3.
    Shapes: x ``[T, M, C, L]``, weight ``[T, C]``. Returns y ``[T, M, C, L]``, the mean ``[T, C]`` and the biased
    variance ``[T, C]``; no gradient flows through the last two.

    Source: Kim & Panda 2021, doi 10.3389/fnins.2021.773954.
    """
    _check(x, weight, eps)
    per_step = (x.shape[0], x.shape[2])
    y, mean, var = batch_norm(_side_by_side(x), None if weight is None else _line(weight), None, eps=eps)
    return _in_turn(y, per_step), mean.reshape(per_step), var.reshape(per_step)


@bn_through_time.defvjp(inputs=(0, 1), outputs=(1, 2), constant=(1, 2))
def _(ctx: Context, g: Tensor, *_: Any) -> Any:
    x, weight = ctx.inputs
    gx, gw = bn_through_time_vjp(g, x, ctx.outputs[1], ctx.outputs[2], weight, eps=ctx.attrs["eps"])
    return gx, gw if ctx.needs[1] else None


@composite()
def bn_through_time_vjp(
    g: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None = None, /, *, eps: float
) -> tuple[Tensor, Tensor]:
    """Gradients of ``bn_through_time`` with respect to x and weight.

    Shapes: g and x ``[T, M, C, L]``, the rest ``[T, C]``. Each step's are those of ``batch_norm_vjp``.
    """
    _check(x, weight, eps)
    per_step = (x.shape[0], x.shape[2])
    if g.shape != x.shape or mean.shape != per_step or var.shape != per_step:
        raise ShapeError(f"gradient {g.shape}, mean {mean.shape} and var {var.shape} do not fit x {x.shape}")
    gx, gw, _ = batch_norm_vjp(
        _side_by_side(g),
        _side_by_side(x),
        _line(mean),
        _line(var),
        None if weight is None else _line(weight),
        eps=eps,
    )
    return _in_turn(gx, per_step), gw.reshape(per_step)


def _check_neunorm(s: Tensor, w: Tensor, k: float) -> None:
    if s.ndim != 4 or s.shape[0] < 1 or s.shape[2] < 1:
        raise ShapeError(f"needs [T, N, C, L] with at least one step and one channel, got {s.shape}")
    channels, extent = s.shape[2:]
    if w.shape not in ((channels, extent), (1, extent)):
        raise ShapeError(f"w has shape {w.shape}, {s.shape} needs {(channels, extent)} or {(1, extent)}")
    if not 0 <= k <= 1:
        raise ArgumentError(f"k must lie in [0, 1], got {k}")


def _share(k: float, channels: int) -> float:
    """What one spike adds to the state."""
    return (1.0 - k) / channels**2


@composite()
def neunorm_multi_step(s: Tensor, x: Tensor, w: Tensor, /, *, k: float = 0.9) -> tuple[Tensor, Tensor]:
    """Spikes less a learnt multiple of how active their place has been over all channels.

    The state is ``x[t] = k x[t-1] + (1 - k) / C^2 sum_c s_c[t]``, the result ``s[t] - w x[t]``.
    Shapes: s ``[T, N, C, L]`` (space folded into the last axis), x ``[N, 1, L]`` before the first step, w ``[C, L]`` or
    ``[1, L]``. Returns y like s and the states after each step ``[T, N, 1, L]``.

    Source: Wu et al. 2019, arXiv 1809.05793.
    """
    _check_neunorm(s, w, k)
    state = (s.shape[1], 1, s.shape[3])
    if x.shape != state:
        raise ShapeError(f"the state x has shape {x.shape}, the input needs {state} (input {s.shape})")
    arriving = s.sum(axis=2, keepdims=True) * _share(k, s.shape[2])
    states = []
    for t in range(s.shape[0]):
        x = x * k + arriving[t]
        states.append(x)
    x_seq = stack(states)
    return s - w * x_seq, x_seq


@neunorm_multi_step.defvjp(inputs=(2,), outputs=(1,))
def _(ctx: Context, g: Tensor | None, g_states: Tensor | None) -> Any:
    s, w = ctx.inputs[0], ctx.inputs[2]
    if g is None:
        g = full(s.shape, 0.0, w.spec.dtype, ctx.backend)
    return neunorm_multi_step_vjp(g, g_states, ctx.outputs[1], w, k=ctx.attrs["k"])


@composite(differentiable=False)
def neunorm_multi_step_vjp(
    g: Tensor, g_states: Tensor | None, states: Tensor, w: Tensor, /, *, k: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``neunorm_multi_step`` with respect to s, x and w, through time.

    With ``a[t] = k a[t+1] + g_states[t] - sum_c w_c g_c[t]``: ``g_s[t] = g[t] + (1 - k) / C^2 a[t]``, ``g_x = k a[0]``
    and ``g_w = -sum_tn g[t] x[t]``. Shapes: g ``[T, N, C, L]``, g_states (or None) and states ``[T, N, 1, L]``, w as in
    forward.
    """
    _check_neunorm(g, w, k)
    steps, n, channels, extent = g.shape
    for name, array in (("g_states", g_states), ("states", states)):
        if array is not None and array.shape != (steps, n, 1, extent):
            raise ShapeError(f"{name} {array.shape} does not fit g {g.shape}")
    arriving = -(g * w).sum(axis=2, keepdims=True)
    if g_states is not None:
        arriving = g_states + arriving
    carried = arriving[steps - 1]
    through = [carried]
    for t in reversed(range(steps - 1)):
        carried = carried * k + arriving[t]
        through.append(carried)
    g_s = g + stack(through[::-1]) * _share(k, channels)
    g_w = -(g * states).sum(axis=(0, 1))
    return g_s, carried * k, g_w if w.shape[0] == channels else g_w.sum(axis=0, keepdims=True)
