"""Arithmetic and functions of one element at a time."""

from __future__ import annotations

import math
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, DTypeError
from grilly_core.op import composite, primitive
from grilly_core.ops.infer import broadcast, float_broadcast, float_unary, same
from grilly_core.spec import DTYPES, FLOATS, Spec
from grilly_core.tensor import Tensor

__all__ = [
    "abs", "add", "atan", "cast", "clip", "div", "erf", "exp", "floor", "log", "maximum", "minimum", "mul", "neg",
    "power", "relu", "round", "sigmoid", "sqrt", "square", "sub", "tanh",
]  # fmt: skip


@primitive(infer=broadcast)
def add(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x + y`` with NumPy broadcasting."""


@add.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return g, g


@primitive(infer=broadcast)
def sub(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x - y`` with NumPy broadcasting."""


@sub.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return g, -g if ctx.needs[1] else None


def product_saves(needs: tuple[bool, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    """Of the two factors first among the inputs, each is kept only if the other one wants a gradient."""
    return tuple([1 - i for i in (0, 1) if needs[i]])


@primitive(infer=broadcast)
def mul(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x * y`` with NumPy broadcasting."""


@mul.defvjp(inputs=product_saves)
def _(ctx: Context, g: Tensor) -> Any:
    x, y = ctx.inputs
    return g * y if ctx.needs[0] else None, g * x if ctx.needs[1] else None


@primitive(infer=float_broadcast)
def div(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise ``x / y`` with NumPy broadcasting; floats only."""


@div.defvjp(inputs=lambda needs, attrs: (0, 1) if needs[1] else (1,))
def _(ctx: Context, g: Tensor) -> Any:
    x, y = ctx.inputs
    gx = g / y
    return gx, -(gx * x) / y if ctx.needs[1] else None


@primitive(infer=same)
def neg(x: Tensor, /) -> Tensor:
    """Elementwise ``-x`` (modulo 2**32 for uint32)."""


@neg.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    return -g


@primitive(infer=same)
def abs(x: Tensor, /) -> Tensor:
    """Elementwise absolute value; the gradient at 0 is 0."""


@abs.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    (x,) = ctx.inputs
    return g * ((x > 0).astype(g.dtype) - (x < 0).astype(g.dtype))


def _share(ctx: Context, g: Tensor) -> Any:
    """Gradient of a maximum or minimum: to whichever was taken, half each where equal."""
    x, y = ctx.inputs
    (out,) = ctx.outputs
    from_x, from_y = (x == out).astype(g.dtype), (y == out).astype(g.dtype)
    part = g / (from_x + from_y)
    return part * from_x, part * from_y


@primitive(infer=broadcast)
def maximum(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise larger of two; NaN wins. Equal elements share the gradient."""


maximum.defvjp(inputs=(0, 1), outputs=(0,))(_share)


@primitive(infer=broadcast)
def minimum(x: Tensor, y: Tensor, /) -> Tensor:
    """Elementwise smaller of two; NaN wins. Equal elements share the gradient."""


minimum.defvjp(inputs=(0, 1), outputs=(0,))(_share)


@primitive(infer=float_unary)
def exp(x: Tensor, /) -> Tensor:
    """Elementwise ``e**x``."""


@exp.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return g * ctx.outputs[0]


@primitive(infer=float_unary)
def log(x: Tensor, /) -> Tensor:
    """Elementwise natural logarithm; NaN below 0."""


@log.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return g / ctx.inputs[0]


@primitive(infer=float_unary)
def sqrt(x: Tensor, /) -> Tensor:
    """Elementwise square root; NaN below 0."""


@sqrt.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return g * 0.5 / ctx.outputs[0]


@primitive(infer=float_unary)
def tanh(x: Tensor, /) -> Tensor:
    """Elementwise hyperbolic tangent."""


@tanh.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    y = ctx.outputs[0]
    return g * (1.0 - y * y)


@primitive(infer=float_unary)
def atan(x: Tensor, /) -> Tensor:
    """Elementwise arc tangent, in radians."""


@atan.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    x = ctx.inputs[0]
    return g / (x * x + 1.0)


@primitive(infer=float_unary, differentiable=False)
def floor(x: Tensor, /) -> Tensor:
    """Elementwise largest integer not above ``x``, as a float."""


@primitive(infer=float_unary, differentiable=False)
def round(x: Tensor, /) -> Tensor:
    """Elementwise nearest integer, halves to even, as a float."""


def _cast(x: Spec, *, dtype: str) -> Spec:
    if dtype not in DTYPES:
        raise DTypeError(f"unknown dtype {dtype!r}; grilly has {', '.join(DTYPES)}")
    return Spec(x.shape, dtype)


@primitive(infer=_cast)
def cast(x: Tensor, /, *, dtype: str) -> Tensor:
    """The elements in another dtype: towards zero to integers, ``!= 0`` to bool, 0 and 1 from bool."""


@cast.defvjp()
def _(ctx: Context, g: Tensor) -> Any:
    source = ctx.inputs[0].dtype
    return g.astype(source) if source in FLOATS else None


@composite()
def sigmoid(x: Tensor, /) -> Tensor:
    """Elementwise ``1 / (1 + e**-x)``, written with tanh so that it cannot overflow."""
    return (x * 0.5).tanh() * 0.5 + 0.5


@sigmoid.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    y = ctx.outputs[0]
    return g * (y * (1.0 - y))


@composite()
def relu(x: Tensor, /) -> Tensor:
    """Elementwise ``max(x, 0)``; the gradient at 0 is 0."""
    return maximum(x, 0)


@relu.defvjp(outputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return g * (ctx.outputs[0] > 0).astype(g.dtype)


@composite()
def square(x: Tensor, /) -> Tensor:
    """Elementwise ``x * x``."""
    return x * x


@composite()
def clip(x: Tensor, /, *, low: float, high: float) -> Tensor:
    """Elementwise ``x`` limited to ``[low, high]``."""
    return minimum(maximum(x, low), high)


@composite()
def power(x: Tensor, /, *, exponent: float) -> Tensor:
    """Elementwise ``x ** exponent`` for a constant exponent.

    Whole exponents are products (exact on dyadic numbers, any sign of ``x``); others are
    ``exp(exponent * log(x))``, NaN below 0.
    """
    if not isinstance(exponent, int | float) or not math.isfinite(exponent):
        raise ArgumentError(f"the exponent must be a finite Python number, got {exponent!r}")
    if exponent != int(exponent):
        return sqrt(x) if exponent == 0.5 else exp(log(x) * float(exponent))
    if exponent < 0:
        return 1.0 / power(x, exponent=-exponent)
    result, base, n = None, x, int(exponent)
    while n:
        if n % 2:
            result = base if result is None else result * base
        base, n = (base * base, n // 2) if n > 1 else (base, 0)
    return x * 0 + 1 if result is None else result


_ERF_TERMS = 140


@composite()
def erf(x: Tensor, /) -> Tensor:
    """Elementwise Gauss error function, by the series of DLMF 7.6.2, whose terms are all positive.

    The argument is limited to [-6, 6], where erf differs from its limit by 2e-17.
    """
    z = clip(x, low=-6.0, high=6.0)
    squared = z * z
    total = term = z
    for n in range(1, _ERF_TERMS):
        term = term * squared * (2.0 / (2 * n + 1))
        total = total + term
    return total * exp(-squared) * (2.0 / math.sqrt(math.pi))


@erf.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    x = ctx.inputs[0]
    return g * exp(-(x * x)) * (2.0 / math.sqrt(math.pi))
