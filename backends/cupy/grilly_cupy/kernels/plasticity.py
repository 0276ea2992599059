"""Plasticity: traces in one launch, sums over time and batch as products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_cupy.kernels.conv import conv2d_weight_vjp
from grilly_cupy.kernels.elementwise import matmul
from grilly_cupy.kernels.synapse import stdp_trace
from grilly_cupy.lazy import cp

__all__ = ["DECLINES", "KERNELS"]

Array = Any
Shape = tuple[int, ...]


def _pair(extents: Shape, fill: int) -> tuple[int, int]:
    first, second = (fill,) * (2 - len(extents)) + tuple(extents)
    return first, second


def _paired(
    device: Any,
    weight: Array,
    pre: Array,
    post: Array,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> Array:
    """For each weight the sum of ``post`` times the ``pre`` it leads from."""
    rows = pre.shape[0] * pre.shape[1]
    if weight.ndim == 2:
        return matmul(device, post.reshape(rows, post.shape[2]).T, pre.reshape(rows, pre.shape[2]))
    g, x = (a.reshape(rows, a.shape[2], *_pair(a.shape[3:], 1)) for a in (post, pre))
    return conv2d_weight_vjp(
        device,
        g,
        x,
        kernel_size=_pair(weight.shape[2:], 1),
        stride=_pair(stride, 1),
        padding=_pair(padding, 0),
        dilation=_pair(dilation, 1),
        groups=groups,
    ).reshape(weight.shape)


def stdp_update(
    device: Any,
    weight: Array,
    pre: Array,
    post: Array,
    trace_pre: Array | None,
    trace_post: Array | None,
    /,
    *,
    tau_pre: float,
    tau_post: float,
    a_pre: float,
    a_post: float,
    w_min: float | None,
    w_max: float | None,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> tuple[Array, Array, Array]:
    layer, number = (stride, padding, dilation, groups), weight.dtype.type
    traces, last_pre = stdp_trace(device, pre, trace_pre, tau=tau_pre)
    change = _paired(device, weight, traces, post, *layer) * number(a_post)
    traces, last_post = stdp_trace(device, post, trace_post, tau=tau_post)
    change = weight + (change - _paired(device, weight, pre, traces, *layer) * number(a_pre))
    if w_min is not None:
        change = cp.maximum(change, number(w_min))
    if w_max is not None:
        change = cp.minimum(change, number(w_max))
    return change, last_pre, last_post


def hebbian_update(
    device: Any,
    weight: Array,
    pre: Array,
    post: Array,
    /,
    *,
    lr: float,
    decay: float,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> Array:
    if not weight.size:
        return weight.copy()
    number = weight.dtype.type
    change = _paired(device, weight, pre, post, stride, padding, dilation, groups)
    change = weight + change * number(lr / (post.size // post.shape[2]))
    return change - weight * number(decay) if decay else change


KERNELS: dict[str, Callable[..., Any]] = {"hebbian_update": hebbian_update, "stdp_update": stdp_update}
DECLINES: dict[str, Callable[..., str | None]] = {}
