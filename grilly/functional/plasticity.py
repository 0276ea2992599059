"""Plasticity as functions: the new weight from the old one and the spikes on both sides."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number, whole_number, whole_numbers
from grilly.functional.tensors import as_tensor
from grilly_core import ops
from grilly_core.tensor import Tensor, tensor

__all__ = ["hebbian_update", "stdp_update"]


def _like(x: Any, weight: Tensor) -> Tensor:
    """A tensor as it is; an array in the weight's dtype, beside it."""
    return x if isinstance(x, Tensor) else tensor(x, dtype=weight.dtype, backend=weight._backend)


def _layer(
    weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: Any, owner: str
) -> dict[str, Any]:
    """A number for each spatial axis of the weight."""
    axes = max(0, weight.ndim - 2)
    spread = {
        "stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)
    }  # fmt: skip
    return {
        **{
            name: whole_numbers(value, axes, f"{owner}: {name}", low) for name, (value, low) in spread.items()
        },
        "groups": whole_number(groups, f"{owner}: groups", 1),
    }


def stdp_update(
    weight: Any,
    pre: Any,
    post: Any,
    trace_pre: Any = None,
    trace_post: Any = None,
    *,
    tau_pre: float,
    tau_post: float,
    a_pre: float,
    a_post: float,
    w_min: float | None = None,
    w_max: float | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spike-timing-dependent plasticity of a dense or convolutional weight (Morrison, Diesmann & Gerstner 2008).

    Each step both traces follow their spikes, ``tr <- tr - tr / tau + s``, and are then used:
    ``dw = a_post sum tr_pre s_post - a_pre sum tr_post s_pre``, summed over batch, time and positions. No gradient flows.

    Args:
        weight: ``[out, in]``, ``[O, C/groups, K]`` or ``[O, C/groups, KH, KW]``: the rank says which layer it is of.
        pre: spikes that came in, ``[T, N, in]``, ``[T, N, C, L]`` or ``[T, N, C, H, W]``.
        post: spikes that went out, ``[T, N, out]``, ``[T, N, O, OL]`` or ``[T, N, O, OH, OW]``.
        trace_pre, trace_post: traces from before, of the shape of one step; None: zeros.
        tau_pre, tau_post: time constants in steps, at least 1.
        a_pre: how much a spike that comes in lowers a weight (given the trace behind it).
        a_post: how much a spike that goes out raises it.
        w_min, w_max: limits of the new weight; None: none.
        stride, padding, dilation, groups: of the convolution.

    Returns:
        The new weight, and both traces after the last step.

    Raises:
        ShapeError: spikes or traces that do not fit the weight.
        ArgumentError: a time constant below 1, limits in the wrong order.

    Example:
        >>> from grilly import functional as F
        >>> before, after = [[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]]  # the post neuron fires a step later
        >>> how = dict(tau_pre=2.0, tau_post=2.0, a_pre=0.5, a_post=0.5)
        >>> weight, trace_pre, trace_post = F.stdp_update([[1.0]], before, after, **how)
        >>> weight.item(), trace_pre.item(), trace_post.item()
        (1.25, 0.5, 1.0)
    """
    w = as_tensor(weight)
    numbers = {"tau_pre": tau_pre, "tau_post": tau_post, "a_pre": a_pre, "a_post": a_post}
    numbers |= {name: value for name, value in (("w_min", w_min), ("w_max", w_max)) if value is not None}
    given = [None if trace is None else _like(trace, w) for trace in (trace_pre, trace_post)]
    result: tuple[Tensor, Tensor, Tensor] = ops.stdp_update(
        w,
        _like(pre, w),
        _like(post, w),
        *given,
        **{name: finite_number(value, f"stdp_update: {name}") for name, value in numbers.items()},
        **_layer(w, stride, padding, dilation, groups, "stdp_update"),
    )
    return result


def hebbian_update(
    weight: Any,
    pre: Any,
    post: Any,
    *,
    lr: float,
    decay: float = 0.0,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Hebbian learning (Hebb 1949): ``w + lr mean(post pre) - decay w``; no gradient flows.

    Args:
        weight, pre, post: as ``F.stdp_update``; the mean is over T, N and, for convolutions, positions.
        lr: learning rate.
        decay: share of the weight that is forgotten.
        stride, padding, dilation, groups: of the convolution.

    Returns:
        The new weight.

    Raises:
        ShapeError: activities that do not fit the weight, or none at all.

    Example:
        >>> from grilly import functional as F
        >>> F.hebbian_update([[0.0, 0.0]], [[[1.0, 0.0]]], [[[1.0]]], lr=0.5).tolist()
        [[0.5, 0.0]]
    """
    w = as_tensor(weight)
    out: Tensor = ops.hebbian_update(
        w,
        _like(pre, w),
        _like(post, w),
        lr=finite_number(lr, "hebbian_update: lr"),
        decay=finite_number(decay, "hebbian_update: decay"),
        **_layer(w, stride, padding, dilation, groups, "hebbian_update"),
    )
    return out
