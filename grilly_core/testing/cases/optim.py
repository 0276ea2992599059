"""Cases of ``ops.optim``."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import GRID, Shape, fit, grid, shapes


@st.composite
def parameters(draw: DrawFn) -> list[Shape]:
    """Shapes of up to five parameters, 0-d and empty ones among them; now and then of none."""
    drawn = draw(st.lists(st.just(()) | shapes(0, 3), max_size=5))
    return [fit(shape, 1100) for shape in drawn]


def _group(draw: DrawFn, which: list[Shape], dtype: str, low: float = -1.0) -> list[np.ndarray]:
    return [draw(grid(shape, dtype, low=low, high=1.0)) for shape in which]


@case_of(ops.sgd_update)
def sgd_update(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without momentum, Nesterov's, decay; giving arrays away or not."""
    which, dtype = draw(parameters()), draw(wanted.floats())
    momentum = draw(st.sampled_from((0.0, 0.5, 0.9)))
    args = (
        _group(draw, which, dtype),
        _group(draw, which, dtype),
        _group(draw, which if momentum else [], dtype),
    )
    attrs = {
        "lr": draw(st.sampled_from((0.5, 0.1, 1e-3))),
        "momentum": momentum,
        "weight_decay": draw(st.sampled_from((0.0, 0.25, 1e-2))),
        "nesterov": draw(st.booleans()),
        "donate": draw(st.booleans()),
    }
    return Case(op, args, attrs)


@case_of(ops.adam_update)
def adam_update(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Both kinds of decay, early and late; squares above 0, as a moment that is not 0 leaves them."""
    which, dtype = draw(parameters()), draw(wanted.floats())
    args = (*[_group(draw, which, dtype) for _ in range(3)], _group(draw, which, dtype, low=GRID))
    attrs = {
        "lr": draw(st.sampled_from((0.0625, 1e-3))),
        "beta1": draw(st.sampled_from((0.9, 0.5))),
        "beta2": draw(st.sampled_from((0.999, 0.75))),
        "eps": draw(st.sampled_from((1e-8, 1e-3))),
        "weight_decay": draw(st.sampled_from((0.0, 0.01))),
        "decoupled": draw(st.booleans()),
        "step": draw(st.sampled_from((1, 2, 10, 5000))),
        "donate": draw(st.booleans()),
    }
    return Case(op, args, attrs)


_P, _G = [np.ones(2, "float32"), np.ones((), "float32")], [np.ones(2, "float32"), np.ones(1, "float32")]

misuse(ops.sgd_update, ShapeError, _P, _P[:1], [], lr=0.1)
misuse(ops.sgd_update, ShapeError, _P, _G, [], lr=0.1)
misuse(ops.sgd_update, ShapeError, _P, _P, [], lr=0.1, momentum=0.9)
misuse(ops.adam_update, ShapeError, _P, _P, _P[:1], _P, lr=0.1, step=1)
misuse(ops.adam_update, ShapeError, _P, _P, _P, _G, lr=0.1, step=1)
