"""Cases of ``ops.neuron``: values, constants and factors on the grid, so that up to 7 steps are exact in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.surrogate import (
    ATan,
    Erf,
    FastSigmoid,
    PiecewiseExp,
    PiecewiseQuadratic,
    Rect,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
)
from grilly_core.testing.case import Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import fit, grid, shapes

SURROGATES: tuple[Surrogate, ...] = (
    ATan(),
    Sigmoid(),
    FastSigmoid(),
    PiecewiseQuadratic(),
    PiecewiseExp(),
    SuperSpike(),
    Erf(),
    Rect(),
    StraightThrough(),
    ATan(alpha=4.0),
    Sigmoid(alpha=1.0),
    FastSigmoid(alpha=0.5),
    PiecewiseQuadratic(alpha=0.25),
    PiecewiseExp(alpha=2.0),
    SuperSpike(alpha=0.5),
    Erf(alpha=1.0),
    Rect(alpha=0.25),
)
"""All of them, with their usual width and another one."""

STEPS = (1, 2, 7)
_STATE = 1100


def surrogates() -> SearchStrategy[Surrogate]:
    """One of :data:`SURROGATES`."""
    return st.sampled_from(SURROGATES)


@st.composite
def constants(draw: DrawFn, op: Op) -> dict[str, Any]:
    """Attributes that ``op`` has among those of the neurons, all on the grid."""
    drawn: dict[str, Any] = {
        "k": draw(st.sampled_from((0.5, 0.25, 1.0))),
        "v_threshold": draw(st.sampled_from((1.0, 0.5, 0.25, 2.0))),
        "v_reset": draw(st.sampled_from((0.0, None, -0.25, 0.5))),
        "decay_input": draw(st.booleans()),
        "detach_reset": draw(st.booleans()),
        "surrogate": draw(surrogates()),
        "save_h": draw(st.booleans()),
    }
    return {name: value for name, value in drawn.items() if name in op.attributes}


def decay(draw: DrawFn, op: Op, dtype: str) -> tuple[np.ndarray, ...]:
    """The 0-d ``k`` of a parametric neuron, nothing for the others."""
    if "k" not in op.inputs:
        return ()
    return (np.array(draw(st.sampled_from((0.5, 0.25, 1.0))), dtype),)


@case_of(ops.spike)
def spike(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Often exactly 0."""
    u = draw(grid(draw(shapes()), draw(wanted.floats()), low=-1.0, high=1.0))
    return Case(op, (u,), {"surrogate": draw(surrogates())})


@case_of(ops.if_step, ops.lif_step, ops.plif_step)
def step(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One step of a population of any shape."""
    shape, dtype = draw(shapes()), draw(wanted.floats())
    args = (draw(grid(shape, dtype)), draw(grid(shape, dtype)), *decay(draw, op, dtype))
    return Case(op, args, draw(constants(op)))


@case_of(ops.if_multi_step, ops.lif_multi_step, ops.plif_multi_step)
def multi_step(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One, two and seven steps."""
    shape, dtype = fit(draw(shapes(0, 3)), _STATE), draw(wanted.floats())
    steps = draw(st.sampled_from(STEPS))
    args = (draw(grid((steps, *shape), dtype)), draw(grid(shape, dtype)), *decay(draw, op, dtype))
    return Case(op, args, draw(constants(op)))


means({ops.spike: lambda u, *, surrogate: (u >= 0).astype(u.dtype)})

_X, _V, _K = np.ones((2, 3), "float32"), np.zeros(3, "float32"), np.array(0.5, "float32")
_ATAN = ATan()

misuse(ops.spike, ArgumentError, _X, surrogate="atan")
misuse(ops.spike, DTypeError, _X.astype("int32"), surrogate=_ATAN)
for _op in (ops.if_step, ops.lif_step):
    _more = {"surrogate": _ATAN} | ({"k": 0.5} if _op is ops.lif_step else {})
    misuse(_op, ShapeError, _X, _V, **_more)
    misuse(_op, DTypeError, _X, _X.astype("int32"), **_more)
    misuse(_op, ArgumentError, _X, _X, **(_more | {"v_threshold": float("inf")}))
for _op in (ops.if_multi_step, ops.lif_multi_step):
    _more = {"surrogate": _ATAN} | ({"k": 0.5} if _op is ops.lif_multi_step else {})
    misuse(_op, ShapeError, _X, _X, **_more)
    misuse(_op, ShapeError, _X[:0], _V, **_more)
    misuse(_op, ArgumentError, _X, _V, **(_more | {"v_reset": float("nan")}))
misuse(ops.lif_step, ArgumentError, _X, _X, k=1.5, surrogate=_ATAN)
misuse(ops.lif_multi_step, ArgumentError, _X, _V, k=0.0, surrogate=_ATAN)
misuse(ops.plif_step, ShapeError, _X, _X, _V, surrogate=_ATAN)
misuse(ops.plif_step, ShapeError, _X, _V, _K, surrogate=_ATAN)
misuse(ops.plif_multi_step, ShapeError, _X, _V, _V, surrogate=_ATAN)
misuse(ops.plif_multi_step, ShapeError, _X, _X, _K, surrogate=_ATAN)
