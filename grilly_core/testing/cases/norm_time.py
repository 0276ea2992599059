"""Cases of ``ops.norm_time``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid

_STEPS = (
    (2, 2, 3, 4), (1, 5, 2, 1), (3, 1, 65, 7), (2, 4, 2, 257), (3, 63, 4, 1), (2, 3, 5, 64), (2, 2, 257, 3), (3, 1, 1, 300),
    (7, 2, 2, 3), (2, 300, 1, 2), (1, 1, 1, 1031), (4, 3, 0, 2), (0, 2, 3, 1),
)  # fmt: skip
"""``[T, M, C, L]``."""

_PLACES = (
    (1, 1, 1, 1), (2, 3, 4, 5), (7, 2, 2, 3), (2, 1, 65, 7), (1, 2, 3, 257), (2, 257, 3, 1), (3, 1, 257, 2), (1, 63, 2, 9),
    (2, 5, 1, 64), (1, 1, 1031, 1), (2, 1, 4, 300), (3, 0, 2, 4), (2, 3, 4, 0),
)  # fmt: skip
"""``[T, N, C, L]``."""


def _eps(draw: DrawFn, x: np.ndarray) -> float:
    """Small, unless a rounded mean would be divided by its square root and nothing else."""
    eps: float = draw(st.sampled_from((1e-5, 1e-3, 0.25)))
    return max(eps, 0.25) if x.astype("float64").var(axis=(1, 3)).min(initial=1.0) < 2.0**-8 else eps


@case_of(ops.bn_through_time)
def bn_through_time(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without weight."""
    shape, dtype = draw(st.sampled_from(_STEPS)), draw(wanted.floats())
    x = draw(grid(shape, dtype))
    weight = draw(grid(shape[::2], dtype)) if draw(st.booleans()) else None
    return Case(op, (x, weight), {"eps": _eps(draw, x)})


@case_of(ops.bn_through_time_vjp)
def bn_through_time_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With the statistics that belong to x."""
    shape, dtype = draw(st.sampled_from(_STEPS)), draw(wanted.floats())
    g, x = draw(grid(shape, dtype)), draw(grid(shape, dtype))
    mean, var = x.mean(axis=(1, 3), dtype="float64"), x.var(axis=(1, 3), dtype="float64")
    weight = draw(grid(shape[::2], dtype)) if draw(st.booleans()) else None
    return Case(op, (g, x, mean.astype(dtype), var.astype(dtype), weight), {"eps": _eps(draw, x)})


def _shared(draw: DrawFn, shape: tuple[int, ...]) -> tuple[int, int]:
    """Of w: one for each channel, or for all of them."""
    return (shape[2] if draw(st.booleans()) else 1, shape[3])


@case_of(ops.neunorm_multi_step)
def neunorm_multi_step(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """From any state, w for each channel or one for all."""
    shape, dtype = draw(st.sampled_from(_PLACES)), draw(wanted.floats())
    _, n, _, extent = shape
    args = (
        draw(grid(shape, dtype)),
        draw(grid((n, 1, extent), dtype)),
        draw(grid(_shared(draw, shape), dtype)),
    )
    return Case(op, args, {"k": draw(st.sampled_from((0.5, 0.75, 0.0, 1.0)))})


@case_of(ops.neunorm_multi_step_vjp)
def neunorm_multi_step_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without gradients at the states."""
    shape, dtype = draw(st.sampled_from(_PLACES)), draw(wanted.floats())
    steps, n, _, extent = shape
    state = (steps, n, 1, extent)
    g_states = draw(grid(state, dtype)) if draw(st.booleans()) else None
    args = (
        draw(grid(shape, dtype)),
        g_states,
        draw(grid(state, dtype)),
        draw(grid(_shared(draw, shape), dtype)),
    )
    return Case(op, args, {"k": draw(st.sampled_from((0.5, 0.75, 0.0, 1.0)))})


_X, _W, _V = np.ones((2, 3, 4, 5), "float32"), np.ones((2, 4), "float32"), np.ones((3, 1, 5), "float32")
_M, _S = np.ones((4, 5), "float32"), np.ones((2, 3, 1, 5), "float32")

misuse(ops.bn_through_time, ShapeError, _X[0], None)
misuse(ops.bn_through_time, ShapeError, _X, _W[:1])
misuse(ops.bn_through_time, ShapeError, _X[:, :0], None)
misuse(ops.bn_through_time, ArgumentError, _X, None, eps=0.0)
misuse(ops.bn_through_time_vjp, ShapeError, _X[:1], _X, _W, _W, None, eps=1e-5)
misuse(ops.bn_through_time_vjp, ShapeError, _X, _X, _W[:1], _W, None, eps=1e-5)
misuse(ops.bn_through_time_vjp, ShapeError, _X, _X, _W, _W, _W[0], eps=1e-5)
misuse(ops.neunorm_multi_step, ShapeError, _X[0], _V, _M)
misuse(ops.neunorm_multi_step, ShapeError, _X[:0], _V, _M)
misuse(ops.neunorm_multi_step, ShapeError, _X, _V[:2], _M)
misuse(ops.neunorm_multi_step, ShapeError, _X, _V, _M[:2])
misuse(ops.neunorm_multi_step, ArgumentError, _X, _V, _M, k=1.5)
misuse(ops.neunorm_multi_step_vjp, ShapeError, _X, None, _S[:1], _M, k=0.5)
misuse(ops.neunorm_multi_step_vjp, ShapeError, _X, _S[..., :1], _S, _M, k=0.5)
misuse(ops.neunorm_multi_step_vjp, ShapeError, _X, None, _S, _M.T, k=0.5)
