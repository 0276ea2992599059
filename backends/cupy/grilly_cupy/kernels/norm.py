"""Batch norm, one or one for every step: partial sums, coefficients for each channel, one pass that applies them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, GRID_LINES, index_type, launch, launch_each, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any
_LONG = 32  # rows from this length on are read along themselves
_BLOCKS = 1024  # enough to keep a large device busy
_LEAST = 8 * BLOCK  # elements that a block adds up at least
_WORKERS = 1 << 17  # threads that keep a large device busy
_ROWS = 16  # that one of them adds up at least
_BYTES = 16  # that a thread reads and writes at once


class _Pass:
    """Sums over the channels of ``[T, M, C, L]``, and coefficients applied to every element."""

    def __init__(self, x: Array) -> None:
        self.x = row_major(x)
        steps, self.rows, self.channels, self.length = x.shape
        self.all = steps * self.channels
        self.extents = (self.rows, self.channels, self.length)
        self.dtype = x.dtype
        self.defines: dict[str, Any] = dict(INDEX=index_type(x.size))

    def line(self, dtype: str | None = None) -> Array:
        """A number for each channel of each step."""
        return cp.empty((self.all,), dtype or self.dtype)

    def sums(self, g: Array | None, mean: Array | None) -> tuple[Array, int]:
        """Partial sums and the number of pieces."""
        back = int(g is not None)
        count = self.rows * self.length
        block: tuple[int, ...] = (BLOCK,)
        name, blocks, each = "sums_long", self.all, _LEAST
        if self.length < _LONG:
            tiles = self.x.shape[0] * -(-self.channels // 32)
            name, blocks, block, each = "sums_short", tiles, (32, 8), 64 * max(1, self.length)
        pieces = max(1, min(-(-_BLOCKS // max(1, blocks)), -(-count // each)))
        partial = cp.empty((pieces, self.all, 2 + back), "float64")
        args = (self.x, g, mean, partial, *self.extents)
        launch(f"norm/{name}", self.dtype, (blocks, pieces), block, args, BACK=back, REDUCE=1, **self.defines)
        return partial, pieces

    def apply(
        self,
        mean: Array,
        factors: Array,
        shifts: Array | None,
        g: Array | None = None,
        outers: Array | None = None,
    ) -> Array:
        """``(x - mean) factors + g outers + shifts``."""
        y = cp.empty(self.x.shape, self.dtype)
        args = (self.x, g, mean, factors, shifts, outers, y, y.size, *self.extents)
        together = all(a is None or a.data.ptr % _BYTES == 0 for a in (self.x, g, y))
        align = _BYTES if together else y.itemsize
        threads = -(-y.nbytes // _BYTES)
        launch_each("norm/apply", self.dtype, threads, args, ALIGN=align, **self.defines)
        return y


def _normalise(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    run = _Pass(x)
    partial, pieces = run.sums(None, None)
    mean, var, factors, shifts = (run.line() for _ in range(4))
    arrays = (partial, run.x, row_major(weight), row_major(bias), mean, var, factors, shifts)
    args = (*arrays, pieces, run.all, *run.extents, np.float64(eps))
    launch_each("norm/coefficients", run.dtype, run.all, args, BACK=0)
    return run.apply(mean, factors, shifts), mean, var


def _normalise_vjp(
    g: Array, x: Array, mean: Array, var: Array, weight: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    run = _Pass(x)
    g, mean, var = row_major(g), row_major(mean), row_major(var)
    partial, pieces = run.sums(g, mean)
    g_weight, g_bias, outers, slopes, shifts = (run.line() for _ in range(5))
    arrays = (partial, var, row_major(weight), g_weight, g_bias, outers, slopes, shifts)
    args = (*arrays, pieces, run.all, run.rows * run.length, np.float64(eps))
    launch_each("norm/coefficients", run.dtype, run.all, args, BACK=1)
    return run.apply(mean, slopes, shifts, g, outers), g_weight, g_bias


def batch_norm(
    device: Any, x: Array, weight: Array | None, bias: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    y, mean, var = _normalise(x[None], weight, bias, eps)
    return y[0], mean, var


def batch_norm_vjp(
    device: Any, g: Array, x: Array, mean: Array, var: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    g_x, g_weight, g_bias = _normalise_vjp(g[None], x[None], mean, var, weight, eps)
    return g_x[0], g_weight, g_bias


def batch_norm_infer(
    device: Any,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    /,
    *,
    eps: float,
) -> Array:
    factors = cp.empty(var.shape, x.dtype)
    args = (row_major(var), row_major(weight), factors, factors.size, float(eps))
    launch_each("norm/factors", x.dtype, factors.size, args)
    return _Pass(x[None]).apply(row_major(mean), factors, row_major(bias))[0]


def moving_average(device: Any, old: Array, new: Array, /, *, momentum: float, gain: float) -> Array:
    out = cp.empty(old.shape, old.dtype)
    args = (row_major(old), row_major(new), out, out.size, float(1.0 - momentum), float(momentum * gain))
    launch_each("norm/moving_average", old.dtype, out.size, args)
    return out


def bn_through_time(
    device: Any, x: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array, Array]:
    per_step = (x.shape[0], x.shape[2])
    y, mean, var = _normalise(x, weight, None, eps)
    return y, mean.reshape(per_step), var.reshape(per_step)


def bn_through_time_vjp(
    device: Any, g: Array, x: Array, mean: Array, var: Array, weight: Array | None, /, *, eps: float
) -> tuple[Array, Array]:
    g_x, g_weight, _ = _normalise_vjp(g, x, mean, var, weight, eps)
    return g_x, g_weight.reshape(mean.shape)


def neunorm_multi_step(device: Any, s: Array, x: Array, w: Array, /, *, k: float) -> tuple[Array, Array]:
    steps, n, channels, extent = s.shape
    y, states = cp.empty(s.shape, s.dtype), cp.empty((steps, n, 1, extent), s.dtype)
    numbers = (*s.shape, w.shape[0] != channels, float(k), (1.0 - k) / channels**2)
    args = (*map(row_major, (s, x, w)), y, states, *numbers)
    _neunorm("forward", s.dtype, n * extent, args)
    return y, states


def neunorm_multi_step_vjp(
    device: Any, g: Array, g_states: Array | None, states: Array, w: Array, /, *, k: float
) -> tuple[Array, Array, Array]:
    n, channels, extent = g.shape[1:]
    g, g_states, states, w = map(row_major, (g, g_states, states, w))
    g_s, g_x = cp.empty(g.shape, g.dtype), cp.empty((n, 1, extent), g.dtype)
    rows = math.prod(g.shape[:2])
    pieces = max(1, min(_WORKERS // max(1, channels * extent), rows // _ROWS, GRID_LINES))
    g_w = cp.empty((pieces, channels, extent), "float64")
    shared = w.shape[0] != channels
    numbers = (*g.shape, shared, float(k), (1.0 - k) / channels**2)
    _neunorm("backward", g.dtype, n * extent, (g, g_states, w, g_s, g_x, *numbers))
    grid = (-(-channels * extent // BLOCK), pieces)
    launch("neunorm/weight", g.dtype, grid, (BLOCK,), (g, states, g_w, rows, channels, extent))
    total = g_w.sum(axis=(0, 1)).reshape(1, extent) if shared else g_w.sum(axis=0)
    return g_s, g_x, total.astype(g.dtype)


def _neunorm(function: str, dtype: Any, places: int, args: tuple[Any, ...]) -> None:
    """Blocks of 32 places and 8 threads for each."""
    launch(f"neunorm/{function}", dtype, (-(-places // 32),), (32, 8), args)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        batch_norm, batch_norm_infer, batch_norm_vjp, moving_average, bn_through_time, bn_through_time_vjp,
        neunorm_multi_step, neunorm_multi_step_vjp,
    )
}  # fmt: skip
DECLINES: dict[str, Callable[..., str | None]] = {}
