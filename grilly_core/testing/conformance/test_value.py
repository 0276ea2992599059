"""Shape, dtype and value of every op against what it means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.spec import Spec
from grilly_core.testing.blame import fail
from grilly_core.testing.case import Case, case_for
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import PLACES, dtypes_of, evaluate, expected, inferred
from grilly_core.testing.plugin import each_op, requires
from grilly_core.testing.tolerances import THROUGH_TIME, neuron_scales, value_tolerance


def check(backend: Backend, case: Case, how: str) -> None:
    """One call on the backend against its meaning."""
    wanted = expected(case)
    rule = inferred(case)
    assert rule == [Spec(y.shape, y.dtype.name) for y in wanted], (
        f"the shape rule of {case.op.name} says {rule}"
    )
    made = evaluate(case, backend, how=how)
    scales = neuron_scales(case.op.name, wanted) if case.op.name in THROUGH_TIME else None
    problem = first_difference("output", made, wanted, value_tolerance(case.op.name), scales)
    if problem:
        fail(case, backend, problem, lambda: evaluate(case, backend, how=how))


@each_op(lambda op, backend: True)
@given(data=st.data())
def test_value(backend: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, dtypes_of(backend) - {"float64"}))
    check(backend, case, data.draw(st.sampled_from(PLACES)))


@requires("float64")
@each_op(lambda op, backend: _takes_floats(op))
@given(data=st.data())
def test_value_float64(backend: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, {"float64"}))
    check(backend, case, data.draw(st.sampled_from(PLACES)))


def _takes_floats(op: Op) -> bool:
    return op.name not in ("logical_and", "logical_or", "logical_not", "random_bits")
