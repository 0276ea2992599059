"""Neurons on real numbers over 32 steps: only where the potential is as good as at the threshold may a spike differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grilly_core import ops
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.spec import FLOATS
from grilly_core.surrogate import ATan
from grilly_core.testing.case import Case
from grilly_core.testing.evaluate import dtypes_of, evaluate
from grilly_core.testing.plugin import each_op
from grilly_core.testing.strategies import dtype_of, reals, shapes
from grilly_core.testing.tolerances import MARGIN

STEPS = 32
_OPS = (ops.if_multi_step, ops.lif_multi_step, ops.plif_multi_step)


@st.composite
def populations(draw: st.DrawFn, op: Op, dtypes: frozenset[str]) -> Case:
    """A population under noise that makes it fire now and then; every constant may be any number."""
    dtype, shape = draw(dtype_of(dtypes, FLOATS)), draw(shapes(0, 2, most=300))
    x, v = draw(reals((STEPS, *shape), dtype)) + np.array(0.3, dtype), draw(reals(shape, dtype, scale=0.3))
    k = draw(st.floats(0.05, 1.0))
    attrs: dict[str, Any] = {
        "k": k,
        "v_threshold": draw(st.floats(0.5, 1.5)),
        "v_reset": draw(st.none() | st.floats(-0.5, 0.2)),
        "decay_input": draw(st.booleans()),
        "surrogate": ATan(),
        "save_h": True,
    }
    args: tuple[Any, ...] = (x, v, np.array(k, dtype)) if "k" in op.inputs else (x, v)
    return Case(op, args, {name: value for name, value in attrs.items() if name in op.attributes})


@each_op(lambda op, backend: op in _OPS)
@given(data=st.data())
def test_spikes_up_to_the_margin(backend: Backend, reference: Backend, op: Op, data: st.DataObject) -> None:
    case = data.draw(populations(op, dtypes_of(backend)))
    spikes, _, h = evaluate(case, backend)
    right, _, h_right = evaluate(case, reference, body=True)
    margin = MARGIN[h_right.dtype.name]
    doubtful = np.abs(h_right - case.attrs["v_threshold"]) < margin
    sure = ~np.logical_or.accumulate(doubtful, axis=0)
    wrong = (spikes != right) & sure
    assert not wrong.any(), f"{op.name}: {wrong.sum()} spikes differ, the first at {np.argwhere(wrong)[0]}"
    apart = np.abs(h - h_right, dtype="float64")[sure].max(initial=0.0)
    assert apart < margin, f"{op.name}: potentials differ by {apart} where no spike was in doubt"
