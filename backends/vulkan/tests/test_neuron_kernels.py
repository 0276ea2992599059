"""Neurons on the device: spikes and potentials bit for bit, gradients from saved potentials and from the input."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip
from neuron_reference import forward

import grilly
from grilly import nn
from grilly_core import ops
from grilly_core.errors import UnsupportedOpError
from grilly_core.selection import resolve
from grilly_core.surrogate import Surrogate
from grilly_core.testing.tolerances import neuron_scales, value_tolerance

KINDS = ["if", "lif", "plif"]
RESETS = [0.0, -0.25, None]
K, THRESHOLD = 0.3, 0.75
SURROGATES = [
    nn.ATan(), nn.Sigmoid(), nn.FastSigmoid(), nn.PiecewiseQuadratic(), nn.PiecewiseExp(), nn.SuperSpike(), nn.Erf(),
    nn.Rect(), nn.StraightThrough(), nn.ATan(alpha=5.0), nn.Sigmoid(alpha=0.5), nn.FastSigmoid(alpha=30.0),
    nn.PiecewiseQuadratic(alpha=0.3), nn.PiecewiseExp(alpha=3.0), nn.SuperSpike(alpha=7.0), nn.Erf(alpha=0.6),
    nn.Rect(alpha=0.2),
]  # fmt: skip


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def draw(shape: tuple[int, ...], seed: int, mean: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) + mean).astype(np.float32)


def attributes(
    kind: str, v_reset: float | None = 0.0, decay_input: bool = True, **more: Any
) -> dict[str, Any]:
    attrs: dict[str, Any] = dict(
        v_threshold=THRESHOLD, v_reset=v_reset, detach_reset=False, surrogate=nn.ATan()
    )
    if kind != "if":
        attrs["decay_input"] = decay_input
    if kind == "lif":
        attrs["k"] = K
    return {**attrs, **more}


def learned(kind: str) -> tuple[np.ndarray, ...]:
    return (np.array(K, np.float32),) if kind == "plif" else ()


def call(target: Any, name: str, args: tuple[Any, ...], attrs: dict[str, Any]) -> list[np.ndarray]:
    """The results of an op on arrays, None among them, on a backend."""
    placed = [None if a is None else grilly.tensor(a, backend=target) for a in args]
    return [y.numpy() for y in getattr(ops, name)(*placed, **attrs)]


def assert_same(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def assert_gradients(name: str, got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    scales = neuron_scales(name, expected)
    for a, b, scale in zip(got, expected, scales, strict=True):
        assert a.shape == b.shape
        assert (np.abs(a - b) <= value_tolerance(name).allowed(b, scale)).all()


# Forward


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("decay_input", [True, False])
def test_forward_is_bit_equal_to_the_formulas(
    backend: Any, kind: str, v_reset: float | None, decay_input: bool
) -> None:
    k = None if kind == "if" else K
    for steps, shape in [(1, (63,)), (4, (3, 5)), (7, (1031,)), (32, (65,)), (33, (64,)), (70, (257,))]:
        x, v = draw((steps, *shape), steps, 0.7), draw(shape, 99)
        run = forward(x, v, k, THRESHOLD, v_reset, decay_input)
        assert steps == 1 or 0.05 < run.s.mean() < 0.95
        args, attrs = (x, v, *learned(kind)), attributes(kind, v_reset, decay_input)
        expected = [run.s, run.v[-1], run.h]
        assert_same(call(backend, f"{kind}_multi_step", args, {**attrs, "save_h": True}), expected)
        assert_same(call(backend, f"{kind}_multi_step", args, {**attrs, "save_h": False}), expected[:2])
        assert_same(call(backend, f"{kind}_step", (x[0], *args[1:]), attrs), [run.s[0], run.v[0]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)])
def test_any_shape_of_state(backend: Any, kind: str, shape: tuple[int, ...]) -> None:
    x, v = draw((3, *shape), 1, 0.4), draw(shape, 2)
    for name, args, attrs in [
        (f"{kind}_multi_step", (x, v), {"save_h": True}),
        (f"{kind}_step", (x[0], v), {}),
        (f"{kind}_multi_step_recompute_vjp", (x, None, x, v), {}),
    ]:
        both = [
            call(t, name, (*args, *learned(kind)), attributes(kind, **attrs))
            for t in (backend, resolve("numpy"))
        ]
        for got, expected in zip(*both, strict=True):
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("v_reset", RESETS)
def test_nan_never_fires_and_what_is_not_finite_stays_so(backend: Any, v_reset: float | None) -> None:
    x = draw((5, 8), 1)
    x[1, :3] = [np.nan, np.inf, -np.inf]
    attrs = attributes("lif", v_reset, save_h=True)
    s, last, h = call(backend, "lif_multi_step", (x, np.zeros(8, np.float32)), attrs)
    assert not s[np.isnan(h)].any() and s[1, 1] == 1
    assert not np.isfinite(h[1:, :3]).any() and not np.isfinite(last[:3]).any()
    assert np.isfinite(h[:, 3:]).all()


def test_equality_fires_and_an_unreachable_threshold_does_not(backend: Any) -> None:
    x, v = (
        np.array([[0.75, np.nextafter(np.float32(0.75), np.float32(0))]], np.float32),
        np.zeros(2, np.float32),
    )
    assert call(backend, "if_multi_step", (x, v), attributes("if"))[0].tolist() == [[1.0, 0.0]]
    beyond = attributes("if", v_threshold=1e39)  # infinite in float32
    assert call(backend, "if_multi_step", (x, v), beyond)[0].tolist() == [[0.0, 0.0]]


# Layouts


def recorded(backend: Any, function: Any) -> tuple[Any, int]:
    """What ``function`` returns, and how many dispatches it recorded."""
    before = backend.stream.ops
    result = function()
    return result, backend.stream.ops - before


def test_repeated_inputs_are_read_in_place(backend: Any) -> None:
    picture, steps = draw((3, 50), 1, 0.6), 5
    whole = np.repeat(picture[None], steps, axis=0)
    x = ops.broadcast_to(grilly.tensor(picture, backend=backend), shape=whole.shape)
    v = grilly.zeros(picture.shape, backend=backend)
    g = ops.broadcast_to(grilly.tensor(picture, backend=backend), shape=whole.shape)
    attrs = attributes("lif")
    (s, last), count = recorded(backend, lambda: ops.lif_multi_step(x, v, **attrs))
    assert count == 1
    assert_same([s.numpy(), last.numpy()], call(backend, "lif_multi_step", (whole, 0 * picture), attrs))
    grads, count = recorded(backend, lambda: ops.lif_multi_step_recompute_vjp(g, None, x, v, **attrs))
    assert count == 1
    expected = call(backend, "lif_multi_step_recompute_vjp", (whole, None, whole, 0 * picture), attrs)
    assert_same([g.numpy() for g in grads], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_views_of_any_layout(backend: Any, kind: str) -> None:
    x, v, g = draw((6, 4, 9), 1, 0.4), draw((4, 9), 2), draw((6, 4, 9), 3)
    wide = np.zeros((9, 4, 12), np.float32)
    wide[:, :, ::2] = x.transpose(2, 1, 0)
    views = [
        grilly.tensor(wide, backend=backend)[:, :, ::2].transpose(),
        grilly.tensor(v.T.copy(), backend=backend).transpose(),
        grilly.tensor(g.T.copy(), backend=backend).transpose(),
    ]
    k = [grilly.tensor(a, backend=backend) for a in learned(kind)]
    attrs = attributes(kind)
    got = [
        *getattr(ops, f"{kind}_multi_step")(*views[:2], *k, **attrs),
        *getattr(ops, f"{kind}_step")(views[0][0], views[1], *k, **attrs),
        *getattr(ops, f"{kind}_multi_step_recompute_vjp")(views[2], views[1], *views[:2], *k, **attrs),
    ]
    expected = [
        *call(backend, f"{kind}_multi_step", (x, v, *learned(kind)), attrs),
        *call(backend, f"{kind}_step", (x[0], v, *learned(kind)), attrs),
        *call(backend, f"{kind}_multi_step_recompute_vjp", (g, v, x, v, *learned(kind)), attrs),
    ]
    assert_same([y.numpy() for y in got], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_folded_into_two_dimensions(backend: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neurons for more than three workgroups, also of those that take four each.
    x, v, g = draw((3, 5000), 1, 0.4), draw((5000,), 2), draw((3, 5000), 3)
    calls = [
        (f"{kind}_step", (x[0], v)),
        (f"{kind}_multi_step", (x, v)),
        (f"{kind}_multi_step_recompute_vjp", (g, v, x, v)),
        (f"{kind}_multi_step_vjp", (g, v, None, x, *((x, v) if kind == "plif" else ()))),
    ]
    attrs = attributes(kind)
    flat = [call(backend, name, (*args, *learned(kind)), attrs) for name, args in calls]
    monkeypatch.setattr("grilly_vulkan.stream._GROUPS_X", 3)
    for (name, args), expected in zip(calls, flat, strict=True):
        assert_same(call(backend, name, (*args, *learned(kind)), attrs), expected)


# Gradients


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("decay_input", [True, False])
def test_both_gradients_through_time(
    backend: Any, kind: str, v_reset: float | None, detach_reset: bool, decay_input: bool
) -> None:
    attrs = attributes(kind, v_reset, decay_input, detach_reset=detach_reset)
    sizes = [(1, 65), (4, 1031), (32, 63), (33, 257), (70, 64)]
    for (steps, n), g_v, g_h in zip(
        sizes, itertools.cycle([True, False]), itertools.cycle([True, True, False]), strict=False
    ):
        x, v, g_s = draw((steps, n), 1, 0.4), draw((n,), 2), draw((steps, n), 3)
        last, at_h = (draw((n,), 4) if g_v else None), (draw((steps, n), 5) if g_h else None)
        k = learned(kind)
        h = call(backend, f"{kind}_multi_step", (x, v, *k), {**attrs, "save_h": True})[2]
        saved = (h, x, v, *k) if kind == "plif" else (h,)
        name = f"{kind}_multi_step_vjp"
        expected = call(resolve("numpy"), name, (g_s, last, at_h, *saved), attrs)
        assert_gradients(name, call(backend, name, (g_s, last, at_h, *saved), attrs), expected)
        expected = call(resolve("numpy"), name, (g_s, last, None, *saved), attrs)
        again = call(backend, f"{kind}_multi_step_recompute_vjp", (g_s, last, x, v, *k), attrs)
        assert_gradients(name, again, expected)


@pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
def test_every_surrogate(backend: Any, surrogate: Surrogate) -> None:
    h, g = draw((3, 500), 1, THRESHOLD) * 2, np.ones((3, 500), np.float32)
    h[0, :8] = [THRESHOLD, 1e4, -1e4, 1e15, -1e15, np.inf, -np.inf, 1e-3 + THRESHOLD]
    attrs = attributes("if", None, detach_reset=True, surrogate=surrogate)
    # One step at a time, nothing arriving from later: g_x is the derivative itself.
    for row in h:
        got = call(backend, "if_multi_step_vjp", (g[:1], None, None, row[None]), attrs)[0][0]
        u = grilly.tensor(row.astype(np.float64) - THRESHOLD, backend="numpy")
        with np.errstate(all="ignore"):
            expected = surrogate.derivative(u).numpy()
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6 * np.abs(expected).max())


def test_the_gradient_of_the_leak_sums_in_a_fixed_order(backend: Any) -> None:
    x, v, g = draw((9, 4099), 1, 0.4), draw((4099,), 2), draw((9, 4099), 3)
    args = (g, None, x, v, *learned("plif"))
    results = [call(backend, "plif_multi_step_recompute_vjp", args, attributes("plif"))[2] for _ in range(3)]
    assert results[0].shape == () and len({r.tobytes() for r in results}) == 1
    wide = [None if a is None else a.astype(np.float64) for a in args]
    expected = call(resolve("numpy"), "plif_multi_step_recompute_vjp", tuple(wide), attributes("plif"))[2]
    np.testing.assert_allclose(results[0], expected, rtol=1e-4)


@dataclasses.dataclass(frozen=True)
class Flat(nn.ATan):
    """A surrogate of the user's own, though derived from a built-in one."""

    def derivative(self, u: Any) -> Any:
        return u * 0.0 + self.alpha


def test_a_surrogate_of_the_users_own_runs_as_a_composite(backend: Any) -> None:
    x = draw((4, 30), 1, 0.4)
    gradients = []
    for target in (backend, resolve("numpy")):
        node = nn.LIFNode(tau=3.0, surrogate_function=Flat(0.5), step_mode="m")
        leaf = grilly.tensor(x, backend=target, requires_grad=True)
        (node(leaf) * grilly.tensor(x, backend=target)).sum().backward()
        gradients.append(leaf.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)
    leaf = grilly.tensor(x, backend=backend)
    with (
        grilly.require_native(),
        pytest.raises(UnsupportedOpError, match="built-in surrogates only, not Flat"),
    ):
        ops.if_multi_step_recompute_vjp(leaf, None, leaf, leaf[0], **attributes("if", surrogate=Flat()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_one_dispatch_each_way_and_saves_no_potentials(backend: Any, kind: str) -> None:
    node = {"if": nn.IFNode, "lif": nn.LIFNode, "plif": nn.ParametricLIFNode}[kind](step_mode="m").to(
        "vulkan"
    )
    x = grilly.tensor(draw((4, 1024), 1, 0.4), backend=backend, requires_grad=True)
    g = grilly.tensor(draw((4, 1024), 2), backend=backend)
    node(x)  # the constant that the potential starts from is made once
    node.reset()
    settled = backend.empty((1,), "float32")  # takes back what tests before have dropped
    held = backend.memory.live
    spikes, forwards = recorded(backend, lambda: node(x))
    wanted = spikes.size * 4 + node.v.size * 4
    assert wanted <= backend.memory.live - held < 1.5 * wanted
    _, backwards = recorded(backend, lambda: spikes.backward(g))
    # The leak of a parametric neuron comes from a parameter, and goes back to it, by ops of their own.
    assert (forwards, backwards) == (1, 1) if kind != "plif" else node.w.grad is not None
    assert np.abs(x.grad.numpy()).max() > 0
    assert settled.size == 1
