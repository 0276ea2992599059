"""Cases of ``ops.compare``."""

from __future__ import annotations

import numpy as np
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import broadcast_shapes, grid, shapes

_COMPARE = (ops.greater, ops.greater_equal, ops.equal, ops.less, ops.less_equal, ops.not_equal)
_LOGIC = (ops.logical_and, ops.logical_or)


@case_of(*_COMPARE)
def comparison(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any dtype, with ties."""
    dtype = draw(wanted.dtype())
    x, y = draw(broadcast_shapes(2))
    return Case(op, (draw(grid(x, dtype, low=-1.0, high=1.0)), draw(grid(y, dtype, low=-1.0, high=1.0))))


@case_of(*_LOGIC)
def logic(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Two bools that broadcast."""
    x, y = draw(broadcast_shapes(2))
    return Case(op, (draw(grid(x, "bool")), draw(grid(y, "bool"))))


@case_of(ops.logical_not)
def logical_not(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One bool."""
    return Case(op, (draw(grid(draw(shapes()), "bool")),))


@case_of(ops.where)
def where(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """A condition and two of any dtype."""
    dtype = draw(wanted.dtype())
    condition, x, y = draw(broadcast_shapes(3))
    return Case(op, (draw(grid(condition, "bool")), draw(grid(x, dtype)), draw(grid(y, dtype))))


means(
    {ops.greater: np.greater, ops.greater_equal: np.greater_equal, ops.equal: np.equal, ops.where: np.where}
)

_X, _Y, _FLAG = np.ones((2, 3), "float32"), np.ones(4, "float32"), np.ones((2, 3), bool)

for _op in _COMPARE:
    misuse(_op, ShapeError, _X, _Y)
    misuse(_op, DTypeError, _X, _FLAG)
for _op in _LOGIC:
    misuse(_op, DTypeError, _X, _FLAG)
    misuse(_op, ShapeError, _FLAG, np.ones(4, bool))
misuse(ops.logical_not, DTypeError, _X)
misuse(ops.where, DTypeError, _X, _X, _X)
misuse(ops.where, ShapeError, _FLAG, _X, _Y)
misuse(ops.where, DTypeError, _FLAG, _X, np.ones((2, 3), "int32"))
