"""Cases of ``ops.neuron_vjp`` and ``ops.neuron_rules``: potentials on both sides of, and exactly at, the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.op import Op
from grilly_core.surrogate import ATan
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.cases.neuron import STEPS, constants, decay
from grilly_core.testing.strategies import fit, grid, shapes


@case_of(ops.if_multi_step_vjp, ops.lif_multi_step_vjp, ops.plif_multi_step_vjp)
def multi_step_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without gradients at the last v and at H."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    whole = (draw(st.sampled_from(STEPS)), *shape)
    g_s, h = draw(grid(whole, dtype)), draw(grid(whole, dtype))
    g_v = draw(grid(shape, dtype)) if draw(st.booleans()) else None
    g_h = draw(grid(whole, dtype)) if draw(st.booleans()) else None
    args: tuple[Any, ...] = (g_s, g_v, g_h, h)
    if "k" in op.inputs:
        args = (*args, draw(grid(whole, dtype)), draw(grid(shape, dtype)), *decay(draw, op, dtype))
    return Case(op, args, draw(constants(op)))


@case_of(ops.if_multi_step_recompute_vjp, ops.lif_multi_step_recompute_vjp, ops.plif_multi_step_recompute_vjp)
def multi_step_recompute_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """From x and v, with and without a gradient at the last v."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    whole = (draw(st.sampled_from(STEPS)), *shape)
    g_v = draw(grid(shape, dtype)) if draw(st.booleans()) else None
    args = (draw(grid(whole, dtype)), g_v, draw(grid(whole, dtype)), draw(grid(shape, dtype)))
    return Case(op, (*args, *decay(draw, op, dtype)), draw(constants(op)))


_G, _V, _K = np.ones((2, 3), "float32"), np.zeros(3, "float32"), np.array(0.5, "float32")
_ATTRS: dict[str, Any] = {"v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "surrogate": ATan()}

misuse(ops.if_multi_step_vjp, ShapeError, _G, None, None, _V, **_ATTRS)
misuse(ops.if_multi_step_vjp, ShapeError, _G, _G, None, _G, **_ATTRS)
misuse(ops.lif_multi_step_vjp, ShapeError, _G[:1], None, None, _G, k=0.5, decay_input=True, **_ATTRS)
misuse(ops.plif_multi_step_vjp, ShapeError, _G, _G, None, _G, _G, _V, _K, decay_input=True, **_ATTRS)
misuse(ops.if_multi_step_recompute_vjp, ShapeError, _G, None, _G, _G, **_ATTRS)
misuse(ops.lif_multi_step_recompute_vjp, ShapeError, _G[:1], None, _G, _V, k=0.5, decay_input=True, **_ATTRS)
misuse(ops.plif_multi_step_recompute_vjp, ShapeError, _G, _G, _G, _V, _K, decay_input=True, **_ATTRS)
