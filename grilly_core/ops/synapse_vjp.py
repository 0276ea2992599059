"""Gradients through time of the synapses.

Traces: with ``g[t]`` arriving at ``y[t]``, ``G[t] = G[t+1] decay + g[t]`` is the gradient at the input of step t. The
gradient at the decay is ``sum g[t] z[t]`` with the sensitivity ``z[t] = dy[t]/d decay = z[t-1] decay + y[t-1]``, which runs
forward together with y itself: nothing but the input has to be kept.
"""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.shape import stack
from grilly_core.ops.synapse import delayed, dual_timescale, release, stp_synapse, synapse_filter
from grilly_core.tensor import Tensor, full, zeros_like

__all__ = ["dual_timescale_vjp", "stp_synapse_vjp", "synapse_filter_vjp"]


def _check_gradients(g: Tensor, *last: Tensor | None) -> None:
    if g.ndim < 1 or g.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got gradient {g.shape}")
    for one in last:
        if one is not None and one.shape != g.shape[1:]:
            raise ShapeError(f"gradients {one.shape} at the last state and {g.shape} at the steps do not fit")


def _check_like(g: Tensor, x: Tensor, *states: Tensor | None) -> None:
    if x.shape != g.shape or any(state is None or state.shape != g.shape[1:] for state in states):
        shapes = [None if state is None else state.shape for state in states]
        raise ShapeError(f"input {x.shape} and states {shapes} do not fit gradients {g.shape}")


def _back(g: list[Tensor], g_last: Tensor | None, decay: Tensor) -> tuple[list[Tensor], Tensor]:
    """``G`` of every step, and the gradient at the state before the first."""
    carried, out = g_last, []
    for now in reversed(g):
        total = now if carried is None else carried + now
        out.append(total)
        carried = total * decay
    assert carried is not None
    return out[::-1], carried


def _traces(inputs: list[Tensor], y: Tensor, decay: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """y of every step and its derivative by the decay."""
    z = zeros_like(y)
    traces, slopes = [], []
    for now in inputs:
        z = z * decay + y
        y = y * decay + now
        traces.append(y)
        slopes.append(z)
    return traces, slopes


def _inner(g: list[Tensor], values: list[Tensor], g_last: Tensor | None = None) -> Tensor:
    """The inner product over all steps, and of the last value with ``g_last``."""
    total = (stack(g) * stack(values)).sum()
    return total if g_last is None else total + (g_last * values[-1]).sum()


@composite(differentiable=False)
def synapse_filter_vjp(
    g: Tensor,
    g_last: Tensor | None,
    decay: Tensor,
    x: Tensor | None,
    y: Tensor | None,
    line: Tensor | None,
    /,
    *,
    delay: int,
) -> tuple[Tensor, ...]:
    """Gradients of ``synapse_filter`` with respect to x, y, with a delay the line, and with x given the decay.

    Shapes: g and x ``[T, ...]``, g_last and y ``[...]``, line ``[delay, ...]``, decay 0-d. x, y and line are what forward
    had; without x no gradient at the decay is computed and they are not needed.
    """
    _check_gradients(g, g_last)
    if delay < 0:
        raise ArgumentError(f"the delay must be at least 0, got {delay}")
    steps = g.shape[0]
    into, g_y = _back([g[t] for t in range(steps)], g_last, decay)
    into += [zeros_like(g_y)] * delay
    grads = [stack(into[delay:]), g_y]
    if delay:
        grads.append(stack(into[:delay]))
    if x is None:
        return tuple(grads)
    _check_like(g, x, y)
    if (line is not None) != (delay > 0) or (line is not None and line.shape != (delay, *g.shape[1:])):
        raise ShapeError(f"a delay of {delay} does not fit the line {line and line.shape}")
    assert y is not None
    _, slopes = _traces([delayed(x, line, t) for t in range(steps)], y, decay)
    return (*grads, _inner([g[t] for t in range(steps)], slopes, g_last))


@composite(differentiable=False)
def dual_timescale_vjp(
    g: Tensor,
    g_fast: Tensor | None,
    g_slow: Tensor | None,
    decay_fast: Tensor,
    decay_slow: Tensor,
    w_fast: Tensor,
    w_slow: Tensor,
    x: Tensor | None,
    fast: Tensor | None,
    slow: Tensor | None,
    /,
) -> tuple[Tensor, ...]:
    """Gradients of ``dual_timescale`` with respect to x, fast, slow, and with x given the four coefficients, ``[4]``.

    Shapes: g and x ``[T, ...]``, g_fast, g_slow, fast and slow ``[...]``, the rest 0-d. Without x, fast and slow are not
    needed. The order of the four is that of the arguments: decay_fast, decay_slow, w_fast, w_slow.
    """
    _check_gradients(g, g_fast, g_slow)
    rows = [g[t] for t in range(g.shape[0])]
    weighed = [[row * w for row in rows] for w in (w_fast, w_slow)]
    into_fast, g_fast0 = _back(weighed[0], g_fast, decay_fast)
    into_slow, g_slow0 = _back(weighed[1], g_slow, decay_slow)
    g_x = stack([a + b for a, b in zip(into_fast, into_slow, strict=True)])
    if x is None:
        return g_x, g_fast0, g_slow0
    _check_like(g, x, fast, slow)
    assert fast is not None and slow is not None
    inputs = [x[t] for t in range(x.shape[0])]
    y_fast, z_fast = _traces(inputs, fast, decay_fast)
    y_slow, z_slow = _traces(inputs, slow, decay_slow)
    sums = [
        _inner(weighed[0], z_fast, g_fast),
        _inner(weighed[1], z_slow, g_slow),
        _inner(rows, y_fast),
        _inner(rows, y_slow),
    ]
    return g_x, g_fast0, g_slow0, stack(sums)


@composite(differentiable=False)
def stp_synapse_vjp(
    g: Tensor, x: Tensor, u: Tensor, r: Tensor, /, *, decay_u: float, decay_r: float, use: float
) -> Tensor:
    """The gradient of ``stp_synapse`` with respect to x: g times what each spike released, 0 without a spike.

    Shapes: g and x ``[T, ...]``, u and r ``[...]``.
    """
    if g.shape != x.shape:
        raise ShapeError(f"gradient {g.shape} does not fit input {x.shape}")
    return release(g, x, u, r, decay_u, decay_r, use)[0]


def _arriving(ctx: Context, g: Tensor | None) -> Tensor:
    """The gradient at the steps; zeros if only the state has one."""
    spec = ctx.outputs[0]
    return full(spec.shape, 0.0, spec.dtype, ctx.backend) if g is None else g


def _filter_keeps(needs: tuple[bool, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    return (0, 1, 2, 3) if needs[2] else (2,)


@synapse_filter.defvjp(inputs=_filter_keeps)
def _(ctx: Context, g: Tensor | None, g_last: Tensor | None) -> Any:
    x, y, decay, line = ctx.inputs
    learned = ctx.needs[2]
    kept = (x, y, line) if learned else (None, None, None)
    delay = 0 if line is None else line.shape[0]
    grads = synapse_filter_vjp(_arriving(ctx, g), g_last, decay, *kept, delay=delay)
    return grads[0], grads[1], grads[-1] if learned else None, grads[2] if delay else None


def _dual_keeps(needs: tuple[bool, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    return tuple(range(7)) if any(needs[3:]) else (3, 4, 5, 6)


@dual_timescale.defvjp(inputs=_dual_keeps)
def _(ctx: Context, g: Tensor | None, g_fast: Tensor | None, g_slow: Tensor | None) -> Any:
    learned = any(ctx.needs[3:])
    kept = ctx.inputs[:3] if learned else (None, None, None)
    grads = dual_timescale_vjp(_arriving(ctx, g), g_fast, g_slow, *ctx.inputs[3:], *kept)
    coefficients = [grads[3][i] if ctx.needs[3 + i] else None for i in range(4)]
    return (*grads[:3], *coefficients)


@stp_synapse.defvjp(inputs=(0, 1, 2), constant=(1, 2))
def _(ctx: Context, g: Tensor, *_: Any) -> Any:
    return stp_synapse_vjp(g, *ctx.inputs, **ctx.attrs), None, None
