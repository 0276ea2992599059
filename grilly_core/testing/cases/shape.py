"""Cases of ``ops.shape``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import broadcast_shapes, fit, grid, shapes


@case_of(ops.reshape)
def reshape(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Flat, reversed, with ones in between, or two axes merged."""
    shape = draw(shapes())
    kind = draw(st.sampled_from(("flat", "reversed", "ones", "merged")))
    if kind == "flat":
        target: tuple[int, ...] = (math.prod(shape),)
    elif kind == "reversed":
        target = shape[::-1]
    elif kind == "ones":
        target = tuple(extent for pair in shape for extent in (1, pair))
    else:
        target = (*shape[:-2], math.prod(shape[-2:]))
    return Case(op, (draw(grid(shape, draw(wanted.dtype()))),), {"shape": target})


@case_of(ops.transpose)
def transpose(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any permutation of up to five axes."""
    shape = draw(shapes(0, 5))
    order = tuple(draw(st.permutations(range(len(shape)))))
    return Case(op, (draw(grid(shape, draw(wanted.dtype()))),), {"axes": order})


@case_of(ops.broadcast_to)
def broadcast_to(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """New axes and axes of extent 1."""
    x, y = draw(broadcast_shapes(2))
    target = np.broadcast_shapes(x, y)
    return Case(op, (draw(grid(x, draw(wanted.dtype()))),), {"shape": target})


@case_of(ops.strided_slice)
def strided_slice(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any part of each axis, nothing and everything included, every first to third element."""
    shape = draw(shapes(0, 4))
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n) | st.just(n)))) for n in shape]
    attrs = {
        "start": tuple(a for a, _ in ends),
        "stop": tuple(b for _, b in ends),
        "step": tuple(draw(st.integers(1, 3)) for _ in shape),
    }
    return Case(op, (draw(grid(shape, draw(wanted.dtype()))),), attrs)


@case_of(ops.pad)
def pad(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Elements before, after and between."""
    shape = fit(draw(shapes(0, 4)), 1100)
    counts = st.tuples(*[st.integers(0, 2)] * len(shape))
    dtype = draw(wanted.dtype())
    value = draw(st.sampled_from((0.0, 1.0) if dtype == "bool" else (0.0, 1.0, 3.0)))
    attrs = {"low": draw(counts), "high": draw(counts), "interior": draw(st.none() | counts), "value": value}
    return Case(op, (draw(grid(shape, dtype)),), attrs)


@case_of(ops.concat)
def concat(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One to twelve tensors of different extent along one axis, some empty."""
    shape = fit(draw(shapes(1, 4)), 1100)
    axis, dtype = draw(st.integers(0, len(shape) - 1)), draw(wanted.dtype())
    extents = [shape[axis], *draw(st.lists(st.integers(0, 3), max_size=11))]
    arrays = [draw(grid((*shape[:axis], n, *shape[axis + 1 :]), dtype)) for n in extents]
    return Case(op, (arrays,), {"axis": axis})


@case_of(ops.stack)
def stack(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """One to twelve tensors of one shape."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.dtype())
    arrays = [draw(grid(shape, dtype)) for _ in range(draw(st.integers(1, 12)))]
    return Case(op, (arrays,), {"axis": draw(st.integers(0, len(shape)))})


def _slice(x: np.ndarray, *, start: Any, stop: Any, step: Any) -> Any:
    return x[tuple(slice(*ends) for ends in zip(start, stop, step, strict=True))]


def _pad(x: np.ndarray, *, low: Any, high: Any, interior: Any, value: float) -> Any:
    between = interior or (0,) * x.ndim
    spans = [(n - 1) * (i + 1) + 1 if n else 0 for n, i in zip(x.shape, between, strict=True)]
    out = np.full([a + n + b for a, n, b in zip(low, spans, high, strict=True)], value, x.dtype)
    out[tuple(slice(a, a + n, i + 1) for a, n, i in zip(low, spans, between, strict=True))] = x
    return out


means(
    {
        ops.reshape: lambda x, *, shape: x.reshape(shape),
        ops.transpose: lambda x, *, axes: x.transpose(axes),
        ops.broadcast_to: lambda x, *, shape: np.broadcast_to(x, shape),
        ops.strided_slice: _slice,
        ops.pad: _pad,
        ops.concat: lambda xs, *, axis: np.concatenate(xs, axis=axis),
    }
)

_X = np.ones((2, 3), "float32")

misuse(ops.reshape, ShapeError, _X, shape=(4,))
misuse(ops.transpose, ShapeError, _X, axes=(0, 0))
misuse(ops.broadcast_to, ShapeError, _X, shape=(3, 2))
misuse(ops.broadcast_to, ShapeError, _X, shape=(3,))
misuse(ops.strided_slice, ShapeError, _X, start=(0, 0), stop=(2, 4), step=(1, 1))
misuse(ops.strided_slice, ShapeError, _X, start=(0,), stop=(2,), step=(1,))
misuse(ops.strided_slice, ShapeError, _X, start=(0, 0), stop=(2, 3), step=(1, 0))
misuse(ops.pad, ShapeError, _X, low=(0,), high=(0,))
misuse(ops.pad, ArgumentError, _X, low=(-1, 0), high=(0, 0))
misuse(ops.pad, DTypeError, _X > 0, low=(0, 0), high=(0, 0), value=2.0)
for _op in (ops.concat, ops.stack):
    misuse(_op, ArgumentError, [], axis=0)
    misuse(_op, ShapeError, [_X, np.ones((3, 2), "float32")], axis=0)
    misuse(_op, DTypeError, [_X, _X.astype("int32")], axis=0)
    misuse(_op, ShapeError, [_X], axis=3)
