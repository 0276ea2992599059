"""Cases of ``ops.reduce``."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import NUMBERS, Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import axes, grid, shapes

_OVER_SOME = (ops.max, ops.mean, ops.var)


@case_of(ops.sum)
def sum_(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any axes, empty ones and none included."""
    shape = draw(shapes())
    attrs = {"axis": draw(axes(len(shape))), "keepdims": draw(st.booleans())}
    return Case(op, (draw(grid(shape, draw(wanted.dtype(NUMBERS)))),), attrs)


@case_of(*_OVER_SOME)
def over_some(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Axes that are not empty; another one may be."""
    shape = draw(shapes())
    axis = tuple(a for a in draw(axes(len(shape))) if shape[a])
    dtype = draw(wanted.dtype(NUMBERS) if op is ops.max else wanted.floats())
    return Case(op, (draw(grid(shape, dtype)),), {"axis": axis, "keepdims": draw(st.booleans())})


@case_of(ops.argmax)
def argmax(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One axis that is not empty, with ties."""
    shape = list(draw(shapes(1)))
    axis = draw(st.integers(0, len(shape) - 1))
    shape[axis] = shape[axis] or 1
    return Case(op, (draw(grid(tuple(shape), draw(wanted.dtype(NUMBERS)), low=-1, high=1)),), {"axis": axis})


def _sum(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    return x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype)


def _max(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    return x.max(axis=axis, keepdims=keepdims)


def _argmax(x: np.ndarray, *, axis: int) -> Any:
    return x.argmax(axis=axis).astype("int32")


means({ops.sum: _sum, ops.max: _max, ops.argmax: _argmax})

_X, _EMPTY, _FLAG = np.ones((2, 3), "float32"), np.ones((2, 0), "float32"), np.ones(2, bool)

for _op in (ops.sum, *_OVER_SOME):
    misuse(_op, ArgumentError, _X, axis=(1, 1))
    misuse(_op, DTypeError, _FLAG, axis=(0,))
for _op in (ops.sum, ops.max):
    misuse(_op, ShapeError, _X, axis=(2,))
for _op in _OVER_SOME:
    misuse(_op, ShapeError, _EMPTY, axis=(1,))
misuse(ops.argmax, ShapeError, _X, axis=2)
misuse(ops.argmax, ShapeError, _EMPTY, axis=1)
misuse(ops.argmax, ArgumentError, _X, axis=None)
