"""Surrogate derivatives written in place: the backward kernels' table of the built-in ones.

Each rewrites the formula so that few passes are left; ``gain`` is a constant factor that comes for free.
A surrogate that is not in the table gives its derivative through its own ``derivative`` method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["InPlace", "derivative_of", "in_place"]

InPlace = Callable[[np.ndarray, np.ndarray], object]
"""``f(u, scratch)`` overwrites ``u`` with ``gain * derivative(u)``."""

_MODULE = "grilly_core.surrogate"
_EXTREME = 1e4  # beyond it the rearranged constants lose digits in float32


def in_place(surrogate: Any, gain: float, dtype: np.dtype[Any]) -> InPlace | None:
    """The fused derivative of a built-in surrogate, or None for any other.

    Args:
        surrogate: the surrogate.
        gain: factor on the derivative.
        dtype: dtype of the arrays to come.
    """
    kind = type(surrogate)
    maker = _MAKERS.get(kind.__qualname__) if kind.__module__ == _MODULE else None
    if maker is None:
        return None
    alpha = float(getattr(surrogate, "alpha", 1.0))
    if not 1 / _EXTREME <= alpha <= _EXTREME:
        return None

    def constant(value: float) -> np.ndarray:
        return np.array(value, dtype)

    return maker(alpha, gain, constant)


def derivative_of(surrogate: Any, u: np.ndarray, device: Any) -> np.ndarray:
    """The derivative as the surrogate itself computes it, on ``u`` of any shape."""
    from grilly_core.extend import no_grad, wrap

    with no_grad():
        result = surrogate.derivative(wrap(u, device))._data
    return np.broadcast_to(np.asarray(result, dtype=u.dtype), u.shape)


_Constant = Callable[[float], np.ndarray]


def _atan(alpha: float, gain: float, constant: _Constant) -> InPlace:
    # a / (2 (1 + c^2 u^2)) = (a / 2c^2) / (1 / c^2 + u^2)
    square = (math.pi / 2 * alpha) ** 2
    top, shift = constant(gain * alpha / 2 / square), constant(1 / square)

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.square(u, out=u)
        np.add(u, shift, out=u)
        np.divide(top, u, out=u)

    return write


def _sigmoid(alpha: float, gain: float, constant: _Constant) -> InPlace:
    # a s (1 - s) = a e / (1 + e)^2 with e = exp(-a |u|): nothing cancels and nothing overflows
    minus, one, scale = constant(-alpha), constant(1), constant(gain * alpha)

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.absolute(u, out=u)
        np.multiply(u, minus, out=u)
        np.exp(u, out=u)
        np.add(u, one, out=scratch)
        np.square(scratch, out=scratch)
        np.divide(u, scratch, out=u)
        np.multiply(u, scale, out=u)

    return write


def _inverse_square(top: np.ndarray, shift: np.ndarray) -> InPlace:
    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.absolute(u, out=u)
        np.add(u, shift, out=u)
        np.square(u, out=u)
        np.divide(top, u, out=u)

    return write


def _fast_sigmoid(alpha: float, gain: float, constant: _Constant) -> InPlace:
    # a / (2 (1 + a |u|)^2) = (1 / 2a) / (1 / a + |u|)^2
    return _inverse_square(constant(gain / (2 * alpha)), constant(1 / alpha))


def _super_spike(alpha: float, gain: float, constant: _Constant) -> InPlace:
    return _inverse_square(constant(gain * alpha), constant(1))


def _piecewise_quadratic(alpha: float, gain: float, constant: _Constant) -> InPlace:
    slope, height, zero = constant(-gain * alpha * alpha), constant(gain * alpha), constant(0)

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.absolute(u, out=u)
        np.multiply(u, slope, out=u)
        np.add(u, height, out=u)
        np.maximum(u, zero, out=u)

    return write


def _piecewise_exp(alpha: float, gain: float, constant: _Constant) -> InPlace:
    minus, scale = constant(-alpha), constant(gain * alpha / 2)

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.absolute(u, out=u)
        np.multiply(u, minus, out=u)
        np.exp(u, out=u)
        np.multiply(u, scale, out=u)

    return write


def _erf(alpha: float, gain: float, constant: _Constant) -> InPlace:
    minus, scale = constant(-alpha * alpha), constant(gain * alpha / math.sqrt(math.pi))

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.square(u, out=u)
        np.multiply(u, minus, out=u)
        np.exp(u, out=u)
        np.multiply(u, scale, out=u)

    return write


def _rect(alpha: float, gain: float, constant: _Constant) -> InPlace:
    half, height = constant(0.5 / alpha), constant(gain * alpha)

    def write(u: np.ndarray, scratch: np.ndarray) -> None:
        np.absolute(u, out=u)
        np.less(u, half, out=scratch)
        np.multiply(scratch, height, out=u)

    return write


def _straight_through(alpha: float, gain: float, constant: _Constant) -> InPlace:
    return lambda u, scratch: u.fill(gain)


_MAKERS: dict[str, Callable[[float, float, _Constant], InPlace]] = {
    "ATan": _atan,
    "Erf": _erf,
    "FastSigmoid": _fast_sigmoid,
    "PiecewiseExp": _piecewise_exp,
    "PiecewiseQuadratic": _piecewise_quadratic,
    "Rect": _rect,
    "Sigmoid": _sigmoid,
    "StraightThrough": _straight_through,
    "SuperSpike": _super_spike,
}
