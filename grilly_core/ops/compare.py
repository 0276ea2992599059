"""Comparisons, logic and choice. Comparisons give bool and pass no gradient."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import DTypeError
from grilly_core.op import composite, primitive
from grilly_core.ops.infer import broadcast_bool, broadcast_shapes, same_dtype
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor

__all__ = [
    "equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_not", "logical_or", "not_equal",
    "where",
]  # fmt: skip


@primitive(infer=broadcast_bool, differentiable=False)
def greater(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x > y``; False where either is NaN."""


@primitive(infer=broadcast_bool, differentiable=False)
def greater_equal(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x >= y``; False where either is NaN."""


@primitive(infer=broadcast_bool, differentiable=False)
def equal(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x == y``; False where either is NaN."""


@composite(differentiable=False)
def less(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x < y``."""
    return greater(y, x)


@composite(differentiable=False)
def less_equal(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x <= y``."""
    return greater_equal(y, x)


@composite(differentiable=False)
def not_equal(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x != y``; True where either is NaN."""
    return logical_not(equal(x, y))


@composite(differentiable=False)
def logical_not(x: Tensor, /) -> Tensor:
    """Elementwise negation of a bool tensor."""
    if x.spec.dtype != "bool":
        raise DTypeError(f"takes bool, not {x.spec.dtype}")
    return equal(x, False)


@composite(differentiable=False)
def logical_and(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x and y`` of bool tensors."""
    return where(x, y, False)


@composite(differentiable=False)
def logical_or(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x or y`` of bool tensors."""
    return where(x, True, y)


def _where(condition: Spec, x: Spec, y: Spec) -> Spec:
    if condition.dtype != "bool":
        raise DTypeError(f"the condition must be bool, not {condition.dtype}")
    return Spec(broadcast_shapes(condition.shape, x.shape, y.shape), same_dtype(x, y))


@primitive(infer=_where)
def where(condition: Tensor, x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x`` where the bool ``condition`` holds, else ``y``; all three broadcast."""


@where.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    condition = ctx.inputs[0]
    return None, where(condition, g, 0), where(condition, 0, g)
