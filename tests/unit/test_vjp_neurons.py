"""Gradients of spikes: the formulas against a network made smooth, the kernels against the tape.

A surrogate's gradient is no derivative of the step function. Two facts together say that it is right: with
``surrogate.primitive`` in place of the step everywhere, potentials included, the gradient through time is the
derivative of the network (finite differences); and with the true step, the fused rule equals the gradient of the
composite body on the tape.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from checks import STEP, check_vjp, gradients
from smooth_spikes import smooth_spike  # noqa: F401 - a fixture

from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.op import Op
from grilly_core.ops.random import philox
from grilly_core.surrogate import (
    ATan,
    Erf,
    FastSigmoid,
    PiecewiseExp,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
)
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

KINDS = ["if", "lif", "plif"]
K = 0.375
SMOOTH = [
    ATan(2.0),
    Sigmoid(4.0),
    FastSigmoid(2.0),
    PiecewiseExp(1.5),
    SuperSpike(0.5),
    Erf(1.0),
    StraightThrough(),
]


def constants(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool, surrogate: Surrogate
) -> Any:
    """Attributes of the ops of one kind."""
    attrs: dict[str, Any] = dict(
        v_threshold=0.625, v_reset=v_reset, detach_reset=detach_reset, surrogate=surrogate
    )
    if kind != "if":
        attrs["decay_input"] = decay_input
    if kind == "lif":
        attrs["k"] = K
    return attrs


def grid_of(steps: tuple[int, ...]) -> list[Any]:
    """Kinds x resets x decay_input x detach_reset x steps, without repeats for neurons that have no leak."""
    rows = []
    for kind, reset, decay, detach, t in itertools.product(
        KINDS, [0.0, -0.25, None], [True, False], [False, True], steps
    ):
        if kind != "if" or decay:
            name = f"{kind}-{reset}-{'decay' if decay else 'raw'}-{'detach' if detach else 'full'}-T{t}"
            rows.append(pytest.param(kind, reset, decay, detach, t, id=name))
    return rows


def inputs(kind: str, shape: tuple[int, ...], seed: int = 3) -> list[np.ndarray]:
    """x, v and, for PLIF, k: near the threshold often enough that neurons fire now and then."""
    rng = np.random.default_rng(seed)
    args = [rng.standard_normal(shape) * 1.2 + 0.7, rng.standard_normal(shape[1:]) * 0.3]
    return [*args, np.array(K)] if kind == "plif" else args


# With the true step: kernels and rules against the body on the tape


@pytest.mark.parametrize("kind, v_reset, decay_input, detach_reset, steps", grid_of((1, 2, 7, 32)))
def test_fused_gradient_is_that_of_the_body(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool, steps: int
) -> None:
    op: Op = getattr(ops, f"{kind}_multi_step")
    attrs = constants(kind, v_reset, decay_input, detach_reset, ATan(2.0))
    args = inputs(kind, (steps, 2, 5))
    rng = np.random.default_rng(1)
    shapes = [(steps, 2, 5), (2, 5), (steps, 2, 5)]
    everything = {i: rng.standard_normal(shape) for i, shape in enumerate(shapes)}
    spikes = op(*[tensor(a) for a in args], **attrs)[0].numpy()
    assert steps < 7 or 0.05 < spikes.mean() < 0.95
    values = op.bind({**attrs, "save_h": True})
    for arriving in ((0,), (1,), (0, 1), (0, 1, 2)):
        cotangents = {i: everything[i] for i in arriving}
        wanted = gradients(lambda *a: op.run_body(a, values), args, cotangents)
        for save_h in (True,) if 2 in arriving else (True, False):
            found = gradients(functools.partial(op, **attrs, save_h=save_h), args, cotangents)
            close(found, wanted)


def close(found: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(b).max(initial=0.0)))


@pytest.mark.parametrize("kind, v_reset, decay_input, detach_reset, steps", grid_of((1,)))
def test_single_step_gradient_is_that_of_the_body(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool, steps: int
) -> None:
    op: Op = getattr(ops, f"{kind}_step")
    attrs = constants(kind, v_reset, decay_input, detach_reset, Sigmoid(4.0))
    x, *rest = inputs(kind, (steps, 3, 5))
    rng = np.random.default_rng(1)
    everything = {i: rng.standard_normal((3, 5)) for i in (0, 1)}
    for arriving in ((0,), (1,), (0, 1)):
        cotangents = {i: everything[i] for i in arriving}
        found = gradients(lambda *a: op(*a, **attrs), [x[0], *rest], cotangents)
        wanted = gradients(lambda *a: op.run_body(a, attrs), [x[0], *rest], cotangents)
        close(found, wanted)


@pytest.mark.parametrize("surrogate", SMOOTH, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_fused_gradient_with_every_surrogate(kind: str, surrogate: Surrogate) -> None:
    op: Op = getattr(ops, f"{kind}_multi_step")
    attrs = op.bind({**constants(kind, 0.0, True, False, surrogate), "save_h": True})
    args = inputs(kind, (6, 11))
    cotangents = {0: np.random.default_rng(2).standard_normal((6, 11))}
    wanted = gradients(lambda *a: op.run_body(a, attrs), args, cotangents)
    close(gradients(lambda *a: op(*a, **attrs), args, cotangents), wanted)


def test_each_argument_alone() -> None:
    """A gradient for one of x, v and k only."""
    attrs = constants("plif", None, True, False, ATan())
    args = inputs("plif", (5, 4))
    cotangents = {0: np.random.default_rng(2).standard_normal((5, 4))}

    def call(*a: Any) -> Any:
        return ops.plif_multi_step(*a, **attrs)

    together = gradients(call, args, cotangents)
    for at in range(3):
        alone = gradients(call, args, cotangents, lambda i, at=at: i == at)
        assert [g is not None for g in alone] == [i == at for i in range(3)]
        np.testing.assert_allclose(alone[at], together[at], rtol=1e-12)  # type: ignore[arg-type]


# With a smooth step: the formulas against finite differences


def primitive(surrogate: Surrogate, u: np.ndarray) -> np.ndarray:
    with no_grad():
        return surrogate.primitive(tensor(u, backend="numpy")).numpy()


def smooth_network(
    args: list[np.ndarray],
    attrs: dict[str, Any],
    resetting: list[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Smooth spikes, last v and H, written after the table in the documents.

    ``resetting`` are the spikes the reset uses: constants, which is what ``detach_reset`` makes of them.
    """
    x, v, *learnt = args
    k = float(learnt[0]) if learnt else attrs.get("k")
    rest = attrs["v_reset"] or 0.0
    spikes, potentials = [], []
    for t in range(len(x)):
        if k is None:
            h = v + x[t]
        elif attrs["decay_input"]:
            h = v + (x[t] - (v - rest)) * k
        else:
            h = v - (v - rest) * k + x[t]
        s = primitive(attrs["surrogate"], h - attrs["v_threshold"])
        used = s if resetting is None else resetting[t]
        v = h - attrs["v_threshold"] * used if attrs["v_reset"] is None else (1 - used) * h + used * rest
        spikes.append(s)
        potentials.append(h)
    return spikes, v, np.stack(potentials)


def check_smooth(kind: str, args: list[np.ndarray], attrs: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, v = args[:2]
    g_s, g_v, g_h = rng.standard_normal(x.shape), rng.standard_normal(v.shape), rng.standard_normal(x.shape)
    spikes, _, h = smooth_network(args, attrs)
    held = spikes if attrs["detach_reset"] else None

    def loss(moved: list[np.ndarray]) -> float:
        s, last, potentials = smooth_network(moved, attrs, held)
        return float(np.sum(np.stack(s) * g_s) + np.sum(last * g_v) + np.sum(potentials * g_h))

    vjp: Op = getattr(ops, f"{kind}_multi_step_vjp")
    more = args if kind == "plif" else []
    given = [tensor(a, backend="numpy") for a in (g_s, g_v, g_h, h, *more)]
    found = [g.numpy() for g in vjp.run_body(given, attrs)]
    assert len(found) == len(args)
    for at, grad in enumerate(found):
        direction = rng.standard_normal(grad.shape)
        high, low = (
            loss([a + sign * STEP * direction if i == at else a for i, a in enumerate(args)])
            for sign in (1, -1)
        )
        numeric = (high - low) / (2 * STEP)
        size = 1.0 + np.linalg.norm(grad) * np.linalg.norm(direction)
        assert abs(np.sum(grad * direction) - numeric) <= 5e-8 * size, f"gradient at argument {at} of {kind}"


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("kind, v_reset, decay_input, detach_reset, steps", grid_of((1, 2, 7)))
def test_formula_through_time(
    kind: str, v_reset: float | None, decay_input: bool, detach_reset: bool, steps: int
) -> None:
    attrs = constants(kind, v_reset, decay_input, detach_reset, ATan(2.0))
    check_smooth(kind, inputs(kind, (steps, 2, 3)), attrs, seed=steps)


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("surrogate", SMOOTH, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_formula_with_every_smooth_surrogate(kind: str, surrogate: Surrogate) -> None:
    check_smooth(kind, inputs(kind, (4, 3)), constants(kind, -0.25, True, False, surrogate), seed=5)


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("surrogate", SMOOTH, ids=lambda s: type(s).__name__)
def test_spike_has_the_derivative_of_the_primitive(surrogate: Surrogate) -> None:
    u = np.random.default_rng(0).standard_normal((4, 3)) + 0.01
    check_vjp(lambda x: ops.spike(x, surrogate=surrogate), [u])


@pytest.mark.usefixtures("smooth_spike")
def test_the_body_follows_the_table() -> None:
    """The smooth network of these tests and the body of the op are the same function."""
    args = inputs("lif", (5, 3))
    attrs = ops.lif_multi_step.bind({**constants("lif", -0.25, False, False, ATan()), "save_h": True})
    s, v, h = (y.numpy() for y in ops.lif_multi_step.run_body([tensor(a) for a in args], attrs))
    spikes, last, potentials = smooth_network(args, attrs)
    np.testing.assert_allclose(s, np.stack(spikes), rtol=1e-14)
    np.testing.assert_allclose(v, last, rtol=1e-14)
    np.testing.assert_allclose(h, potentials, rtol=1e-14)


def test_gradient_after_many_steps_stays_finite() -> None:
    """A silent neuron and one that fires at every step, over 200 steps in float32."""
    words = philox(400, seed=1, stream=0).reshape(200, 2)
    x = tensor((words % 3).astype(np.float32) * np.array([0.0, 1.0], np.float32), requires_grad=True)
    spikes: Tensor = ops.lif_multi_step(x, tensor(np.zeros(2, np.float32)), k=0.5, surrogate=ATan())[0]
    assert spikes.numpy()[:, 0].sum() == 0 and spikes.numpy()[:, 1].sum() > 20
    spikes.sum().backward()
    assert x.grad is not None and np.isfinite(x.grad.numpy()).all()
