"""NaN, infinities and signed zeros where the backend promises that they behave as IEEE 754 says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grilly_core import ops
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.testing.blame import fail
from grilly_core.testing.case import Case, case_for
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import dtypes_of, evaluate, expected
from grilly_core.testing.plugin import each_op, requires
from grilly_core.testing.strategies import seeds
from grilly_core.testing.tolerances import value_tolerance

_SPECIAL = np.array([np.nan, np.inf, 0.0, -0.0, -np.inf])
_OPS = (
    ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.abs, ops.maximum, ops.minimum, ops.exp, ops.log, ops.sqrt, ops.tanh,
    ops.atan, ops.floor, ops.round, ops.sigmoid, ops.relu, ops.greater, ops.greater_equal, ops.equal, ops.less,
    ops.less_equal, ops.not_equal, ops.where, ops.max, ops.argmax, ops.spike, ops.max_pool2d, ops.if_step, ops.lif_step,
    ops.lif_multi_step,
)  # fmt: skip


def _strewn(case: Case, rng: np.random.Generator) -> Case:
    """The case with special values here and there in its float arguments."""
    # Padding is minus infinity: which of the two won a window that holds nothing else is not specified.
    values = _SPECIAL[:-1] if case.op is ops.max_pool2d else _SPECIAL
    args = []
    for arg in case.args:
        if arg is not None and arg.dtype.kind == "f":
            arg = np.where(rng.random(arg.shape) < 0.3, rng.choice(values, arg.shape), arg).astype(arg.dtype)
        args.append(arg)
    return Case(case.op, tuple(args), case.attrs)


@requires("ieee_special")
@each_op(lambda op, backend: op in _OPS)
@given(data=st.data())
def test_special_values(backend: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, dtypes_of(backend), gradient=op.differentiable))
    case = _strewn(case, np.random.default_rng(data.draw(seeds())))
    with np.errstate(all="ignore"):
        made, wanted = evaluate(case, backend), expected(case)
    problem = first_difference("output", made, wanted, value_tolerance(op.name))
    if problem:
        fail(case, backend, problem, lambda: evaluate(case, backend))
