"""Cases of ``ops.loss``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.spec import FLOATS
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid, seeds, shapes

_CLASSES = (1, 2, 3, 10, 64, 65, 257)


@st.composite
def rows(draw: DrawFn, wanted: Wanted) -> tuple[np.ndarray, int]:
    """Floats and one of their axes, not empty."""
    shape = list(draw(shapes(1)))
    axis = draw(st.integers(0, len(shape) - 1))
    shape[axis] = shape[axis] or 1
    return draw(grid(tuple(shape), draw(wanted.floats()))), axis


def _exp_sum(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    e = np.exp(x.astype("float64"))
    return e, e.sum(axis=axis, keepdims=True)


@case_of(ops.softmax, ops.log_softmax)
def softmax(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Along any axis."""
    x, axis = draw(rows(wanted))
    return Case(op, (x,), {"axis": axis})


@case_of(ops.softmax_vjp, ops.log_softmax_vjp)
def softmax_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With an output that the forward op can have given."""
    x, axis = draw(rows(wanted))
    e, total = _exp_sum(x, axis)
    y = e / total if op is ops.softmax_vjp else np.log(e / total)
    return Case(op, (draw(grid(x.shape, x.dtype.name)), y.astype(x.dtype)), {"axis": axis})


@case_of(ops.one_hot)
def one_hot(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Labels of any shape, some outside the classes."""
    classes = draw(st.sampled_from(_CLASSES))
    shape = draw(shapes(0, 2, most=4000 // classes))
    labels = np.random.default_rng(draw(seeds())).integers(-1, classes + 1, shape)
    return Case(
        op, (labels.astype("int32"),), {"classes": classes, "dtype": draw(wanted.dtype((*FLOATS, "int32")))}
    )


@case_of(ops.cross_entropy)
def cross_entropy(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without smoothing, every reduction."""
    count, classes = draw(st.sampled_from((1, 2, 5, 65))), draw(st.sampled_from(_CLASSES))
    labels = np.random.default_rng(draw(seeds())).integers(0, classes, count).astype("int32")
    attrs = {
        "label_smoothing": draw(st.sampled_from((0.0, 0.125))),
        "reduction": draw(st.sampled_from(("mean", "sum", "none"))),
    }
    return Case(op, (draw(grid((count, classes), draw(wanted.floats()))), labels), attrs)


@case_of(ops.mse_loss)
def mse_loss(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Every reduction."""
    shape, dtype = draw(shapes(empty=False)), draw(wanted.floats())
    reduction = draw(st.sampled_from(("mean", "sum", "none")))
    return Case(op, (draw(grid(shape, dtype)), draw(grid(shape, dtype))), {"reduction": reduction})


_X, _LABELS = np.ones((2, 3), "float32"), np.zeros(2, "int32")

for _op in (ops.softmax, ops.log_softmax):
    misuse(_op, ShapeError, _X, axis=2)
    misuse(_op, DTypeError, _X.astype("int32"), axis=1)
    misuse(_op, ShapeError, _X[:, :0], axis=1)
for _op in (ops.softmax_vjp, ops.log_softmax_vjp):
    misuse(_op, ShapeError, _X, np.ones(4, "float32"), axis=1)
    misuse(_op, DTypeError, _X, _X.astype("int32"), axis=1)
misuse(ops.one_hot, DTypeError, _X, classes=3)
misuse(ops.one_hot, ArgumentError, _LABELS, classes=0)
misuse(ops.cross_entropy, ShapeError, _X, np.zeros(3, "int32"))
misuse(ops.cross_entropy, DTypeError, _X, _X[:, 0])
misuse(ops.cross_entropy, ArgumentError, _X, _LABELS, label_smoothing=1.0)
misuse(ops.cross_entropy, ArgumentError, _X, _LABELS, reduction="average")
misuse(ops.mse_loss, ShapeError, _X, _X[0])
misuse(ops.mse_loss, ArgumentError, _X, _X, reduction="average")
