"""Cases of ``ops.indexing``."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import NUMBERS, Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import fit, grid, seeds, shapes


def _indexed(draw: DrawFn) -> tuple[tuple[int, ...], int, np.ndarray]:
    """A shape, an axis of it, and indices into that axis, repeated ones among them."""
    shape = fit(draw(shapes(1, 3)), 600)
    axis = draw(st.integers(0, len(shape) - 1))
    rest = max(1, int(np.prod(shape)) // max(1, shape[axis]))
    wanted = fit(draw(shapes(0, 2)), max(1, 6000 // rest)) if shape[axis] else (0,)
    rng = np.random.default_rng(draw(seeds()))
    return shape, axis, rng.integers(0, max(1, shape[axis]), wanted).astype("int32")


@case_of(ops.gather)
def gather(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any dtype; indices within the axis (outside it the result is unspecified)."""
    shape, axis, index = _indexed(draw)
    return Case(op, (draw(grid(shape, draw(wanted.dtype()))), index), {"axis": axis})


@case_of(ops.scatter_add)
def scatter_add(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Numbers; on the grid their sums are exact in any order."""
    shape, axis, index = _indexed(draw)
    dtype = draw(wanted.dtype(NUMBERS))
    src = (*shape[:axis], *index.shape, *shape[axis + 1 :])
    return Case(op, (draw(grid(shape, dtype)), index, draw(grid(src, dtype))), {"axis": axis})


def _scatter_add(x: np.ndarray, index: np.ndarray, src: np.ndarray, *, axis: int) -> np.ndarray:
    out = x.copy()
    where: Any = (*[slice(None)] * axis, index)
    np.add.at(out, where, src)
    return out


means({ops.gather: lambda x, index, *, axis: np.take(x, index, axis=axis), ops.scatter_add: _scatter_add})

_X, _AT = np.ones((4, 3), "float32"), np.zeros(2, "int32")

misuse(ops.gather, ShapeError, _X, _AT, axis=2)
misuse(ops.gather, DTypeError, _X, _AT.astype("float32"), axis=0)
misuse(ops.gather, ShapeError, np.ones((0, 3), "float32"), _AT, axis=0)
misuse(ops.scatter_add, ShapeError, _X, _AT, np.ones((3, 3), "float32"), axis=0)
misuse(ops.scatter_add, DTypeError, _X, _AT, np.ones((2, 3), "int32"), axis=0)
misuse(ops.scatter_add, DTypeError, _X, _AT.astype("float32"), np.ones((2, 3), "float32"), axis=0)
