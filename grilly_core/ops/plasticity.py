"""Plasticity: weights that follow from the spikes on both sides of them, without gradients.

Sums over time and batch are products of two matrices, so they cost what a layer's weight gradient costs. The rank of the
weight says what layer it belongs to:

======  =======================  ======================  ======================
rank    weight                   pre                     post
======  =======================  ======================  ======================
2       ``[out, in]``            ``[T, N, in]``          ``[T, N, out]``
3       ``[O, C/groups, K]``     ``[T, N, C, L]``        ``[T, N, O, OL]``
4       ``[O, C/groups, KH, KW]``  ``[T, N, C, H, W]``   ``[T, N, O, OH, OW]``
======  =======================  ======================  ======================

Strides, paddings and dilations are tuples of one number for each spatial axis.
"""

from __future__ import annotations

import math

from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import Dynamic, composite
from grilly_core.ops.conv import Pair, conv2d_weight_vjp, out_extents
from grilly_core.ops.elementwise import maximum, minimum
from grilly_core.ops.linalg import matmul
from grilly_core.ops.shape import stack
from grilly_core.tensor import Tensor, zeros_like

__all__ = ["hebbian_update", "stdp_trace", "stdp_update"]

Extents = tuple[int, ...]


def _pair(extents: Extents, fill: int) -> Pair:
    """Extents of no, one or two spatial axes as those of two."""
    first, second = (fill,) * (2 - len(extents)) + tuple(extents)
    return first, second


def _check_tau(tau: float, name: str) -> None:
    if not (math.isfinite(tau) and tau >= 1):
        raise ArgumentError(f"{name} must be a number of at least 1 (time steps), got {tau}")


def _check_sides(
    weight: Tensor,
    pre: Tensor,
    post: Tensor,
    stride: Extents,
    padding: Extents,
    dilation: Extents,
    groups: int,
) -> None:
    """Refuse spikes that do not belong to the two sides of this weight."""
    axes = weight.ndim - 2
    if axes not in (0, 1, 2):
        raise ShapeError(f"the weight must be [out, in], [O, C, K] or [O, C, KH, KW], got {weight.shape}")
    if any(len(given) != axes for given in (stride, padding, dilation)):
        raise ArgumentError(
            f"stride {stride}, padding {padding} and dilation {dilation} need {axes} entries for a weight {weight.shape}"
        )
    if pre.ndim != weight.ndim + 1 or post.ndim != weight.ndim + 1 or pre.shape[:2] != post.shape[:2]:
        raise ShapeError(
            f"a weight {weight.shape} needs pre and post of {weight.ndim + 1} axes, [T, N, ...], with the same T and N; "
            f"got {pre.shape} and {post.shape}"
        )
    if pre.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got pre {pre.shape}")
    out, within = weight.shape[:2]
    if groups < 1 or out % groups or (groups > 1 and not axes):
        raise ArgumentError(f"groups={groups} does not divide the weight {weight.shape}")
    space: Extents = ()
    if axes:
        oh, ow = out_extents(
            _pair(pre.shape[3:], 1), _pair(weight.shape[2:], 1), _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1)
        )  # fmt: skip
        space = (oh, ow)[2 - axes :]
    if pre.shape[2] != within * groups or post.shape[2:] != (out, *space):
        raise ShapeError(
            f"a weight {weight.shape} with groups={groups} takes pre [T, N, {within * groups}, ...] and here post "
            f"[T, N, {', '.join(map(str, (out, *space)))}]; got {pre.shape} and {post.shape}"
        )


def _images(x: Tensor) -> Tensor:
    """``[T, N, C, ...]`` as images ``[T*N, C, H, W]``."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2], *_pair(x.shape[3:], 1))


def _paired(
    weight: Tensor,
    pre: Tensor,
    post: Tensor,
    stride: Extents,
    padding: Extents,
    dilation: Extents,
    groups: int,
) -> Tensor:
    """For each weight the sum of ``post`` times the ``pre`` it leads from, over time, batch and positions."""
    if weight.ndim == 2:
        rows = pre.shape[0] * pre.shape[1]
        summed: Tensor = matmul(post.reshape(rows, post.shape[2]).T, pre.reshape(rows, pre.shape[2]))
        return summed
    out: Tensor = conv2d_weight_vjp(
        _images(post),
        _images(pre),
        kernel_size=_pair(weight.shape[2:], 1),
        stride=_pair(stride, 1),
        padding=_pair(padding, 0),
        dilation=_pair(dilation, 1),
        groups=groups,
    )
    return out.reshape(weight.shape)


@composite(differentiable=False)
def stdp_trace(s: Tensor, trace: Tensor | None = None, /, *, tau: float) -> tuple[Tensor, Tensor]:
    """Running traces of spikes: ``tr <- tr - tr (1/tau) + s`` each step, updated before use.

    Shapes: s ``[T, ...]``, trace ``[...]`` (None: zeros); returns the traces ``[T, ...]`` and the last ``[...]``.

    Source: Morrison, Diesmann & Gerstner 2008, Biological Cybernetics 98.
    """
    if s.ndim < 1 or s.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got spikes {s.shape}")
    if trace is not None and trace.shape != s.shape[1:]:
        raise ShapeError(f"a trace {trace.shape} does not fit spikes {s.shape}: it needs {s.shape[1:]}")
    _check_tau(tau, "tau")
    k = 1.0 / tau
    tr = zeros_like(s[0]) if trace is None else trace
    steps = []
    for t in range(s.shape[0]):
        tr = (tr - tr * k) + s[t]
        steps.append(tr)
    return stack(steps), tr


def _check_limits(*, w_min: float | None, w_max: float | None, **_: float) -> None:
    if w_min is not None and w_max is not None and w_min > w_max:
        raise ArgumentError(f"w_min={w_min} lies above w_max={w_max}")


@composite(differentiable=False, check=_check_limits)
def stdp_update(
    weight: Tensor,
    pre: Tensor,
    post: Tensor,
    trace_pre: Tensor | None = None,
    trace_post: Tensor | None = None,
    /,
    *,
    tau_pre: float,
    tau_post: float,
    a_pre: Dynamic[float],
    a_post: Dynamic[float],
    w_min: Dynamic[float | None] = None,
    w_max: Dynamic[float | None] = None,
    stride: Extents = (),
    padding: Extents = (),
    dilation: Extents = (),
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spike-timing-dependent plasticity with traces on both sides.

    ``w + a_post sum tr_pre s_post - a_pre sum tr_post s_pre`` over time, batch and positions, then limited to
    ``[w_min, w_max]``; traces as ``stdp_trace``, each step updated before it is used. Shapes: see the module; trace_pre
    and trace_post have the shape of one step (None: zeros). Returns the new weight and the last traces.

    Source: Morrison, Diesmann & Gerstner 2008, Biological Cybernetics 98.
    """
    _check_sides(weight, pre, post, stride, padding, dilation, groups)
    _check_tau(tau_pre, "tau_pre")
    _check_tau(tau_post, "tau_post")
    traces_pre, last_pre = stdp_trace(pre, trace_pre, tau=tau_pre)
    traces_post, last_post = stdp_trace(post, trace_post, tau=tau_post)
    raised = _paired(weight, traces_pre, post, stride, padding, dilation, groups)
    lowered = _paired(weight, pre, traces_post, stride, padding, dilation, groups)
    weight = weight + (raised * a_post - lowered * a_pre)
    if w_min is not None:
        weight = maximum(weight, w_min)
    if w_max is not None:
        weight = minimum(weight, w_max)
    return weight, last_pre, last_post


@composite(differentiable=False)
def hebbian_update(
    weight: Tensor,
    pre: Tensor,
    post: Tensor,
    /,
    *,
    lr: Dynamic[float],
    decay: Dynamic[float] = 0.0,
    stride: Extents = (),
    padding: Extents = (),
    dilation: Extents = (),
    groups: int = 1,
) -> Tensor:
    """``w + lr mean(post pre) - decay w``, the mean over time, batch and positions.

    Shapes: see the module. Source: Hebb 1949, The Organization of Behavior.
    """
    _check_sides(weight, pre, post, stride, padding, dilation, groups)
    count = post.size // max(1, post.shape[2])
    if count == 0:
        raise ShapeError(
            f"the mean over time and batch of pre {pre.shape} and post {post.shape} is of nothing"
        )
    together = _paired(weight, pre, post, stride, padding, dilation, groups)
    return (weight + together * (lr / count)) - weight * decay
