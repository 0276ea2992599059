"""Gradients of every differentiable op, through ``backward`` with arrays of the grid arriving."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.spec import FLOATS
from grilly_core.testing.blame import fail
from grilly_core.testing.case import Case, case_for
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import PLACES, dtypes_of, evaluate, float_arguments, gradients
from grilly_core.testing.plugin import each_op
from grilly_core.testing.strategies import grid
from grilly_core.testing.tolerances import NEURONS, gradient_tolerance, neuron_scales

_BY_RULE = ("relu",)
"""Composites whose gradient where the body has two (a tie) is what their rule says."""


@st.composite
def arriving(draw: st.DrawFn, case: Case, reference: Backend) -> list[np.ndarray | None]:
    """What arrives at each output: an array of the grid, at some of several nothing."""
    outputs = evaluate(case, reference)
    through = [
        i for i, y in enumerate(outputs) if y.dtype.name in FLOATS and i not in case.op.constant_outputs
    ]
    chosen = draw(st.sets(st.sampled_from(through), min_size=1))
    return [draw(grid(y.shape, y.dtype.name)) if i in chosen else None for i, y in enumerate(outputs)]


@each_op(lambda op, backend: op.differentiable)
@given(data=st.data())
def test_gradient(backend: Backend, reference: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, dtypes_of(backend), gradient=True))
    cotangents = data.draw(arriving(case, reference))
    wanted = float_arguments(case)
    if op.name not in NEURONS:  # their gradients at x and v are the scale of the one at k
        wanted = sorted(data.draw(st.sets(st.sampled_from(wanted), min_size=1)))
    how = data.draw(st.sampled_from(PLACES))
    body = backend is reference and op.body is not None and op.name not in _BY_RULE
    right = gradients(case, reference, cotangents, wanted, body=body)
    made = gradients(case, backend, cotangents, wanted, how=how)
    scales = neuron_scales(op.name, right) if op.name in NEURONS else None
    problem = first_difference("gradient", made, right, gradient_tolerance(op.name), scales)
    if problem:
        fail(case, backend, problem, lambda: gradients(case, backend, cotangents, wanted, how=how))
