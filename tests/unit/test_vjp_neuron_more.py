"""Gradients of the neurons with more than a leak: formulas against a network made smooth, kernels against the tape.

As in ``test_vjp_neurons.py``: with the surrogate's primitive in place of the step, the tape's gradient of an op's body is
the derivative of the network; the rule's formulas, in the same smooth network, and the kernels, with the true step,
are equal to the tape's gradient.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from checks import check_vjp, gradients
from smooth_spikes import smooth_spike  # noqa: F401 - a fixture

from grilly_core import ops
from grilly_core.op import Op
from grilly_core.surrogate import ATan, Sigmoid, Surrogate
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

FUSED: dict[str, dict[str, Any]] = {
    "klif": {"rate": 0.375},
    "cuba_lif": {"c_decay": 0.5, "v_decay": 0.7},
    "alif": {"rate": 0.375, "a_decay": 0.8, "beta": 0.3},
}
BODIES: dict[str, dict[str, Any]] = {
    "qif": {"rate": 0.5, "v_c": 0.8, "a0": 1.0, "v_rest": -0.1},
    "eif": {"rate": 0.5, "delta_t": 1.2, "theta_rh": 0.8, "v_rest": -0.1},
    "izhikevich": {"rate": 0.5, "v_c": 0.8, "a0": 0.9, "v_rest": -0.1, "w_rate": 0.4, "a": 0.3, "b": 0.2},
    "ternary_lif": {"rate": 0.4},
}
RESETS = [0.0, -0.25, None]


def op_of(kind: str) -> Op:
    op: Op = getattr(ops, f"{kind}_multi_step")
    return op


def attributes(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool, save_v: bool
) -> dict[str, Any]:
    """Every attribute of the op of one kind."""
    common: dict[str, Any] = {
        "v_threshold": 0.625,
        "v_reset": v_reset,
        "decay_input": decay_input,
        "detach_reset": detach_reset,
        "surrogate": ATan(2.0),
        "save_v": save_v,
    }
    own = {**FUSED, **BODIES}[kind]
    return {**{name: value for name, value in common.items() if name in op_of(kind).attributes}, **own}


def inputs(kind: str, steps: int, inverse: bool = True, slope: float = 1.3) -> list[Any]:
    """x, the states, and for KLIF k and its inverse: neurons fire now and then."""
    rng = np.random.default_rng(3)
    shape = (2, 4)
    # Quadratic and exponential ones run away from a large potential.
    mean, size = (0.3, 0.4) if kind in BODIES else (0.7, 1.2)
    args: list[Any] = [rng.standard_normal((steps, *shape)) * size + mean, rng.standard_normal(shape) * 0.3]
    if kind == "klif":
        return [*args, np.array(slope), np.array(1 / slope) if inverse else None]
    if kind in ("cuba_lif", "alif", "izhikevich"):
        args.append(rng.uniform(0.1, 0.5, shape))
    return args


def cotangents(results: list[Tensor]) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(1)
    return {i: rng.standard_normal(y.shape) for i, y in enumerate(results)}


def run_body(op: Op, args: list[Any], attrs: dict[str, Any]) -> list[Tensor]:
    return list(op.run_body([None if a is None else tensor(a) for a in args], op.bind(attrs)))


def close(found: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(found, wanted, strict=True):
        if b is None:  # the tape found no way there; a rule says 0
            assert a is None or not a.any()
        else:
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(b).max(initial=0.0)))


def rule_by_hand(
    op: Op, args: list[Any], attrs: dict[str, Any], arriving: dict[int, np.ndarray]
) -> list[Any]:
    """Gradients at x and the states from the composite of the rule; those at the slopes behind them."""
    states = 1 if "klif" in op.name else 2
    given = [None if a is None else tensor(a) for a in args]
    into = [None if i not in arriving else tensor(arriving[i]) for i in range(states + 2)]
    vjp: Op = getattr(ops, f"{op.name}_vjp")
    values = {name: value for name, value in attrs.items() if name != "save_v"}
    made = vjp.run_body([*into, *given], values)
    found: list[Any] = [g.numpy() for g in made[: 1 + states]]
    for i, a in enumerate(args[1 + states :]):
        found.append(None if a is None else made[1 + states].numpy()[i])
    return found


SETTINGS = list(itertools.product(RESETS, [True, False], [False, True]))


@pytest.mark.parametrize("v_reset, decay_input, detach_reset", SETTINGS)
@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_kernel_has_the_gradient_of_the_body(
    kind: str, steps: int, v_reset: float | None, decay_input: bool, detach_reset: bool
) -> None:
    op, attrs = op_of(kind), attributes(kind, v_reset, decay_input, detach_reset, True)
    for inverse, slope in [(False, 1.3), (True, 1.3), (True, -0.6)] if kind == "klif" else [(False, 1.0)]:
        args = inputs(kind, steps, inverse, slope)
        made = [y.numpy() for y in op(*[None if a is None else tensor(a) for a in args], **attrs)]
        results = run_body(op, args, attrs)
        for a, b in zip(made, results, strict=True):
            np.testing.assert_array_equal(a, b.numpy())
        assert steps < 9 or slope < 0 or 0.05 < made[0].mean() < 0.95
        everything = cotangents(results)
        for arriving in ((0,), (1,), (len(made) - 1,), tuple(everything)):
            chosen = {i: everything[i] for i in arriving}
            wanted = gradients(lambda *a: op.run_body(a, op.bind(attrs)), args, chosen)
            close(gradients(lambda *a: op(*a, **attrs), args, chosen), wanted)


@pytest.mark.parametrize("kind", FUSED)
def test_a_surrogate_of_the_users_own_goes_through_the_kernel(kind: str) -> None:
    class Triangle(Surrogate):
        def derivative(self, u: Tensor) -> Tensor:
            return (1.0 - u.abs()).relu()

    op, args = op_of(kind), inputs(kind, 6)
    for surrogate in (Sigmoid(4.0), Triangle()):
        attrs = {**attributes(kind, None, True, False, False), "surrogate": surrogate}
        arriving = {0: np.random.default_rng(2).standard_normal(args[0].shape)}
        wanted = gradients(lambda *a, attrs=attrs: op.run_body(a, op.bind(attrs)), args, arriving)
        close(gradients(lambda *a, attrs=attrs: op(*a, **attrs), args, arriving), wanted)


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("v_reset, decay_input", list(itertools.product(RESETS, [True, False])))
@pytest.mark.parametrize("kind", [*FUSED, *BODIES])
def test_formula_through_time(kind: str, v_reset: float | None, decay_input: bool) -> None:
    op, args = op_of(kind), inputs(kind, 5)
    for save_v in (False, True):
        attrs = op.bind(attributes(kind, v_reset, decay_input, False, save_v))
        check_vjp(lambda *a, attrs=attrs: op.run_body(a, attrs), args, tolerance=5e-8)


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("v_reset, decay_input, detach_reset", SETTINGS)
@pytest.mark.parametrize("kind", FUSED)
def test_rule_is_the_gradient_of_the_smooth_body(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool
) -> None:
    op, args = op_of(kind), inputs(kind, 5)
    attrs = attributes(kind, v_reset, decay_input, detach_reset, True)
    arriving = cotangents(run_body(op, args, attrs))
    wanted = gradients(lambda *a: op.run_body(a, op.bind(attrs)), args, arriving)
    close(rule_by_hand(op, args, attrs, arriving), wanted)


def test_an_integer_neuron_passes_the_gradient_of_the_clip() -> None:
    """S is a staircase; at its potential arrives what arrives at the clip, 1 from 0 to the most spikes, ends included."""
    threshold, most, rate = 0.5, 3, 0.25
    h = np.array([[-0.1, 0.0, 0.2, 0.75, 1.5, 1.6]])
    x, g = np.concatenate([h, np.full((1, 6), 0.3)]), np.random.default_rng(1).standard_normal((2, 6))
    attrs: dict[str, Any] = {"rate": rate, "max_spike_count": most, "v_threshold": threshold}
    counts, v = ops.ilif_multi_step(x, np.zeros(6), **attrs)
    np.testing.assert_array_equal(counts.numpy()[0], [0.0, 0.0, 0.0, 2.0, 3.0, 3.0])
    v1 = h[0] - counts.numpy()[0] * threshold
    h2 = v1 - v1 * rate + 0.3
    inside = [((p >= 0) & (p / threshold <= most)).astype(float) / threshold for p in (h[0], h2)]
    for detach_reset in (False, True):
        (found,) = gradients(
            lambda x, d=detach_reset: ops.ilif_multi_step(x, tensor(np.zeros(6)), detach_reset=d, **attrs),
            [x],
            {0: g},
        )
        reset = 1.0 if detach_reset else 1.0 - threshold * inside[0]
        second = g[1] * inside[1]
        first = g[0] * inside[0] + second * (1 - rate) * reset
        np.testing.assert_allclose(found, np.stack([first, second]), rtol=1e-12)
    np.testing.assert_allclose(v.numpy(), h2 - counts.numpy()[1] * threshold, rtol=1e-14)
