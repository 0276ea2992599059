"""A batch norm for every step, and NeuNorm, whose state stays in cache while a block of places runs through all steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_numpy.kernels.norm import normalise, normalise_vjp
from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = [
    "KERNELS",
    "bn_through_time",
    "bn_through_time_vjp",
    "neunorm_multi_step",
    "neunorm_multi_step_vjp",
]

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 1 << 19  # of one step of a block


def bn_through_time(
    device: object, x: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    """A batch norm per step: ``x [T, M, C, L], weight [T, C] -> y [T, M, C, L], mean [T, C], var [T, C]``.

    Example:
        >>> y, mean, var = bn_through_time(None, np.array([[[[1.0, 3.0]]], [[[2.0, 2.0]]]]), None, eps=1e-5)
        >>> y.round(3).tolist(), mean.tolist(), var.tolist()
        ([[[[-1.0, 1.0]]], [[[0.0, 0.0]]]], [[2.0], [2.0]], [[1.0], [0.0]])
    """
    x = np.ascontiguousarray(x)
    steps, _, channels, _ = x.shape
    y, mean, var = empty(x.shape, x.dtype), *(np.empty((steps, channels), x.dtype) for _ in range(2))
    for t in range(steps):
        mean[t], var[t] = normalise(x[t], None if weight is None else weight[t], None, eps, y[t])
    return y, mean, var


def bn_through_time_vjp(
    device: object, g: Array, x: Array, mean: Array, var: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array]:
    """Gradients of :func:`bn_through_time` at x ``[T, M, C, L]`` and at the weight ``[T, C]``."""
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x)
    gx, gw = empty(x.shape, x.dtype), np.empty(mean.shape, x.dtype)
    for t in range(x.shape[0]):
        scale = None if weight is None else weight[t]
        gw[t], _ = normalise_vjp(g[t], x[t], mean[t], var[t], scale, eps, gx[t])
    return gx, gw


def _blocks(s: Array) -> list[tuple[slice, slice]]:
    """Samples and places of ``[T, N, C, L]`` that are taken through time together."""
    _, n, channels, extent = s.shape
    if s.size == 0:
        return []
    width = max(1, min(extent, _BLOCK_BYTES // (channels * s.itemsize)))
    height = max(1, min(n, _BLOCK_BYTES // (width * channels * s.itemsize)))
    return [
        (slice(row, min(n, row + height)), slice(first, min(extent, first + width)))
        for row in range(0, n, height)
        for first in range(0, extent, width)
    ]


def _each_block(s: Array, body: Callable[[slice, slice], object]) -> None:
    blocks = _blocks(s)
    parallel_for(len(blocks), lambda i: body(*blocks[i]))


def neunorm_multi_step(device: object, s: Array, x: Array, w: Array, /, *, k: float) -> tuple[Array, Array]:
    """Spikes less ``w`` times the state: ``s [T, N, C, L], x [N, 1, L] -> y [T, N, C, L], states [T, N, 1, L]``.

    Example:
        >>> neunorm_multi_step(None, np.ones((2, 1, 1, 1)), np.zeros((1, 1, 1)), np.ones((1, 1)), k=0.5)[0].ravel()
        array([0.5 , 0.25])
    """
    steps, n, channels, extent = s.shape
    y, states = empty(s.shape, s.dtype), empty((steps, n, 1, extent), s.dtype)
    decay, share = s.dtype.type(k), s.dtype.type((1.0 - k) / channels**2)

    def body(rows: slice, places: slice) -> None:
        state, scale = x[rows, :, places].copy(), w[:, places]
        for t in range(steps):
            arriving = s[t, rows, :, places]
            state *= decay
            state += arriving.sum(axis=1, keepdims=True) * share
            states[t, rows, :, places] = state
            out = y[t, rows, :, places]
            np.multiply(scale, state, out=out)
            np.subtract(arriving, out, out=out)

    _each_block(s, body)
    return y, states


def neunorm_multi_step_vjp(
    device: object, g: Array, g_states: Array | None, states: Array, w: Array, /, *, k: float
) -> tuple[Array, Array, Array]:
    """Gradients of :func:`neunorm_multi_step` at s, at x and at w, each of its shape."""
    steps, n, channels, extent = g.shape
    g_s, g_x = empty(g.shape, g.dtype), empty((n, 1, extent), g.dtype)
    g_w = np.zeros(w.shape, g.dtype)
    decay, share = g.dtype.type(k), g.dtype.type((1.0 - k) / channels**2)

    def body(rows: slice, places: slice) -> None:
        carried, scale = np.zeros(g_x[rows, :, places].shape, g.dtype), w[:, places]
        for t in reversed(range(steps)):
            arriving, out = g[t, rows, :, places], g_s[t, rows, :, places]
            lost = np.multiply(arriving, scale, out=out).sum(axis=1, keepdims=True)
            carried *= decay
            carried += -lost if g_states is None else g_states[t, rows, :, places] - lost
            np.add(arriving, carried * share, out=out)
        np.multiply(carried, decay, out=g_x[rows, :, places])

    _each_block(g, body)
    _weight_gradient(g, states, g_w)
    return g_s, g_x, g_w


def _weight_gradient(g: Array, states: Array, g_w: Array) -> None:
    """``g_w = -sum g states`` over steps and samples, over channels too if w is shared; places in parallel."""
    channels, extent = g.shape[2:]
    if g.size == 0:
        return
    width = max(1, min(extent, _BLOCK_BYTES // (channels * g.itemsize)))

    def body(i: int) -> None:
        places = slice(i * width, (i + 1) * width)
        total = np.zeros(g[0, 0, :, places].shape)
        for t in range(g.shape[0]):
            total += np.einsum("ncl,nl->cl", g[t, :, :, places], states[t, :, 0, places])
        g_w[:, places] = -(total if g_w.shape[0] == channels else total.sum(axis=0, keepdims=True))

    parallel_for(-(-extent // width), body)


KERNELS = {
    "bn_through_time": bn_through_time,
    "bn_through_time_vjp": bn_through_time_vjp,
    "neunorm_multi_step": neunorm_multi_step,
    "neunorm_multi_step_vjp": neunorm_multi_step_vjp,
}
