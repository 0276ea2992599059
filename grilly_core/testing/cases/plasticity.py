"""Cases of ``ops.plasticity``: dense layers and convolutions over one and two axes, spikes on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.cases.conv import layers
from grilly_core.testing.strategies import Shape, fit, grid, shapes, sizes, spikes

_STEPS = (1, 2, 7)
_DENSE = ((3, 5, 7), (1, 63, 65), (2, 1, 257), (1, 1031, 1), (0, 2, 3), (4, 64, 9), (3, 130, 5))
_MOST = 3000


@st.composite
def sides(draw: DrawFn) -> tuple[Shape, Shape, Shape, dict[str, Any]]:
    """Shapes of weight, one step of pre, one of post; attributes of the layer."""
    axes = draw(st.sampled_from((0, 0, 1, 2)))
    if axes == 0:
        batch, out, inside = draw(st.sampled_from(_DENSE))
        return (out, inside), (batch, inside), (batch, out), {}
    layer = draw(layers(flat=axes == 1))
    windows = {name: layer.attrs[name][2 - axes :] for name in ("stride", "padding", "dilation")}
    first = 4 - axes
    shapes_of = [shape[:2] + shape[first:] for shape in (layer.weight, layer.x, layer.out)]
    return shapes_of[0], shapes_of[1], shapes_of[2], {**windows, "groups": layer.attrs["groups"]}


def _steps(draw: DrawFn, *one: Shape) -> int:
    """As many steps as fit."""
    largest = max(int(np.prod(shape)) for shape in one)
    return draw(st.sampled_from([t for t in _STEPS if t * largest <= _MOST] or [1]))


@case_of(ops.stdp_trace)
def stdp_trace(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Spikes of any number of neurons, with and without a trace from before."""
    shape, dtype = fit(draw(shapes(0, 3)), 1100), draw(wanted.floats())
    steps = draw(st.sampled_from(_STEPS) | sizes(17))
    steps = steps if steps * int(np.prod(shape)) <= _MOST else 2
    start = draw(grid(shape, dtype, low=0.0)) if draw(st.booleans()) else None
    tau = draw(st.sampled_from((1.0, 2.0, 3.0, 20.0)))
    return Case(op, (draw(spikes((steps, *shape), dtype)), start), {"tau": tau})


@case_of(ops.stdp_update)
def stdp_update(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """All kinds of layers; traces and limits given or not."""
    (weight, pre, post, layer), dtype = draw(sides()), draw(wanted.floats())
    steps = _steps(draw, pre, post)
    traces = [draw(grid(shape, dtype, low=0.0)) if draw(st.booleans()) else None for shape in (pre, post)]
    attrs = {
        "tau_pre": draw(st.sampled_from((1.0, 2.0, 3.0))),
        "tau_post": draw(st.sampled_from((1.0, 2.0, 4.0))),
        "a_pre": draw(st.sampled_from((0.25, 0.5, 0.0, -0.25))),
        "a_post": draw(st.sampled_from((0.5, 1.0, 0.125))),
        "w_min": draw(st.sampled_from((None, 0.0, -1.0))),
        "w_max": draw(st.sampled_from((None, 1.0, 2.5))),
    }
    args = (
        draw(grid(weight, dtype)),
        draw(spikes((steps, *pre), dtype)),
        draw(spikes((steps, *post), dtype)),
        *traces,
    )
    return Case(op, args, {**attrs, **layer})


@case_of(ops.hebbian_update)
def hebbian_update(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """All kinds of layers, never an empty batch; activities that are not only 0 and 1."""
    (weight, pre, post, layer), dtype = draw(sides()), draw(wanted.floats())
    pre, post = (max(1, pre[0]), *pre[1:]), (max(1, post[0]), *post[1:])
    steps = _steps(draw, pre, post)
    attrs = {"lr": draw(st.sampled_from((0.5, 0.1, 1.0))), "decay": draw(st.sampled_from((0.0, 0.25, 0.01)))}
    values = grid if draw(st.booleans()) else spikes
    args = (
        draw(grid(weight, dtype)),
        draw(values((steps, *pre), dtype)),
        draw(values((steps, *post), dtype)),
    )
    return Case(op, args, {**attrs, **layer})


_W, _PRE, _POST = np.ones((2, 3), "float32"), np.ones((4, 5, 3), "float32"), np.ones((4, 5, 2), "float32")
_KERNEL, _IMAGES = np.ones((2, 3, 3, 3), "float32"), np.ones((4, 1, 3, 5, 5), "float32")
_MAPS = np.ones((4, 1, 2, 3, 3), "float32")
_CONV: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
_STDP: dict[str, Any] = {"tau_pre": 2.0, "tau_post": 2.0, "a_pre": 0.5, "a_post": 0.5}

misuse(ops.stdp_trace, ShapeError, _W[:0], None, tau=2.0)
misuse(ops.stdp_trace, ShapeError, _W, _W, tau=2.0)
misuse(ops.stdp_trace, ArgumentError, _W, None, tau=0.5)
misuse(ops.stdp_trace, ArgumentError, _W, None, tau=float("nan"))
for _op, _none, _attrs in ((ops.stdp_update, (None, None), _STDP), (ops.hebbian_update, (), {"lr": 0.5})):
    misuse(_op, ShapeError, _W, _POST, _PRE, *_none, **_attrs)
    misuse(_op, ShapeError, _W, _PRE, _POST[:3], *_none, **_attrs)
    misuse(_op, ShapeError, _W, _PRE[0], _POST[0], *_none, **_attrs)
    misuse(_op, ShapeError, _W, _PRE[:0], _POST[:0], *_none, **_attrs)
    misuse(_op, ShapeError, _W[0], _PRE, _POST, *_none, **_attrs)
    misuse(_op, ShapeError, _KERNEL, _IMAGES, _IMAGES, *_none, **_attrs, **_CONV)
    misuse(_op, ShapeError, _KERNEL, _IMAGES, _MAPS, *_none, **_attrs, **_CONV, groups=2)
    misuse(_op, ArgumentError, _KERNEL, _IMAGES, _MAPS, *_none, **_attrs)
    misuse(_op, ArgumentError, _KERNEL, _IMAGES, _MAPS, *_none, **_attrs, **_CONV, groups=0)
    misuse(_op, ArgumentError, _W, _PRE, _POST, *_none, **_attrs, stride=(1,))
    misuse(_op, DTypeError, _W, _PRE.astype("int32"), _POST, *_none, **_attrs)
misuse(ops.stdp_update, ShapeError, _W, _PRE, _POST, _PRE[0, :2], None, **_STDP)
misuse(ops.stdp_update, ShapeError, _W, _PRE, _POST, None, _PRE[0], **_STDP)
misuse(ops.stdp_update, ArgumentError, _W, _PRE, _POST, None, None, **(_STDP | {"tau_pre": 0.0}))
misuse(ops.stdp_update, ArgumentError, _W, _PRE, _POST, None, None, **_STDP, w_min=1.0, w_max=0.0)
misuse(ops.hebbian_update, ShapeError, _W, _PRE[:, :0], _POST[:, :0], lr=0.5)
