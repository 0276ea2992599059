"""Plasticity: traces in blocks of neurons that stay in cache, sums over time and batch as products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.kernels.conv import conv2d_weight_vjp
from grilly_numpy.kernels.neuron import block_bounds
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "hebbian_update", "stdp_trace", "stdp_update"]

Shape = tuple[int, ...]


def stdp_trace(
    device: Any, s: np.ndarray, trace: np.ndarray | None, /, *, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """``tr <- tr - tr (1/tau) + s``: ``s [T, ...], trace [...] -> traces [T, ...], last [...]``.

    Example:
        >>> stdp_trace(None, np.ones((2, 1)), None, tau=2.0)[0].tolist()
        [[1.0], [1.5]]
    """
    steps, dtype = s.shape[0], s.dtype
    k = np.array(1.0 / tau, dtype)
    traces = empty(s.shape, dtype)
    last = empty(s.shape[1:], dtype)
    neurons = last.size
    s_all, out = s.reshape(steps, neurons), traces.reshape(steps, neurons)
    start = np.zeros(neurons, dtype) if trace is None else trace.reshape(neurons)
    blocks = block_bounds(neurons, dtype.itemsize)

    def run(block: int) -> None:
        a, b = blocks[block]
        tr, leak = start[a:b], empty((b - a,), dtype)
        for s_t, out_t in zip(s_all[:, a:b], out[:, a:b], strict=True):
            np.multiply(tr, k, out=leak)
            np.subtract(tr, leak, out=out_t)
            np.add(out_t, s_t, out=out_t)
            tr = out_t

    parallel_for(len(blocks), run)
    np.copyto(last, traces[-1])
    return traces, last


def _pair(extents: Shape, fill: int) -> tuple[int, int]:
    first, second = (fill,) * (2 - len(extents)) + tuple(extents)
    return first, second


def _paired(
    weight: np.ndarray,
    pre: np.ndarray,
    post: np.ndarray,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """For each weight the sum of ``post`` times the ``pre`` it leads from."""
    rows = pre.shape[0] * pre.shape[1]
    if weight.ndim == 2:
        product: np.ndarray = post.reshape(rows, post.shape[2]).T @ pre.reshape(rows, pre.shape[2])
        return product
    g, x = (a.reshape(rows, a.shape[2], *_pair(a.shape[3:], 1)) for a in (post, pre))
    return conv2d_weight_vjp(
        None,
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
    weight: np.ndarray,
    pre: np.ndarray,
    post: np.ndarray,
    trace_pre: np.ndarray | None,
    trace_post: np.ndarray | None,
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The new weight and the last traces; shapes as declared.

    Example:
        >>> one = dict(tau_pre=2.0, tau_post=2.0, a_pre=0.25, a_post=1.0, w_min=None, w_max=1.5)
        >>> dense = dict(stride=(), padding=(), dilation=(), groups=1)
        >>> w, s = np.ones((1, 1)), np.ones((1, 1, 1))
        >>> [a.tolist() for a in stdp_update(None, w, s, s, None, None, **one, **dense)]
        [[[1.5]], [[1.0]], [[1.0]]]
    """
    layer = (stride, padding, dilation, groups)
    traces, last_pre = stdp_trace(device, pre, trace_pre, tau=tau_pre)
    change = _paired(weight, traces, post, *layer)
    change *= np.array(a_post, change.dtype)
    traces, last_post = stdp_trace(device, post, trace_post, tau=tau_post)
    lowered = _paired(weight, pre, traces, *layer)
    lowered *= np.array(a_pre, lowered.dtype)
    change -= lowered
    change += weight
    if w_min is not None:
        np.maximum(change, np.array(w_min, change.dtype), out=change)
    if w_max is not None:
        np.minimum(change, np.array(w_max, change.dtype), out=change)
    return change, last_pre, last_post


def hebbian_update(
    device: Any,
    weight: np.ndarray,
    pre: np.ndarray,
    post: np.ndarray,
    /,
    *,
    lr: float,
    decay: float,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """The new weight; shapes as declared."""
    if not weight.size:
        return weight.copy()
    change = _paired(weight, pre, post, stride, padding, dilation, groups)
    change *= np.array(lr / (post.size // post.shape[2]), change.dtype)
    change += weight
    if decay:
        change -= weight * np.array(decay, change.dtype)
    return change


KERNELS: dict[str, Callable[..., Any]] = {
    "hebbian_update": hebbian_update,
    "stdp_trace": stdp_trace,
    "stdp_update": stdp_update,
}
