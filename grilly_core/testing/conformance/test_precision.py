"""Products of real numbers in float32: numbers of the grid are exact in half precision too and would not show it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grilly_core import ops
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.testing.blame import fail
from grilly_core.testing.case import Case, case_for
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import evaluate, expected
from grilly_core.testing.plugin import each_op
from grilly_core.testing.strategies import seeds
from grilly_core.testing.tolerances import Tolerance

_OPS = (ops.matmul, ops.linear, ops.conv1d, ops.conv2d, ops.conv2d_input_vjp, ops.conv2d_weight_vjp)
_SINGLE = Tolerance(2e-6)
"""Relative to the sum of the magnitudes of the products: a few roundings of float32, a hundredth of half precision's."""


def _each(case: Case, change: Any) -> Case:
    return Case(case.op, tuple(arg if arg is None else change(arg) for arg in case.args), case.attrs)


@each_op(lambda op, backend: op in _OPS)
@given(data=st.data())
def test_precision(backend: Backend, op: Op, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(seeds()))
    drawn = data.draw(case_for(op, {"float32"}))
    case = _each(drawn, lambda arg: rng.standard_normal(arg.shape).astype("float32"))
    exact = _each(case, lambda arg: arg.astype("float64"))
    wanted = [result.astype("float32") for result in expected(exact)]
    scales = expected(_each(exact, np.abs))
    problem = first_difference("output", evaluate(case, backend), wanted, _SINGLE, scales)
    if problem:
        fail(case, backend, problem, lambda: evaluate(case, backend))
