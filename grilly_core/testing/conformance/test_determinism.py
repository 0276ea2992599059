"""The same call twice gives the same bits, on numbers whose sums depend on the order of additions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grilly_core import ops
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.testing.case import Case, case_for
from grilly_core.testing.evaluate import dtypes_of, evaluate
from grilly_core.testing.plugin import each_op, requires

_FACTOR = 1.0123457


def _off_grid(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return [_off_grid(item) for item in arg]
    return arg if arg is None or arg.dtype.kind != "f" else arg * arg.dtype.type(_FACTOR)


def _twice(backend: Backend, case: Case) -> None:
    rounded = Case(case.op, tuple(_off_grid(arg) for arg in case.args), case.attrs)
    first, second = evaluate(rounded, backend), evaluate(rounded, backend)
    for i, (one, other) in enumerate(zip(first, second, strict=True)):
        assert one.tobytes() == other.tobytes(), f"{case.op.name}: output {i} has other bits the second time"


@each_op(lambda op, backend: op is not ops.scatter_add)
@given(data=st.data())
def test_determinism(backend: Backend, op: Op, data: st.DataObject) -> None:
    _twice(backend, data.draw(case_for(op, dtypes_of(backend))))


@requires("deterministic_scatter")
@pytest.mark.parametrize("op", [ops.scatter_add], ids=["scatter_add"])
@given(data=st.data())
def test_determinism_of_repeated_indices(backend: Backend, op: Op, data: st.DataObject) -> None:
    _twice(backend, data.draw(case_for(op, dtypes_of(backend))))
