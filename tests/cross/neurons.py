"""Neurons to draw: the constants they may have, and how many binary digits a potential can need.

On the grid every result must be exact in float32 whatever the order of additions, so book is kept of the digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core.surrogate import Rect
from grilly_core.testing.cases.neuron import SURROGATES

from .plans import Layer

__all__ = [
    "COUNTS", "GRID_NEURONS", "HALF", "QUARTER", "REAL_NEURONS", "SPIKES", "Digits", "grid_neuron", "parallel_neuron",
    "potentials", "real_neuron", "weighed",
]  # fmt: skip

_MANTISSA = 24
_THRESHOLDS = (1.0, 0.5, 2.0)
_LOW = (0.5, 1.0)
HALF, QUARTER = 1 / math.log(2), 1 / math.log(4)
"""Time constants of traces that decay to 1/2 and to 1/4 in a step."""

_SMOOTH = tuple([surrogate for surrogate in SURROGATES if not isinstance(surrogate, Rect)])


@dataclass(frozen=True)
class Digits:
    """Values are multiples of ``2**unit`` up to ``limit`` in magnitude."""

    unit: int
    limit: float

    def fit(self) -> bool:
        """Whether a float32 holds them all."""
        return math.log2(self.limit) - self.unit <= _MANTISSA


SPIKES = Digits(0, 1.0)
COUNTS = Digits(0, 4.0)


def potentials(per_step: int) -> Callable[[Digits, int], Digits]:
    """Potentials of a neuron whose every step adds so many digits behind the point."""
    return lambda x, steps: Digits(min(x.unit, -2) - per_step * steps, (steps + 1) * (x.limit + 4.0))


def weighed(x: Digits, count: int) -> Digits:
    """Sums of ``count`` products with multiples of 1/4 up to 1, and a bias."""
    return Digits(x.unit - 2, x.limit * count + 1.0)


def _adaptive(x: Digits, steps: int) -> Digits:
    leaky = potentials(1)(x, steps)
    return Digits(leaky.unit - 2, leaky.limit)


def _current(x: Digits, steps: int) -> Digits:
    return Digits(min(x.unit, -2) - steps - 1, (steps + 1) ** 2 * (x.limit + 4.0))


GRID_NEURONS: dict[str, tuple[tuple[dict[str, Any], Callable[[Digits, int], Digits]], ...]] = {
    "IFNode": (({}, potentials(0)),),
    "LIFNode": (({"tau": 2.0}, potentials(1)), ({"tau": 4.0}, potentials(2))),
    "ParametricLIFNode": (({"init_tau": 2.0}, potentials(1)),),
    "KLIFNode": (({"tau": 2.0}, potentials(1)), ({"tau": 4.0, "scale_reset": True}, potentials(2))),
    "CubaLIFNode": (({"c_decay": 0.5, "v_decay": 0.5}, _current),),
    "ALIFNode": (({"tau": 2.0, "tau_a": HALF, "beta": 0.5}, _adaptive),),
    "TernaryLIFNode": (({"tau": 2.0}, potentials(1)), ({"tau": 4.0}, potentials(2))),
    "ILIFNode": (
        ({"tau": 2.0, "max_spike_count": 4}, potentials(1)),
        ({"tau": 4.0, "max_spike_count": 2}, potentials(2)),
    ),
}
"""Neurons that compute with + - * and comparisons; constants that they have on the grid; the digits of their potentials."""

_TAU = st.floats(1.0, 8.0)
REAL_NEURONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "IFNode": {},
    "LIFNode": {"tau": _TAU},
    "ParametricLIFNode": {"init_tau": st.floats(1.1, 8.0)},
    "KLIFNode": {"tau": _TAU, "scale_reset": st.booleans()},
    "CubaLIFNode": {"c_decay": st.floats(0.0, 1.0), "v_decay": st.floats(0.0, 1.0)},
    "ALIFNode": {"tau": _TAU, "tau_a": st.floats(1.0, 20.0), "beta": st.floats(-0.2, 0.5)},
    "TernaryLIFNode": {"tau": _TAU},
    "QIFNode": {"tau": st.floats(2.0, 8.0)},
    "EIFNode": {"tau": st.floats(2.0, 8.0)},
    "IzhikevichNode": {"tau": st.floats(2.0, 8.0), "a": st.floats(0.0, 0.5), "b": st.floats(0.0, 0.5)},
}
"""The same with any constants, and those that square or take exponentials."""

_COUNTING = ("ILIFNode",)  # rounds where others compare: away from the grid nothing says how close it was
_NO_DECAY_INPUT = ("IFNode", "ILIFNode", "CubaLIFNode", "QIFNode", "EIFNode", "IzhikevichNode")
_HARD_RESET = ("QIFNode", "EIFNode", "IzhikevichNode")
_RESET_TO_REST = ("TernaryLIFNode",)


def _resets(kind: str) -> tuple[float | None, ...]:
    if kind in _RESET_TO_REST:
        return (0.0, None)
    return (0.0, -0.25) if kind in _HARD_RESET else (0.0, None, -0.25, 0.5)


def _neuron(draw: DrawFn, kind: str, constants: dict[str, Any], exact: bool, v_seq: bool) -> Layer:
    """A neuron with any reset and surrogate; away from the grid one without jumps, which rounding could cross."""
    settings: dict[str, Any] = {
        **constants,
        "v_threshold": draw(st.sampled_from(_THRESHOLDS if exact else _LOW)),
        "detach_reset": draw(st.booleans()),
    }
    if kind not in _COUNTING:
        settings["v_reset"] = draw(st.sampled_from(_resets(kind)))
        settings["surrogate_function"] = draw(st.sampled_from(SURROGATES if exact else _SMOOTH))
    if kind not in _NO_DECAY_INPUT:
        settings["decay_input"] = draw(st.booleans())
    if v_seq:
        settings["store_v_seq"] = draw(st.booleans())
    return Layer(kind, settings)


def grid_neuron(draw: DrawFn, x: Digits, steps: int, v_seq: bool) -> Layer:
    """A neuron whose potentials are exact for input of these digits."""
    fitting = [
        (kind, constants)
        for kind, choices in GRID_NEURONS.items()
        for constants, digits in choices
        if digits(x, steps).fit()
    ]
    return _neuron(draw, *draw(st.sampled_from(fitting)), exact=True, v_seq=v_seq)


def real_neuron(draw: DrawFn, v_seq: bool) -> Layer:
    """A neuron with any constants."""
    kind = draw(st.sampled_from(tuple(REAL_NEURONS)))
    constants = {name: draw(values) for name, values in REAL_NEURONS[kind].items()}
    return _neuron(draw, kind, constants, exact=False, v_seq=v_seq)


def parallel_neuron(draw: DrawFn, steps: int, whole: bool) -> Layer:
    """A neuron without reset that sees several steps at once; with ``whole`` also one that needs all of them."""
    kind = draw(st.sampled_from(("SlidingPSN", "PSN", "MaskedPSN") if whole else ("SlidingPSN",)))
    own: dict[str, Any] = {"surrogate_function": draw(st.sampled_from(_SMOOTH))}
    if kind != "PSN":
        own["k"] = draw(st.sampled_from((1, 2, 4)))
    if kind != "SlidingPSN":
        own["T"] = steps
    if kind == "MaskedPSN":
        own["lambda_init"] = 0.5
    return Layer(kind, own)
