"""Cases of ``ops.conv``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.op import Op
from grilly_core.ops.conv import out_extents
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid

# Batch, channels and outputs per group, groups, image: more than a tile of 64 or 128 in each extent of the product.
_LARGE = (
    (1, 3, 70, 1, (9, 15)),
    (2, 33, 5, 1, (7, 6)),
    (1, 65, 66, 1, (3, 3)),
    (3, 1, 1, 34, (8, 5)),
    (5, 2, 3, 3, (7, 9)),
    (1, 16, 130, 1, (4, 4)),
)


@dataclass(frozen=True)
class Layer:
    """Shapes and attributes of one convolution that fits."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    out: tuple[int, ...]
    attrs: dict[str, Any]


def _least(kernel: int, padding: int, dilation: int) -> int:
    """The smallest image that the window fits."""
    return max(1, (kernel - 1) * dilation + 1 - 2 * padding)


@st.composite
def layers(draw: DrawFn, *, flat: bool = False) -> Layer:
    """Any stride, padding, dilation and groups; images of a few pixels, some larger, some batches empty."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return (draw(st.integers(low, high)), draw(st.integers(low, high)))

    kernel, stride, dilation = pair(1, 3), pair(1, 3), pair(1, 2)
    padding = pair(0, 2)
    if draw(st.booleans()):
        n, c, o, groups, image = draw(st.sampled_from(_LARGE))
    else:
        n, c, o = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        groups, image = draw(st.integers(1, 3)), pair(1, 6)
    if flat:
        kernel, stride, dilation, padding = (1, kernel[1]), (1, stride[1]), (1, dilation[1]), (0, padding[1])
        image = (1, image[0] * image[1])
    height, width = (max(image[i], _least(kernel[i], padding[i], dilation[i])) for i in (0, 1))
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    out = out_extents((height, width), kernel, stride, padding, dilation)
    return Layer((n, c * groups, height, width), (o * groups, c, *kernel), (n, o * groups, *out), attrs)


@case_of(ops.conv2d)
def conv2d(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """With and without bias."""
    layer, dtype = draw(layers()), draw(wanted.floats())
    bias = draw(grid(layer.weight[:1], dtype)) if draw(st.booleans()) else None
    return Case(op, (draw(grid(layer.x, dtype)), draw(grid(layer.weight, dtype)), bias), layer.attrs)


@case_of(ops.conv1d)
def conv1d(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """The same over one axis."""
    layer, dtype = draw(layers(flat=True)), draw(wanted.floats())
    x, weight = (*layer.x[:2], layer.x[3]), (*layer.weight[:2], layer.weight[3])
    bias = draw(grid(weight[:1], dtype)) if draw(st.booleans()) else None
    attrs = {name: value if name == "groups" else value[1] for name, value in layer.attrs.items()}
    return Case(op, (draw(grid(x, dtype)), draw(grid(weight, dtype)), bias), attrs)


@case_of(ops.conv2d_input_vjp)
def conv2d_input_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """A gradient of the shape that the convolution gives."""
    layer, dtype = draw(layers()), draw(wanted.floats())
    attrs = {"input_size": layer.x[2:], **layer.attrs}
    return Case(op, (draw(grid(layer.out, dtype)), draw(grid(layer.weight, dtype))), attrs)


@case_of(ops.conv2d_weight_vjp)
def conv2d_weight_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """The same with the input."""
    layer, dtype = draw(layers()), draw(wanted.floats())
    attrs = {"kernel_size": layer.weight[2:], **layer.attrs}
    return Case(op, (draw(grid(layer.out, dtype)), draw(grid(layer.x, dtype))), attrs)


_X, _W = np.ones((1, 4, 5, 5), "float32"), np.ones((2, 4, 3, 3), "float32")
_G = np.ones((1, 2, 3, 3), "float32")
_PLAIN: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}

misuse(ops.conv2d, ShapeError, _X[0], _W, None)
misuse(ops.conv2d, ShapeError, _X, _W[:, :3], None)
misuse(ops.conv2d, ShapeError, _X, _W, np.ones(3, "float32"))
misuse(ops.conv2d, ShapeError, _X, _W, None, dilation=(3, 3))
misuse(ops.conv2d, ShapeError, _X, _W, None, groups=2)
misuse(ops.conv2d, ArgumentError, _X, _W, None, stride=(0, 1))
misuse(ops.conv2d, ArgumentError, _X, _W, None, padding=(-1, 0))
misuse(ops.conv2d, DTypeError, _X, _W.astype("int32"), None)
misuse(ops.conv1d, ShapeError, _X, _W, None)
misuse(ops.conv1d, ShapeError, _X[:, :, 0], np.ones((2, 3, 1), "float32"), None)
misuse(ops.conv2d_input_vjp, ShapeError, _G, _W, input_size=(9, 9), **_PLAIN)
misuse(ops.conv2d_weight_vjp, ShapeError, _G, _X, kernel_size=(2, 2), **_PLAIN)
