"""Cases of ``ops.legacy``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.surrogate import ATan
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.cases.neuron import surrogates
from grilly_core.testing.strategies import Shape, fit, grid, on_grid, seeds, shapes


@case_of(ops.lif_neuron)
def lif_neuron(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Some neurons are refractory."""
    shape, dtype = draw(shapes()), draw(wanted.floats())
    waits = np.random.default_rng(draw(seeds())).integers(0, 3, shape).astype(dtype)
    attrs = {
        "threshold": draw(st.sampled_from((1.0, 0.5))),
        "decay": draw(st.sampled_from((0.5, 0.75, 0.0, 1.0))),
        "refractory": draw(st.sampled_from((0, 1, 3))),
    }
    return Case(op, (draw(grid(shape, dtype)), draw(grid(shape, dtype)), waits), attrs)


@case_of(ops.gif_neuron)
def gif_neuron(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Adapted neurons, that fire at their own thresholds."""
    shape, dtype = draw(shapes()), draw(wanted.floats())
    attrs = {
        "v_threshold": draw(st.sampled_from((1.0, 0.5))),
        "decay": draw(st.sampled_from((0.5, 0.75, 1.0))),
        "tau_eta": draw(st.sampled_from((20.0, 3.0))),
        "tau_gamma": draw(st.sampled_from((20.0, 0.5))),
        "a": draw(st.sampled_from((0.25, 0.0, 0.1))),
        "b": draw(st.sampled_from((0.5, 0.1))),
    }
    adapted = [draw(grid(shape, dtype, low=0.0, high=1.0)) for _ in range(2)]
    return Case(op, (draw(grid(shape, dtype)), draw(grid(shape, dtype)), *adapted), attrs)


def _sequence(draw: DrawFn) -> Shape:
    return (draw(st.sampled_from((1, 2, 7, 9))), *fit(draw(shapes(0, 3)), 430))


@case_of(ops.readout)
def readout(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """All modes, over one and several steps."""
    x = draw(grid(_sequence(draw), draw(wanted.floats())))
    return Case(op, (x,), {"mode": draw(st.sampled_from(("mean", "max", "sum")))})


@case_of(ops.continuous_to_spike)
def continuous_to_spike(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Numbers inside [0, 1] and outside, on the grid and beside it."""
    shape, dtype = fit(draw(shapes(0, 3)), 300), draw(wanted.floats())
    x = on_grid(np.random.default_rng(draw(seeds())), shape, dtype, low=-0.25, high=1.25)
    factor = draw(st.sampled_from((1.0, 0.3)))
    return Case(op, ((x * factor).astype(dtype),), {"steps": draw(st.sampled_from((1, 2, 7, 10)))})


@case_of(ops.surrogate_gradient)
def surrogate_gradient(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Every built-in surrogate."""
    u = draw(grid(draw(shapes()), draw(wanted.floats()), low=-1.0, high=1.0))
    return Case(op, (u,), {"surrogate": draw(surrogates())})


_X, _V = np.ones((2, 3), "float32"), np.zeros(3, "float32")

misuse(ops.lif_neuron, ShapeError, _X, _V, _X)
misuse(ops.lif_neuron, ShapeError, _X, _X, _V)
misuse(ops.lif_neuron, ArgumentError, _X, _X, _X, refractory=-1)
misuse(ops.lif_neuron, ArgumentError, _X, _X, _X, decay=float("inf"))
misuse(ops.lif_neuron, DTypeError, *[_X.astype("int32")] * 3)
misuse(ops.gif_neuron, ShapeError, _X, _X, _V, _X)
misuse(ops.gif_neuron, ShapeError, _X, _X, _X, _V)
misuse(ops.gif_neuron, ArgumentError, _X, _X, _X, _X, tau_eta=0.0)
misuse(ops.gif_neuron, ArgumentError, _X, _X, _X, _X, v_threshold=float("nan"))
misuse(ops.readout, ArgumentError, _X, mode="median")
misuse(ops.readout, ShapeError, _X[:0])
misuse(ops.readout, DTypeError, _X.astype("int32"))
misuse(ops.continuous_to_spike, ArgumentError, _X, steps=0)
misuse(ops.continuous_to_spike, DTypeError, _X.astype("int32"), steps=2)
misuse(ops.surrogate_gradient, ArgumentError, _X, surrogate="atan")
misuse(ops.surrogate_gradient, DTypeError, _X.astype("int32"), surrogate=ATan())
