"""Surrogates: each is the derivative of its primitive, and the formula it is named after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from checks import STEP

from grilly_core import ops
from grilly_core.errors import ArgumentError
from grilly_core.surrogate import (
    ATan,
    Erf,
    FastSigmoid,
    PiecewiseExp,
    PiecewiseQuadratic,
    Rect,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
)
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

CLASSES = [ATan, Sigmoid, FastSigmoid, PiecewiseQuadratic, PiecewiseExp, SuperSpike, Erf, Rect]
U = np.concatenate([np.linspace(-3.0, 3.0, 61) + 0.0137, [1e-4, -1e-4, 40.0, -40.0]])

FORMULAS: dict[type[Surrogate], Any] = {
    ATan: lambda u, a: a / (2 * (1 + (math.pi / 2 * a * u) ** 2)),
    Sigmoid: lambda u, a: a / (2 + np.exp(a * u) + np.exp(-a * u)),
    FastSigmoid: lambda u, a: a / (2 * (1 + a * np.abs(u)) ** 2),
    PiecewiseQuadratic: lambda u, a: np.maximum(0, a - a**2 * np.abs(u)),
    PiecewiseExp: lambda u, a: a / 2 * np.exp(-a * np.abs(u)),
    SuperSpike: lambda u, a: a / (1 + np.abs(u)) ** 2,
    Erf: lambda u, a: a / math.sqrt(math.pi) * np.exp(-((a * u) ** 2)),
    Rect: lambda u, a: np.where(np.abs(u) < 0.5 / a, a, 0.0),
}


def every() -> list[Any]:
    rows = [cls(alpha) for cls in CLASSES for alpha in (0.5, 1.0, 2.5)]
    return [pytest.param(s, id=f"{type(s).__name__}-{s.alpha}") for s in rows]


@pytest.mark.parametrize("surrogate", [*every(), pytest.param(StraightThrough(), id="StraightThrough")])
def test_derivative_is_that_of_the_primitive(surrogate: Surrogate) -> None:
    high, low = (surrogate.primitive(tensor(U + sign * STEP)).numpy() for sign in (1, -1))
    found = surrogate.derivative(tensor(U)).numpy()
    np.testing.assert_allclose(found, (high - low) / (2 * STEP), rtol=1e-7, atol=2e-9)


@pytest.mark.parametrize("surrogate", every())
def test_formula(surrogate: Any) -> None:
    wanted = FORMULAS[type(surrogate)](U, surrogate.alpha)
    np.testing.assert_allclose(surrogate.derivative(tensor(U)).numpy(), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("surrogate", every())
def test_it_is_even_and_largest_at_the_threshold(surrogate: Any) -> None:
    u = np.abs(U[np.abs(U) < 3])
    right, left = (surrogate.derivative(tensor(side)).numpy() for side in (u, -u))
    np.testing.assert_allclose(right, left, rtol=1e-12, atol=1e-15)
    assert right.max() <= surrogate.derivative(tensor(0.0, dtype="float64")).item()
    assert (right >= 0).all()


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not SuperSpike])
def test_the_primitive_rises_from_0_to_1(cls: Any) -> None:
    values = cls().primitive(tensor(np.array([-1e6, 0.0, 1e6]))).numpy()
    np.testing.assert_allclose(values, [0.0, 0.5, 1.0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [*CLASSES, StraightThrough])
def test_dtype_and_shape_are_kept(cls: Any, dtype: str) -> None:
    u = tensor(np.ones((2, 0, 3)), dtype=dtype)
    assert cls().derivative(u).spec == cls().primitive(u).spec == u.spec


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf, "2", None])
@pytest.mark.parametrize("cls", CLASSES)
def test_alpha_above_0(cls: Any, alpha: Any) -> None:
    with pytest.raises(ArgumentError, match=f"{cls.__name__}: alpha must be a number above 0, got"):
        cls(alpha)


def test_defaults_and_identity() -> None:
    assert [cls().alpha for cls in CLASSES] == [2.0, 4.0, 2.0, 1.0, 1.0, 1.0, 2.0, 1.0]
    assert ATan(2.0) == ATan() and hash(ATan(2.0)) == hash(ATan()) and ATan(3.0) != ATan()
    assert repr(ATan(1.5)) == "ATan(alpha=1.5)"


def test_a_surrogate_without_formulas() -> None:
    class Empty(Surrogate):
        pass

    for call in (Empty().derivative, Empty().primitive):
        with pytest.raises(NotImplementedError, match=r"Empty does not define (derivative|primitive)\(u\)"):
            call(tensor([0.0]))


@dataclass(frozen=True)
class Triangle(Surrogate):
    """A user's own, written in ops."""

    width: float = 1.0

    def derivative(self, u: Tensor) -> Tensor:
        return ops.maximum(self.width - u.abs(), 0.0)


def test_a_surrogate_of_the_users_own() -> None:
    x = tensor([0.75, 1.25, 3.0], requires_grad=True)
    spikes = ops.spike(x - 1.0, surrogate=Triangle())
    assert spikes.tolist() == [0.0, 1.0, 1.0]
    spikes.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.75, 0.75, 0.0]


def test_spikes_at_and_around_the_threshold() -> None:
    u = tensor([-0.0, 0.0, -1e-30, np.nan, np.inf, -np.inf])
    assert ops.spike(u, surrogate=ATan()).tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("surrogate", [ATan, "atan", None, 2.0])
def test_what_is_no_surrogate(surrogate: Any) -> None:
    with pytest.raises(
        ArgumentError, match=r"spike: the surrogate must be a Surrogate such as nn\.ATan\(\), got"
    ):
        ops.spike(tensor([0.0]), surrogate=surrogate)
