"""Cases of ``ops.pool``."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import Op
from grilly_core.ops.conv import Pair, out_extents
from grilly_core.testing.case import Case, Wanted, case_of, misuse
from grilly_core.testing.strategies import grid, seeds

_IMAGES = (
    (1, 1, 1, 1),
    (2, 3, 5, 4),
    (1, 2, 8, 8),
    (0, 2, 4, 4),
    (3, 1, 9, 7),
    (1, 65, 6, 5),
    (2, 5, 17, 13),
    (1, 1, 4, 257),
)


@st.composite
def pools(draw: DrawFn) -> tuple[tuple[int, ...], Pair, dict[str, Any]]:
    """An image, the extents of the result and attributes; windows overlap, leave gaps, or stick out."""
    image = draw(st.sampled_from(_IMAGES))
    kernel = tuple(draw(st.integers(1, min(4, extent))) for extent in image[2:])
    stride = kernel if draw(st.booleans()) else (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, extent // 2)) for extent in kernel)
    attrs = {"kernel_size": kernel, "stride": stride, "padding": padding}
    return image, out_extents(image[2:], kernel, stride, padding), attrs  # type: ignore[arg-type]


@case_of(ops.max_pool2d, ops.avg_pool2d)
def pool(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Few different values, so that the largest is there more than once."""
    image, _, attrs = draw(pools())
    limit = draw(st.sampled_from((0.25, 4.0)))
    return Case(op, (draw(grid(image, draw(wanted.floats()), low=-limit, high=limit)),), attrs)


def _places(
    rng: np.random.Generator, extent: int, out: int, kernel: int, stride: int, padding: int
) -> np.ndarray:
    """For each window along one axis a place in it that is not padding."""
    first = np.arange(out) * stride - padding
    low, high = np.maximum(0, -first), np.minimum(kernel, extent - first)
    return low + (rng.random(out) * (high - low)).astype(int)


@case_of(ops.max_pool2d_vjp)
def max_pool2d_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any place within the image may have won."""
    image, out, attrs = draw(pools())
    rng = np.random.default_rng(draw(seeds()))
    where = [
        _places(rng, image[2 + i], out[i], attrs["kernel_size"][i], attrs["stride"][i], attrs["padding"][i])
        for i in (0, 1)
    ]
    index = where[0][:, None] * attrs["kernel_size"][1] + where[1]
    shape = (*image[:2], *out)
    index = np.ascontiguousarray(np.broadcast_to(index, shape)).astype("int32")
    return Case(op, (draw(grid(shape, draw(wanted.floats()))), index), {"input_size": image[2:], **attrs})


@case_of(ops.avg_pool2d_vjp)
def avg_pool2d_vjp(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """A gradient of the shape that the pool gives."""
    image, out, attrs = draw(pools())
    return Case(
        op, (draw(grid((*image[:2], *out), draw(wanted.floats()))),), {"input_size": image[2:], **attrs}
    )


@case_of(ops.adaptive_avg_pool2d)
def adaptive_avg_pool2d(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Fewer, as many, and more outputs than pixels."""
    image = draw(st.sampled_from(_IMAGES))
    size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return Case(op, (draw(grid(image, draw(wanted.floats()))),), {"output_size": size})


_X = np.ones((1, 2, 4, 4), "float32")
_G = np.ones((1, 2, 2, 2), "float32")

for _op in (ops.max_pool2d, ops.avg_pool2d):
    misuse(_op, ShapeError, _X[0], kernel_size=(2, 2), stride=(2, 2))
    misuse(_op, ShapeError, _X, kernel_size=(5, 5), stride=(1, 1))
    misuse(_op, ArgumentError, _X, kernel_size=(2, 2), stride=(0, 1))
    misuse(_op, ArgumentError, _X, kernel_size=(2, 2), stride=(1, 1), padding=(2, 2))
misuse(
    ops.max_pool2d_vjp, ShapeError, _G, np.zeros((1, 2, 2, 3), "int32"),
    input_size=(4, 4), kernel_size=(2, 2), stride=(2, 2), padding=(0, 0),
)  # fmt: skip
misuse(
    ops.avg_pool2d_vjp, ShapeError, _G, input_size=(9, 9), kernel_size=(2, 2), stride=(2, 2), padding=(0, 0)
)
misuse(ops.adaptive_avg_pool2d, ShapeError, _X[0], output_size=(1, 1))
misuse(ops.adaptive_avg_pool2d, ShapeError, _X[:, :, :0], output_size=(1, 1))
misuse(ops.adaptive_avg_pool2d, ArgumentError, _X, output_size=(0, 1))
