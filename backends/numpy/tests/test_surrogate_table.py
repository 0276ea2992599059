"""The in-place surrogate derivatives against their formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from grilly_numpy.backend import NumpyBackend
from grilly_numpy.kernels import surrogates

FORMULAS: dict[str, Any] = {
    "ATan": (2.0, lambda a, u: a / (2 * (1 + (np.pi / 2 * a * u) ** 2))),
    "Sigmoid": (4.0, lambda a, u: a / (1 + np.exp(-a * u)) / (1 + np.exp(a * u))),
    "FastSigmoid": (2.0, lambda a, u: a / (2 * (1 + a * abs(u)) ** 2)),
    "PiecewiseQuadratic": (1.0, lambda a, u: np.maximum(0, a - a**2 * abs(u))),
    "PiecewiseExp": (1.0, lambda a, u: a / 2 * np.exp(-a * abs(u))),
    "SuperSpike": (1.0, lambda a, u: a / (1 + abs(u)) ** 2),
    "Erf": (2.0, lambda a, u: a / np.sqrt(np.pi) * np.exp(-(a**2) * u**2)),
    "Rect": (1.0, lambda a, u: a * (abs(u) < 0.5 / a)),
    "StraightThrough": (None, lambda a, u: np.ones_like(u)),
}


def built_in(name: str, alpha: float | None) -> Any:
    @dataclass(frozen=True)
    class Made:
        alpha: float | None

    Made.__module__, Made.__qualname__ = "grilly_core.surrogate", name
    return Made(alpha) if alpha is not None else type(name, (), {"__module__": "grilly_core.surrogate"})()


@pytest.mark.parametrize("name", sorted(FORMULAS))
@pytest.mark.parametrize("scale", [1.0, 0.3, 7.0])
def test_surrogate_table(name: str, scale: float) -> None:
    default, formula = FORMULAS[name]
    alpha = None if default is None else default * scale
    for dtype, rtol in (("float64", 1e-12), ("float32", 3e-5)):
        u = np.linspace(-3, 3, 61).astype(dtype)
        write = surrogates.in_place(built_in(name, alpha), 0.5, u.dtype)
        assert write is not None
        got, want = u.copy(), 0.5 * formula(alpha, u.astype(float))
        write(got, np.empty_like(u))
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-7 if dtype == "float32" else 0)


def test_only_exact_built_ins_take_the_table() -> None:
    atan = built_in("ATan", 2.0)
    sub_class = type("ATan", (type(atan),), {})

    dtype = np.dtype("float32")
    assert set(FORMULAS) == set(surrogates._MAKERS)
    assert surrogates.in_place(atan, 1.0, dtype) is not None
    assert surrogates.in_place(sub_class(2.0), 1.0, dtype) is None
    assert surrogates.in_place(type("ATan", (), {"alpha": 2.0})(), 1.0, dtype) is None
    assert surrogates.in_place(built_in("ATan", 1e9), 1.0, dtype) is None


class Square:
    """A surrogate that no table knows; it asks for a gradient to see whether the tape runs."""

    def derivative(self, u: Any) -> Any:
        made = u.requires_grad_() * u
        assert not made.requires_grad
        return made


def test_derivative_of_wraps_and_records_nothing() -> None:
    u = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    np.testing.assert_allclose(surrogates.derivative_of(Square(), u, NumpyBackend(None)), u * u)
