"""Cases of ``ops.norm``."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid, shapes

_FOLDED = ((2, 3, 4), (5, 1, 1), (1, 65, 7), (4, 2, 257), (63, 4, 1), (3, 5, 64), (2, 257, 3), (1, 1, 1031))


def _eps(draw: DrawFn, x: np.ndarray, axes: tuple[int, ...], centre: bool) -> float:
    """Small, unless a rounded mean would be divided by its square root and nothing else."""
    eps: float = draw(st.sampled_from((1e-5, 1e-3, 0.25)))
    spread = x.astype("float64").var(axis=axes) if centre else (x.astype("float64") ** 2).mean(axis=axes)
    return max(eps, 0.25) if spread.min(initial=1.0) < 2.0**-8 else eps


def _parameter(draw: DrawFn, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    return draw(grid(shape, dtype)) if draw(st.booleans()) else None


@case_of(ops.batch_norm)
def batch_norm(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without weight and bias."""
    shape, dtype = draw(st.sampled_from(_FOLDED)), draw(wanted.floats())
    x = draw(grid(shape, dtype))
    weight, bias = _parameter(draw, shape[1:2], dtype), _parameter(draw, shape[1:2], dtype)
    return Case(op, (x, weight, bias), {"eps": _eps(draw, x, (0, 2), True)})


@case_of(ops.batch_norm_vjp)
def batch_norm_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With the statistics that belong to x."""
    shape, dtype = draw(st.sampled_from(_FOLDED)), draw(wanted.floats())
    g, x = draw(grid(shape, dtype)), draw(grid(shape, dtype))
    mean, var = x.mean(axis=(0, 2), dtype="float64"), x.var(axis=(0, 2), dtype="float64")
    args = (g, x, mean.astype(dtype), var.astype(dtype), _parameter(draw, shape[1:2], dtype))
    return Case(op, args, {"eps": _eps(draw, x, (0, 2), True)})


@case_of(ops.batch_norm_infer)
def batch_norm_infer(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With statistics that need not be those of x."""
    shape, dtype = draw(st.sampled_from(_FOLDED)), draw(wanted.floats())
    c = shape[1:2]
    statistics = draw(grid(c, dtype)), draw(grid(c, dtype, low=0.25))
    args = (draw(grid(shape, dtype)), *statistics, _parameter(draw, c, dtype), _parameter(draw, c, dtype))
    return Case(op, args, {"eps": draw(st.sampled_from((1e-5, 0.25)))})


@case_of(ops.moving_average)
def moving_average(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any shape."""
    shape, dtype = draw(shapes(0, 3)), draw(wanted.floats())
    attrs = {"momentum": draw(st.sampled_from((0.1, 0.25, 1.0))), "gain": draw(st.sampled_from((1.0, 1.25)))}
    return Case(op, (draw(grid(shape, dtype)), draw(grid(shape, dtype))), attrs)


def _sample(draw: DrawFn, wanted: Wanted, centre: bool) -> tuple[np.ndarray, tuple[int, ...], dict[str, Any]]:
    shape, dtype = draw(shapes(1, 4, empty=False)), draw(wanted.floats())
    axes = draw(st.integers(1, len(shape)))
    x = draw(grid(shape, dtype))
    over = tuple(range(len(shape) - axes, len(shape)))
    return x, shape[len(shape) - axes :], {"axes": axes, "eps": _eps(draw, x, over, centre)}


@case_of(ops.layer_norm)
def layer_norm(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Over one to all axes."""
    x, shape, attrs = _sample(draw, wanted, True)
    return Case(op, (x, _parameter(draw, shape, x.dtype.name), _parameter(draw, shape, x.dtype.name)), attrs)


@case_of(ops.rms_norm)
def rms_norm(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Over one to all axes."""
    x, shape, attrs = _sample(draw, wanted, False)
    return Case(op, (x, _parameter(draw, shape, x.dtype.name)), attrs)


_X, _W = np.ones((2, 3, 4), "float32"), np.ones(4, "float32")

misuse(ops.batch_norm, ShapeError, _X[0], None, None)
misuse(ops.batch_norm, ShapeError, _X, _W, None)
misuse(ops.batch_norm, ShapeError, _X, None, _W)
misuse(ops.batch_norm, ShapeError, _X[:0], None, None)
misuse(ops.batch_norm, ArgumentError, _X, None, None, eps=0.0)
misuse(ops.batch_norm_infer, ShapeError, _X, _W, _W, None, None, eps=1e-5)
misuse(ops.batch_norm_infer, ArgumentError, _X, _W[:3], _W[:3], None, None, eps=0.0)
misuse(ops.moving_average, ShapeError, _X, _X[0], momentum=0.5)
misuse(ops.batch_norm_vjp, ShapeError, _X, _X[0], _W[:3], _W[:3], None, eps=1e-5)
misuse(ops.batch_norm_vjp, ShapeError, _X, _X, _W[:3], _W[:3], _W, eps=1e-5)
misuse(ops.layer_norm, ShapeError, _X, _W[:3], None)
misuse(ops.layer_norm, ShapeError, _X, None, None, axes=4)
misuse(ops.rms_norm, ShapeError, _X, _W[:3])
misuse(ops.rms_norm, ShapeError, _X, None, axes=0)
