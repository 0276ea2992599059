"""Cases of ``ops.neuron_more``, ``ops.neuron_more_vjp`` and ``ops.neuron_kinds``: values and constants on the grid.

Nonlinear neurons run away from large potentials: theirs are small, their sequences short, and after a spike they are reset
to a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.surrogate import ATan
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.cases.neuron import STEPS, constants
from grilly_core.testing.strategies import fit, grid, shapes

_CHOICES: dict[str, tuple[Any, ...]] = {
    "rate": (0.5, 0.25, 1.0),
    "c_decay": (0.5, 0.25, 0.0),
    "v_decay": (0.5, 0.75, 1.0),
    "a_decay": (0.5, 0.75, 1.0),
    "beta": (0.5, 0.25, -0.25),
    "v_c": (0.5, 0.75),
    "a0": (1.0, 0.5),
    "v_rest": (0.0, -0.25),
    "w_rate": (0.5, 1.0),
    "a": (0.5, 0.0),
    "b": (0.25, 0.0),
    "delta_t": (1.0, 0.5),
    "theta_rh": (0.75, 0.5),
    "max_spike_count": (1, 2, 4),
    "save_v": (False, True),
}


def _attributes(draw: DrawFn, op: Op) -> dict[str, Any]:
    """The attributes of ``op``, those of all neurons among them."""
    own = {name: draw(st.sampled_from(some)) for name, some in _CHOICES.items() if name in op.attributes}
    return {**draw(constants(op)), **own}


def _slopes(draw: DrawFn, op: Op, dtype: str) -> tuple[np.ndarray | None, ...]:
    """k and its inverse for the neurons that have them."""
    if "k" not in op.inputs:
        return ()
    k, inverse = draw(st.sampled_from(((1.0, 1.0), (0.5, 2.0), (2.0, 0.5), (-0.5, -2.0))))
    return np.array(k, dtype), np.array(inverse, dtype) if draw(st.booleans()) else None


@case_of(ops.klif_multi_step, ops.cuba_lif_multi_step, ops.alif_multi_step)
def multi_step(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One, two and seven steps."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    states = [draw(grid(shape, dtype)) for name in op.inputs if name in ("v", "c", "a")]
    args = (draw(grid((draw(st.sampled_from(STEPS)), *shape), dtype)), *states, *_slopes(draw, op, dtype))
    return Case(op, args, _attributes(draw, op))


@case_of(ops.klif_multi_step_vjp, ops.cuba_lif_multi_step_vjp, ops.alif_multi_step_vjp)
def multi_step_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without gradients at the last states and at v of every step."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    whole = (draw(st.sampled_from(STEPS)), *shape)
    args: list[Any] = []
    for name in op.inputs[:-2] if "k" in op.inputs else op.inputs:
        array = draw(grid(whole if name in ("g_s", "g_seq", "x") else shape, dtype))
        args.append(None if name in ("g_v", "g_c", "g_a", "g_seq") and draw(st.booleans()) else array)
    return Case(op, (*args, *_slopes(draw, op, dtype)), _attributes(draw, op))


@case_of(
    ops.qif_multi_step, ops.eif_multi_step, ops.izhikevich_multi_step, ops.ilif_multi_step, ops.ternary_lif_multi_step
)  # fmt: skip
def kinds(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One, two and three steps."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    steps = draw(st.sampled_from((1, 2, 3)))
    rows = [(steps, *shape), *(shape for _ in op.inputs[1:])]
    args = tuple([draw(grid(row, dtype, low=-1.0, high=1.0)) for row in rows])
    attrs = _attributes(draw, op)
    if "v_reset" in attrs:
        attrs["v_reset"] = draw(st.sampled_from((0.0, -0.125)))
    return Case(op, args, attrs)


_X, _V, _K = np.ones((2, 3), "float32"), np.zeros(3, "float32"), np.array(0.5, "float32")
_FIRE: dict[str, Any] = {"v_threshold": 1.0, "v_reset": 0.0, "surrogate": ATan()}
_BACK: dict[str, Any] = {**_FIRE, "detach_reset": False}
_KLIF: dict[str, Any] = {**_FIRE, "rate": 0.5}
_CUBA: dict[str, Any] = {**_FIRE, "c_decay": 0.5, "v_decay": 0.5}
_ALIF: dict[str, Any] = {**_KLIF, "a_decay": 0.5, "beta": 0.5}
_QIF: dict[str, Any] = {**_KLIF, "v_c": 0.5, "a0": 1.0, "v_rest": 0.0}
_EIF: dict[str, Any] = {**_KLIF, "delta_t": 1.0, "theta_rh": 0.5, "v_rest": 0.0}

misuse(ops.klif_multi_step, ShapeError, _X, _X, _K, None, **_KLIF)
misuse(ops.klif_multi_step, ShapeError, _X, _V, _V, None, **_KLIF)
misuse(ops.klif_multi_step, ShapeError, _X, _V, _K, _V, **_KLIF)
misuse(ops.klif_multi_step, ArgumentError, _X, _V, _K, None, **{**_KLIF, "rate": 1.5})
misuse(
    ops.klif_multi_step_vjp, ShapeError, _V, None, None, _X, _V, _K, None, decay_input=True, rate=0.5, **_BACK
)
misuse(ops.cuba_lif_multi_step, ShapeError, _X, _V, _V[:2], **_CUBA)
misuse(ops.cuba_lif_multi_step, ShapeError, _X[:0], _V, _V, **_CUBA)
misuse(ops.cuba_lif_multi_step, ArgumentError, _X, _V, _V, **{**_CUBA, "c_decay": 1.5})
misuse(
    ops.cuba_lif_multi_step_vjp, ShapeError, _X, _X, None, None, _X, _V, _V, c_decay=0.5, v_decay=0.5, **_BACK
)
misuse(ops.alif_multi_step, ShapeError, _X, _V, _X, **_ALIF)
misuse(ops.alif_multi_step, ArgumentError, _X, _V, _V, **{**_ALIF, "a_decay": -0.5})
misuse(
    ops.alif_multi_step_vjp, ShapeError, _X, None, _X, None, _X, _V, _V,
    rate=0.5, decay_input=True, a_decay=0.5, beta=0.5, **_BACK,
)  # fmt: skip
misuse(ops.qif_multi_step, ShapeError, _X, _X, **_QIF)
misuse(ops.qif_multi_step, DTypeError, _X.astype("int32"), _V.astype("int32"), **_QIF)
misuse(ops.eif_multi_step, ArgumentError, _X, _V, **{**_EIF, "delta_t": 0.0})
misuse(ops.izhikevich_multi_step, ArgumentError, _X, _V, _V, w_rate=2.0, a=0.0, b=0.0, **_QIF)
misuse(ops.ilif_multi_step, ArgumentError, _X, _V, rate=0.5, max_spike_count=0)
misuse(ops.ternary_lif_multi_step, ArgumentError, _X, _V, **{**_KLIF, "v_reset": -1.0})
