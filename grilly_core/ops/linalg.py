"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import DTypeError, ShapeError
from grilly_core.op import composite, primitive
from grilly_core.ops.elementwise import product_saves
from grilly_core.ops.infer import broadcast_shapes, same_dtype
from grilly_core.spec import FLOATS, Spec
from grilly_core.tensor import Tensor, tensor

__all__ = ["dot", "linear", "matmul"]


def _matmul(x: Spec, y: Spec) -> Spec:
    if x.ndim < 2 or y.ndim < 2:
        raise ShapeError(f"needs at least two axes on both sides, got {x.shape} and {y.shape}")
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"inner extents differ: {x.shape} @ {y.shape}")
    if same_dtype(x, y) not in FLOATS:
        raise DTypeError(f"takes floats, not {x.dtype}")
    return Spec((*broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]), x.dtype)


@primitive(infer=_matmul)
def matmul(x: Tensor, y: Tensor, /) -> Tensor:
    """Matrix product of the last two axes, ``[..., M, K] @ [..., K, N]``; leading axes broadcast."""


@matmul.defvjp(inputs=product_saves)
def _(ctx: Context, g: Tensor) -> Any:
    x, y = ctx.inputs
    return (
        matmul(g, y.swapaxes(-1, -2)) if ctx.needs[0] else None,
        matmul(x.swapaxes(-1, -2), g) if ctx.needs[1] else None,
    )


def dot(x: Any, y: Any) -> Tensor:
    """``x @ y`` with NumPy's rule for vectors."""
    if not isinstance(x, Tensor):
        x = tensor(x, backend=y._backend)
    if not isinstance(y, Tensor):
        y = tensor(y, backend=x._backend)
    left, right = x.ndim == 1, y.ndim == 1
    out: Tensor = matmul(x.expand_dims(0) if left else x, y.expand_dims(1) if right else y)
    if right:
        out = out.squeeze(-1)
    return out.squeeze(-1 if right else -2) if left else out


@composite()
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, /) -> Tensor:
    """``x @ weight.T + bias`` over the last axis.

    Shapes: x ``[..., in]``, weight ``[out, in]``, bias ``[out]``; result ``[..., out]``.
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"input {x.shape} does not fit weight {weight.shape}: the last axis must be the weight's second"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"bias {bias.shape} does not fit weight {weight.shape}")
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    out = matmul(rows, weight.T)
    if bias is not None:
        out = out + bias
    return out.reshape(*x.shape[:-1], weight.shape[0])


@linear.defvjp(inputs=product_saves)
def _(ctx: Context, g: Tensor) -> Any:
    x, weight = ctx.inputs[:2]
    rows = g.reshape(math.prod(g.shape[:-1]), g.shape[-1])
    return (
        matmul(rows, weight).reshape(x.shape) if ctx.needs[0] else None,
        matmul(rows.T, x.reshape(rows.shape[0], x.shape[-1])) if ctx.needs[1] else None,
        rows.sum(axis=0) if len(ctx.needs) > 2 and ctx.needs[2] else None,
    )
