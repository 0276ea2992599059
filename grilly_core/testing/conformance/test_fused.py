"""Each composite that has a kernel against its own body on the same backend: the kernel alone, whatever the device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.plugins import kernel_for
from grilly_core.testing.blame import fail
from grilly_core.testing.case import case_for
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import dtypes_of, evaluate
from grilly_core.testing.plugin import each_op
from grilly_core.testing.tolerances import THROUGH_TIME, neuron_scales, value_tolerance


@each_op(lambda op, backend: op.body is not None and kernel_for(op, backend) is not None)
@given(data=st.data())
def test_fused(backend: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, dtypes_of(backend)))
    made, wanted = evaluate(case, backend), evaluate(case, backend, body=True)
    scales = neuron_scales(op.name, wanted) if op.name in THROUGH_TIME else None
    problem = first_difference("output", made, wanted, value_tolerance(op.name), scales)
    if problem:
        fail(case, backend, f"kernel and body: {problem}", lambda: evaluate(case, backend, body=True))
