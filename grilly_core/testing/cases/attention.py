"""Cases of ``ops.attention``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid

_ROWS = (
    (1, 1), (2, 3), (3, 63), (5, 64), (2, 65), (65, 2), (257, 3), (300, 1), (3, 257), (1, 1031), (2, 3000), (0, 4),
)  # fmt: skip
"""``[R, K]``: rows of one element, rows that share a workgroup; sums of products of longer ones are not exact."""

_STEPS = ((1, 1, 1), (2, 3, 4), (5, 2, 65), (4, 63, 2), (3, 1, 257), (8, 33, 3), (2, 2, 1031), (3, 0, 2))
"""``[T, N, K]``."""


@case_of(ops.row_sum_max)
def row_sum_max(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Rows of any length."""
    return Case(op, (draw(grid(draw(st.sampled_from(_ROWS)), draw(wanted.floats()))),), {})


def _row_args(draw: DrawFn, wanted: Wanted, more: int) -> tuple[np.ndarray, ...]:
    """g, x, the largest of x, and so many arrays more."""
    shape, dtype = draw(st.sampled_from(_ROWS)), draw(wanted.floats())
    g, x = draw(grid(shape, dtype)), draw(grid(shape, dtype))
    return g, x, x.max(axis=1), *(draw(grid(shape[:1], dtype)) for _ in range(more))


@case_of(ops.row_dots)
def row_dots(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With ties: the grid is small."""
    return Case(op, _row_args(draw, wanted, 0), {})


@case_of(ops.row_scale_vjp)
def row_scale_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With ties: the grid is small."""
    return Case(op, _row_args(draw, wanted, 3), {})


@case_of(ops.temporal_attention)
def temporal_attention(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With one to three hidden units. Gradients away from where the logistic function is flat: there its slope,
    taken of its value as the body does, is all rounding."""
    shape, dtype = draw(st.sampled_from(_STEPS)), draw(wanted.floats())
    hidden, steps = draw(st.integers(1, 3)), shape[0]
    x, fc1 = draw(grid(shape, dtype)), draw(grid((hidden, steps), dtype))
    fc2 = draw(grid((steps, hidden), dtype))
    if wanted.gradient:
        both = np.maximum(fc1 @ x.mean(axis=2), 0) + np.maximum(fc1 @ x.max(axis=2), 0)
        largest = float(np.abs(fc2 @ both).max(initial=0.0))
        if largest > 4.0:
            fc2 = fc2 * fc2.dtype.type(2.0 ** -np.ceil(np.log2(largest / 4.0)))
    return Case(op, (x, fc1, fc2), {})


_X, _V = np.ones((2, 3), "float32"), np.ones(2, "float32")
_S, _F = np.ones((2, 3, 4), "float32"), np.ones((1, 2), "float32")

misuse(ops.row_sum_max, ShapeError, _V)
misuse(ops.row_sum_max, ShapeError, _X[:, :0])
misuse(ops.row_dots, ShapeError, _X[:1], _X, _V)
misuse(ops.row_dots, ShapeError, _X, _X, _V[:1])
misuse(ops.row_scale_vjp, ShapeError, _X, _X, _V, _V, _V[:1], _V)
misuse(ops.row_scale_vjp, ShapeError, _X, _X, _V, _X, _V, _V)
misuse(ops.temporal_attention, ShapeError, _X, _F, _F.T)
misuse(ops.temporal_attention, ShapeError, _S[..., :0], _F, _F.T)
misuse(ops.temporal_attention, ShapeError, _S, _F.T, _F)
misuse(ops.temporal_attention, ShapeError, _S, _F, _F)
