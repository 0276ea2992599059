"""Cases of ``ops.synapse`` and ``ops.synapse_vjp``: values up to 1 and coefficients that are powers of two or so.

So few steps of so small values that the sums at coefficients are exact in float32, whatever their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import fit, grid, shapes

STEPS = (1, 2, 4)
_STATE = 1100


class _Drawn:
    """Shape and dtype of a case, and arrays of them."""

    def __init__(self, draw: DrawFn, wanted: Wanted) -> None:
        self.draw = draw
        self.shape, self.dtype = fit(draw(shapes(0, 3)), _STATE), draw(wanted.floats())
        self.steps = draw(st.sampled_from(STEPS))

    def rows(self, count: int | None = None) -> np.ndarray:
        """One array per step."""
        whole = (self.steps if count is None else count, *self.shape)
        array: np.ndarray = self.draw(grid(whole, self.dtype, low=-1.0, high=1.0))
        return array

    def state(self, low: float = -1.0) -> np.ndarray:
        """One array."""
        array: np.ndarray = self.draw(grid(self.shape, self.dtype, low=low, high=1.0))
        return array

    def maybe(self) -> np.ndarray | None:
        """A gradient at the last state, or none."""
        return self.state() if self.draw(st.booleans()) else None

    def number(self, *values: float) -> np.ndarray:
        """One of these, 0-d."""
        return np.array(self.draw(st.sampled_from(values)), self.dtype)

    def decay(self) -> np.ndarray:
        return self.number(0.5, 0.75, 1.0, 0.0)

    def coefficients(self) -> tuple[np.ndarray, ...]:
        """Both decays and both weights."""
        return (*(self.decay() for _ in range(2)), *(self.number(0.5, 1.0, -0.25) for _ in range(2)))

    def delay(self) -> int:
        return int(self.draw(st.sampled_from((0, 1, 3, 5))))


@case_of(ops.synapse_filter)
def synapse_filter(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Without a delay, and with one shorter and longer than the sequence."""
    drawn = _Drawn(draw, wanted)
    delay = drawn.delay()
    return Case(op, (drawn.rows(), drawn.state(), drawn.decay(), drawn.rows(delay) if delay else None))


@case_of(ops.synapse_filter_vjp)
def synapse_filter_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without the gradient at the decay."""
    drawn = _Drawn(draw, wanted)
    delay = drawn.delay()
    kept: tuple[Any, ...] = (None, None, None)
    if draw(st.booleans()):
        kept = (drawn.rows(), drawn.state(), drawn.rows(delay) if delay else None)
    return Case(op, (drawn.rows(), drawn.maybe(), drawn.decay(), *kept), {"delay": delay})


@case_of(ops.dual_timescale)
def dual_timescale(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Weights of either sign."""
    drawn = _Drawn(draw, wanted)
    return Case(op, (drawn.rows(), drawn.state(), drawn.state(), *drawn.coefficients()))


@case_of(ops.dual_timescale_vjp)
def dual_timescale_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without the gradients at the coefficients."""
    drawn = _Drawn(draw, wanted)
    arriving = (drawn.rows(), drawn.maybe(), drawn.maybe())
    kept = (drawn.rows(), drawn.state(), drawn.state()) if draw(st.booleans()) else (None, None, None)
    return Case(op, (*arriving, *drawn.coefficients(), *kept))


@case_of(ops.stp_synapse, ops.stp_synapse_vjp)
def stp_synapse(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Inputs below, at and above 0; u and r anywhere between 0 and 1."""
    drawn = _Drawn(draw, wanted)
    attrs = {name: draw(st.sampled_from((0.5, 1.0))) for name in ("decay_u", "decay_r")}
    arrays = (drawn.rows(), drawn.state(low=0.0), drawn.state(low=0.0))
    arriving = (drawn.rows(),) if op is ops.stp_synapse_vjp else ()
    return Case(op, (*arriving, *arrays), {**attrs, "use": draw(st.sampled_from((0.5, 0.25, 1.0)))})


_X, _Y, _D = np.ones((2, 3), "float32"), np.zeros(3, "float32"), np.array(0.5, "float32")
_STP: dict[str, Any] = {"decay_u": 0.5, "decay_r": 0.5, "use": 0.5}

misuse(ops.synapse_filter, ShapeError, _X, _X, _D, None)
misuse(ops.synapse_filter, ShapeError, _X[:0], _Y, _D, None)
misuse(ops.synapse_filter, ShapeError, _X, _Y, _Y, None)
misuse(ops.synapse_filter, ShapeError, _X, _Y, _D, _X[:, :2])
misuse(ops.synapse_filter, ShapeError, _X, _Y, _D, _X[:0])
misuse(ops.synapse_filter, DTypeError, *(a.astype("int32") for a in (_X, _Y, _D)), None)
misuse(ops.synapse_filter_vjp, ShapeError, _X, _X, _D, None, None, None, delay=0)
misuse(ops.synapse_filter_vjp, ShapeError, _X, None, _D, _X, None, None, delay=0)
misuse(ops.synapse_filter_vjp, ShapeError, _X, None, _D, _X, _Y, _X, delay=1)
misuse(ops.synapse_filter_vjp, ShapeError, _X, None, _D, _X, _Y, _X[:1], delay=0)
misuse(ops.synapse_filter_vjp, ArgumentError, _X, None, _D, None, None, None, delay=-1)
misuse(ops.dual_timescale, ShapeError, _X, _Y, _Y[:2], _D, _D, _D, _D)
misuse(ops.dual_timescale, ShapeError, _X, _Y, _Y, _D, _D, _D, _Y)
misuse(ops.dual_timescale_vjp, ShapeError, _X, None, _X, _D, _D, _D, _D, None, None, None)
misuse(ops.dual_timescale_vjp, ShapeError, _X, None, None, _D, _D, _D, _D, _X, _Y, None)
misuse(ops.stp_synapse, ShapeError, _X, _Y, _X, **_STP)
misuse(ops.stp_synapse, ArgumentError, _X, _Y, _Y, **{**_STP, "use": 1.5})
misuse(ops.stp_synapse, ArgumentError, _X, _Y, _Y, **{**_STP, "decay_r": float("nan")})
misuse(ops.stp_synapse_vjp, ShapeError, _X[:1], _X, _Y, _Y, **_STP)
