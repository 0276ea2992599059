"""Cases of ``ops.elementwise``."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import NUMBERS, Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import GRID, LIMIT, Shape, broadcast_shapes, grid, reals, shapes

_BINARY = (ops.add, ops.sub, ops.mul, ops.maximum, ops.minimum)
_FUNCTIONS = (ops.exp, ops.tanh, ops.atan, ops.sigmoid, ops.erf)
_CASTS = (
    ("float32", "int32"),
    ("int32", "float32"),
    ("float32", "bool"),
    ("bool", "float32"),
    ("uint32", "float32"),
)


def _floats(draw: DrawFn, shape: Shape, dtype: str, low: float = -LIMIT) -> np.ndarray:
    """On the grid or anywhere: results of functions lie off the grid anyway."""
    if draw(st.booleans()):
        return draw(grid(shape, dtype, low=low))
    anywhere = draw(reals(shape, dtype, scale=1.5)).clip(-LIMIT, LIMIT)
    return anywhere if low < 0 else np.asarray(np.abs(anywhere) + anywhere.dtype.type(low))


@case_of(*_BINARY)
def binary(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Numbers that broadcast."""
    dtype = draw(wanted.dtype(NUMBERS))
    x, y = draw(broadcast_shapes(2))
    return Case(op, (draw(grid(x, dtype)), draw(grid(y, dtype))))


@case_of(ops.div)
def div(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Floats over anything but 0."""
    dtype = draw(wanted.floats())
    x, y = draw(broadcast_shapes(2))
    negative = draw(st.booleans())
    divisor = _floats(draw, y, dtype, low=GRID)
    return Case(op, (_floats(draw, x, dtype), -divisor if negative else divisor))


@case_of(ops.neg, ops.abs, ops.square, ops.relu)
def number(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Numbers of any kind."""
    return Case(op, (draw(grid(draw(shapes()), draw(wanted.dtype(NUMBERS)))),))


@case_of(*_FUNCTIONS, ops.floor, ops.round)
def unary(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Floats of either sign; halves, which round to even, are on the grid."""
    return Case(op, (_floats(draw, draw(shapes()), draw(wanted.floats())),))


@case_of(ops.log, ops.sqrt)
def positive(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Floats above 0; 0 itself where its root has no slope to ask for."""
    low = 0.0 if op is ops.sqrt and not wanted.gradient else GRID
    return Case(op, (_floats(draw, draw(shapes()), draw(wanted.floats()), low),))


@case_of(ops.cast)
def cast(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any dtype to any other; what does not fit (a negative number in uint32) is unspecified."""
    usual = [pair for pair in _CASTS if wanted.dtypes.issuperset(pair)]
    any_pair = st.tuples(wanted.dtype(), wanted.dtype())
    source, target = draw(st.sampled_from(usual) | any_pair if usual else any_pair)
    low = 0.0 if target == "uint32" else -LIMIT
    return Case(op, (draw(grid(draw(shapes()), source, low=low)),), {"dtype": target})


@case_of(ops.clip)
def clip(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Limits on the grid, so that elements meet them."""
    low, high = sorted(draw(st.tuples(*[st.sampled_from((-1.0, -0.5, 0.0, 0.25, 1.0))] * 2)))
    return Case(op, (draw(grid(draw(shapes()), draw(wanted.floats()))),), {"low": low, "high": high})


@case_of(ops.power)
def power(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Whole exponents of any number, others of positive ones."""
    exponent = draw(st.sampled_from((2, 3, 1, 0, -1, -2, 5, 0.5, 1.5, -0.5, 2.0)))
    low = -LIMIT if exponent >= 0 and exponent == int(exponent) else GRID
    return Case(op, (_floats(draw, draw(shapes()), draw(wanted.floats()), low),), {"exponent": exponent})


def _cast(x: np.ndarray, *, dtype: str) -> Any:
    return x != 0 if dtype == "bool" else x.astype(dtype)


means(
    {
        ops.add: np.add,
        ops.sub: np.subtract,
        ops.mul: np.multiply,
        ops.div: np.divide,
        ops.neg: np.negative,
        ops.abs: np.abs,
        ops.maximum: np.maximum,
        ops.minimum: np.minimum,
        ops.exp: np.exp,
        ops.log: np.log,
        ops.sqrt: np.sqrt,
        ops.tanh: np.tanh,
        ops.atan: np.arctan,
        ops.floor: np.floor,
        ops.round: np.rint,
        ops.cast: _cast,
    }
)

_X, _Y, _FLAG, _WHOLE = (
    np.ones((2, 3), "float32"),
    np.ones(4, "float32"),
    np.ones(2, bool),
    np.ones(3, "int32"),
)

for _op in (*_BINARY, ops.div):
    misuse(_op, ShapeError, _X, _Y)
    misuse(_op, DTypeError, _X, _WHOLE)
    misuse(_op, DTypeError, _FLAG, _FLAG)
misuse(ops.div, DTypeError, _WHOLE, _WHOLE)
for _op in (ops.neg, ops.abs, ops.square, ops.relu):
    misuse(_op, DTypeError, _FLAG)
for _op in (*_FUNCTIONS, ops.floor, ops.round, ops.log, ops.sqrt):
    misuse(_op, DTypeError, _WHOLE)
misuse(ops.clip, DTypeError, _WHOLE, low=0.5, high=1.0)
misuse(ops.power, ArgumentError, _X, exponent="2")
misuse(ops.cast, DTypeError, _X, dtype="float16")
misuse(ops.cast, ArgumentError, _X)
