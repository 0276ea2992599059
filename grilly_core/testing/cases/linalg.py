"""Cases of ``ops.linalg``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from grilly_core import ops
from grilly_core.errors import DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import grid

# M, K and N around the tiles of a GEMM, all three at once, and long in one direction.
_TILES = (
    (64, 64, 64), (65, 130, 63), (130, 65, 127), (1, 130, 130), (128, 128, 1), (33, 129, 66), (17, 257, 5), (127, 1, 130),
    (16, 16, 16), (31, 33, 8), (2, 1031, 3), (130, 2, 129),
)  # fmt: skip
_BATCHES = (((), ()), ((2,), (2,)), ((3,), ()), ((1,), (3,)), ((2, 1), (1, 2)), ((), (2,)), ((0,), (0,)))
_LEADS = ((), (3,), (2, 3), (0,), (65,), (2, 33), (130,))


def _extents() -> SearchStrategy[tuple[int, ...]]:
    few = st.tuples(*[st.integers(1, 5)] * 3) | st.tuples(*[st.integers(0, 2)] * 3)
    return few | st.sampled_from(_TILES) | st.sampled_from(_TILES)


@case_of(ops.matmul)
def matmul(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Extents around the tiles of a GEMM; batches that broadcast. Sums of the products are exact."""
    m, k, n = draw(_extents())
    left, right = draw(st.sampled_from(_BATCHES if m * k * n < 70000 else _BATCHES[:1]))
    dtype = draw(wanted.floats())
    return Case(op, (draw(grid((*left, m, k), dtype)), draw(grid((*right, k, n), dtype))))


@case_of(ops.linear)
def linear(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """None to two leading axes, with and without bias."""
    rows, features, outputs = draw(_extents())
    lead = draw(st.sampled_from(_LEADS) | st.just((rows,)))
    dtype = draw(wanted.floats())
    bias = draw(grid((outputs,), dtype)) if draw(st.booleans()) else None
    return Case(op, (draw(grid((*lead, features), dtype)), draw(grid((outputs, features), dtype)), bias))


means({ops.matmul: np.matmul})

_X, _W = np.ones((2, 3), "float32"), np.ones((4, 3), "float32")

misuse(ops.matmul, ShapeError, _X, _W)
misuse(ops.matmul, ShapeError, _X, np.ones(3, "float32"))
misuse(ops.matmul, ShapeError, np.ones((2, 2, 3), "float32"), np.ones((3, 3, 2), "float32"))
misuse(ops.matmul, DTypeError, _X.astype("int32"), _W.T.astype("int32"))
misuse(ops.linear, ShapeError, np.ones((2, 4), "float32"), _W, None)
misuse(ops.linear, ShapeError, _X, _W, np.ones(3, "float32"))
misuse(ops.linear, ShapeError, _X, np.ones(3, "float32"), None)
misuse(ops.linear, DTypeError, _X, _W.astype("int32"), None)
