"""Neurons: values, gradients through time, state, and what they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import normal
from neuron_reference import backward, forward

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, GradientError, ShapeError, StateError

KINDS: list[tuple[type[nn.BaseNode], dict[str, Any]]] = [
    (nn.IFNode, {}),
    (nn.LIFNode, {"tau": 2.0}),
    (nn.LIFNode, {"tau": 4.0, "decay_input": False}),
    (nn.LIFNode, {"tau": 1.0}),
    (nn.LIFNode, {"tau": 3.7}),
    (nn.ParametricLIFNode, {"init_tau": 2.0}),
    (nn.ParametricLIFNode, {"init_tau": 3.5, "decay_input": False}),
]
RESETS = [{"v_reset": 0.0}, {"v_reset": None}, {"v_reset": -0.25, "v_threshold": 0.75}]
ALL = [
    pytest.param(kind, {**settings, **reset}, id=f"{kind.__name__}-{settings}-{reset}")
    for (kind, settings), reset in itertools.product(KINDS, RESETS)
]


def leak(node: nn.BaseNode) -> Any:
    """What the neuron multiplies by: the reference is right at equal ``k``."""
    if isinstance(node, nn.ParametricLIFNode):
        return node.w.sigmoid().numpy()
    return 1.0 / node.tau if isinstance(node, nn.LIFNode) else None


def reference(node: nn.BaseNode, x: np.ndarray) -> Any:
    start = 0.0 if node.v_reset is None else node.v_reset
    decay_input = getattr(node, "decay_input", True)
    return forward(x, start, leak(node), node.v_threshold, node.v_reset, decay_input)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind, settings", ALL)
def test_values(kind: type[nn.BaseNode], settings: dict[str, Any], dtype: str) -> None:
    x = (normal(12, 5, 3) + 0.75).astype(dtype)
    node = kind(**settings, step_mode="m", store_v_seq=True)
    node.to(dtype=dtype)
    wanted = reference(node, x)
    spikes = node(grilly.tensor(x))
    assert 0 < wanted.s.mean() < 1
    np.testing.assert_array_equal(spikes, wanted.s)
    np.testing.assert_array_equal(node.v_seq, wanted.v)
    np.testing.assert_array_equal(node.v, wanted.v[-1])
    assert spikes.dtype == node.v.dtype == node.v_seq.dtype == dtype


@pytest.mark.parametrize("kind, settings", ALL)
def test_gradients_through_time(kind: type[nn.BaseNode], settings: dict[str, Any]) -> None:
    for detach_reset in (False, True):
        x, g = normal(9, 4) + 0.5, normal(9, 4, seed=1)
        v0 = normal(4, seed=2) * 0.25
        node = kind(**settings, detach_reset=detach_reset, step_mode="m")
        node.to(dtype="float64")
        k = leak(node)
        decay_input = settings.get("decay_input", True)
        run = forward(x, v0, k, node.v_threshold, node.v_reset, decay_input)
        slope = node.surrogate_function.derivative(grilly.tensor(run.h - node.v_threshold)).numpy()
        number = None if k is None else float(k)
        g_x, g_v, g_k = backward(
            run, x, v0, g, slope, number, node.v_threshold, node.v_reset, decay_input, detach_reset
        )
        given, start = grilly.tensor(x, requires_grad=True), grilly.tensor(v0, requires_grad=True)
        node.v = start
        node(given).backward(g)
        assert given.grad is not None and start.grad is not None
        np.testing.assert_allclose(given.grad, g_x, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(start.grad, g_v, rtol=1e-12, atol=1e-13)
        if isinstance(node, nn.ParametricLIFNode):
            assert node.w.grad is not None
            np.testing.assert_allclose(node.w.grad, g_k * k * (1 - k), rtol=1e-11)


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("kind, settings", ALL)
def test_one_step_at_a_time_equals_all_at_once(
    kind: type[nn.BaseNode], settings: dict[str, Any], backend: str
) -> None:
    with grilly.backend(backend):
        raw = np.random.default_rng(3).integers(-8, 17, (8, 3, 7)).astype(np.float32) / 8
        single, multi = kind(**settings), kind(**settings, step_mode="m", store_v_seq=True)
        x, again = (grilly.tensor(raw, requires_grad=True) for _ in range(2))
        steps, potentials = [], []
        for t in range(len(raw)):
            steps.append(single(x[t]))
            potentials.append(single.v.numpy())
        spikes = multi(again)
        np.testing.assert_array_equal(np.stack(steps), spikes)
        np.testing.assert_array_equal(np.stack(potentials), multi.v_seq)
        np.testing.assert_array_equal(single.v, multi.v)
        weight = np.random.default_rng(4).integers(-2, 3, raw.shape).astype(np.float32)
        sum((s * w).sum() for s, w in zip(steps, weight, strict=True)).backward()
        (spikes * weight).sum().backward()
        assert x.grad is not None and again.grad is not None
        np.testing.assert_allclose(x.grad, again.grad, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["if", "lif", "plif"])
@pytest.mark.parametrize("v_reset", [0.0, None, -0.5])
def test_functions_do_what_the_modules_do(name: str, v_reset: float | None) -> None:
    x = normal(6, 4, dtype="float32") + np.float32(0.5)
    kind = {"if": nn.IFNode, "lif": nn.LIFNode, "plif": nn.ParametricLIFNode}[name]
    node = kind(v_reset=v_reset, step_mode="m", store_v_seq=True)
    rest = (node.w,) if isinstance(node, nn.ParametricLIFNode) else ()
    spikes, last, v_seq = getattr(F, f"{name}_multi_step")(x, None, *rest, v_reset=v_reset, return_v_seq=True)
    np.testing.assert_array_equal(node(x), spikes)
    np.testing.assert_array_equal(node.v_seq, v_seq)
    np.testing.assert_array_equal(node.v, last)
    v: Any = None
    for t in range(6):
        s, v = getattr(F, f"{name}_step")(x[t], v, *rest, v_reset=v_reset)
        np.testing.assert_array_equal(s, spikes[t])
        np.testing.assert_array_equal(v, v_seq[t])


def test_defaults_of_the_functions() -> None:
    spike, v = F.lif_step(np.float32([1.9, 2.0]), np.zeros(2, "float32"), tau=2.0, v_threshold=1.0)
    assert spike.tolist() == [0.0, 1.0] and v.tolist() == [pytest.approx(0.95), 0.0]
    spike, v = F.lif_step(np.float64([0.5]), 0.5, decay_input=False, tau=4.0)
    assert v.tolist() == [0.875] and v.dtype == "float64"
    spike, v = F.if_step([1.5], 0.0, v_reset=None)
    assert spike.tolist() == [1.0] and v.tolist() == [0.5]
    spike, v = F.plif_step([1.0], 0.0, 0.0)
    assert v.tolist() == [0.5]
    spikes, last = F.if_multi_step([[0.5], [0.5]])
    assert spikes.tolist() == [[0.0], [1.0]] and last.tolist() == [0.0]


def test_plif_function_learns_w() -> None:
    w = grilly.tensor(0.0, requires_grad=True)
    spikes, _ = F.plif_multi_step([[0.9], [0.9]], None, w)
    spikes.sum().backward()
    assert w.grad is not None and w.grad.item() > 0


def test_equality_fires_and_nan_does_not() -> None:
    assert nn.IFNode()([1.0, np.nextafter(np.float32(1), np.float32(0)), np.nan]).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_potentials_can_be_in_the_loss(step_mode: str) -> None:
    x = grilly.tensor([[0.25, 0.5], [0.25, 0.125]], requires_grad=True)
    node = nn.LIFNode(tau=2.0, step_mode=step_mode, store_v_seq=True)
    if step_mode == "m":
        node(x)
        loss = node.v_seq.sum()
    else:
        for t in range(2):
            node(x[t])
        loss = node.v.sum()
    loss.backward()
    # Nothing fires, but the reset adds (0 - H) times the surrogate's slope to the factor of each step.
    h = reference(nn.LIFNode(tau=2.0), x.numpy()).h
    keep = 1 - h * nn.ATan().derivative(grilly.tensor(h - 1)).numpy()
    first = keep[0] * (1 + 0.5 * keep[1]) if step_mode == "m" else keep[0] * 0.5 * keep[1]
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, [0.5 * first, 0.5 * keep[1]], rtol=1e-5)


def test_v_is_on_the_tape_and_v_seq_only_when_asked_for() -> None:
    node = nn.IFNode(step_mode="m")
    node(grilly.tensor(np.ones((2, 3), "float32"), requires_grad=True))
    assert node.v.requires_grad and node.v_seq is None


@pytest.mark.parametrize("v_reset, start", [(0.0, 0.0), (None, 0.0), (-0.5, -0.5)])
def test_initial_potential_and_reset(v_reset: float | None, start: float) -> None:
    node = nn.IFNode(v_reset=v_reset)
    assert node.v == start
    first = node([0.75, 0.25])
    assert node.v.shape == (2,)
    node.reset()
    assert node.v == start and node.v_seq is None
    np.testing.assert_array_equal(node([0.75, 0.25]), first)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_forgotten_reset(step_mode: str) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.LIFNode(step_mode=step_mode))
    x = np.ones((4, 3), "float32")
    net(x).sum().backward()
    with pytest.raises(StateError, match=r"LIFNode: forward after backward.*reset_net.*detach_net"):
        net(x)
    F.reset_net(net)
    net(x).sum().backward()
    F.detach_net(net)
    carried = net[1].v.numpy()
    assert not net[1].v.requires_grad and (carried != 0).any()
    net(x).sum().backward()


def test_forgotten_reset_found_in_backward_at_the_latest() -> None:
    node, w = nn.LIFNode(), nn.Parameter([0.25])
    first = node(w * 1.0)
    node(w * 1.0)
    node(w * 1.0)
    first.sum().backward()
    late = node(w * 1.0)
    with pytest.raises(GradientError, match="reset_net"):
        late.sum().backward()


def test_state_without_a_graph_is_carried() -> None:
    node = nn.IFNode()
    assert [node([0.5]).item() for _ in range(4)] == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("step_mode, shape", [("s", (5, 3)), ("m", (2, 5, 3))])
def test_new_batch_shape(step_mode: str, shape: tuple[int, ...]) -> None:
    node = nn.LIFNode(step_mode=step_mode)
    node(np.zeros((2, 4, 3)))
    with pytest.raises(StateError, match=rf"LIFNode.*\({shape[-2]}, 3\).*reset_net"):
        node(np.zeros(shape))
    node.reset()
    assert node(np.zeros(shape)).shape == shape


def test_state_of_another_dtype() -> None:
    node = nn.IFNode()
    node(np.zeros(3))
    with pytest.raises(StateError, match=r"float32 on numpy, the input float64.*reset_net"):
        node(grilly.tensor(np.zeros(3)))


def test_to_moves_the_state_along() -> None:
    node = nn.IFNode()
    node([0.25, 0.5])
    node.to(dtype="float64")
    assert node([0.0, 0.5]).dtype == "float64"
    assert node.v.tolist() == [0.25, 0.0]


def test_memories() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.LIFNode(), nn.Dropout()))
    assert net.memories() == {"1.0.v": 0.0, "1.0.v_seq": None, "1.1.mask": None}
    net(np.ones((1, 2)))
    kept = net.memories()
    after = net(np.ones((1, 2))).numpy()
    net.load_memories(kept)
    np.testing.assert_array_equal(net(np.ones((1, 2))), after)
    assert set(net.state_dict()) == {"0.weight", "0.bias"}
    with pytest.raises(ArgumentError, match=r"missing \['1.0.v'\], unknown \['2.v'\]"):
        net.load_memories({"2.v": 0.0, "1.0.v_seq": None, "1.1.mask": None})


BAD: list[tuple[type[nn.BaseNode], dict[str, Any], str]] = [
    (nn.LIFNode, {"tau": 0.5}, "LIFNode: tau must be a number of at least 1"),
    (nn.LIFNode, {"tau": float("nan")}, "tau"),
    (nn.LIFNode, {"tau": "2"}, "tau"),
    (nn.LIFNode, {"tau": float("inf")}, "tau"),
    (nn.ParametricLIFNode, {"init_tau": 1.0}, "ParametricLIFNode: init_tau must be a number above 1"),
    (nn.IFNode, {"step_mode": "x"}, "IFNode: step_mode must be 's'.*'m'.*'x'"),
    (nn.IFNode, {"v_threshold": None}, "IFNode: v_threshold must be a finite number, got None"),
    (nn.IFNode, {"v_threshold": float("inf")}, "v_threshold"),
    (nn.IFNode, {"v_reset": "hard"}, r"IFNode: v_reset \(or None\) must be a finite number, got 'hard'"),
    (nn.IFNode, {"surrogate_function": nn.ATan}, r"surrogate such as nn.ATan\(\)"),
]


@pytest.mark.parametrize("kind, settings, message", BAD)
def test_refused_settings(kind: type[nn.BaseNode], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        kind(**settings)


def test_settings_may_be_numpy_numbers() -> None:
    node = nn.LIFNode(tau=np.float32(2), v_threshold=np.int64(1), v_reset=np.float64(-1))
    assert (node.tau, node.v_threshold, node.v_reset) == (2.0, 1.0, -1.0)


def test_refused_inputs() -> None:
    with pytest.raises(DTypeError, match=r"LIFNode takes float32 or float64, got a Tensor of int32.*astype"):
        nn.LIFNode()(grilly.tensor(np.array([1, 2])))
    with pytest.raises(ArgumentError, match="IFNode takes an array or a Tensor, got NoneType"):
        nn.IFNode()(None)
    with pytest.raises(
        ShapeError, match=r"IFNode in step_mode='m' takes \[T, N, ...\] with T >= 1.*\(0, 2\)"
    ):
        nn.IFNode(step_mode="m")(np.zeros((0, 2)))
    with pytest.raises(ArgumentError, match="lif_step: tau"):
        F.lif_step([1.0], tau=0.5)
    with pytest.raises(DTypeError, match="if_multi_step takes float32 or float64, got int32"):
        F.if_multi_step(np.ones((2, 2), int))
    with pytest.raises(ShapeError, match=r"state v has shape \(3,\), the input needs \(2,\)"):
        F.if_step([1.0, 2.0], [0.0, 0.0, 0.0])
    with pytest.raises(ShapeError, match="w must be one number"):
        F.plif_step([1.0], 0.0, [0.0, 0.0])
    with pytest.raises(ShapeError, match="lif_multi_step takes"):
        F.lif_multi_step(1.0)
    with pytest.raises(ArgumentError, match="surrogate"):
        F.if_step([1.0], surrogate_function=None)


@pytest.mark.parametrize("tau", [1.5, 2.0, 100.0])
def test_parametric_leak(tau: float) -> None:
    node = nn.ParametricLIFNode(init_tau=tau)
    assert node.w.shape == () and node.w.item() == pytest.approx(-np.log(tau - 1), rel=1e-6)
    assert node.tau == pytest.approx(tau, rel=1e-5)
    assert [name for name, _ in node.named_parameters()] == ["w"]


def test_parametric_leak_learns_without_an_input_gradient() -> None:
    node = nn.ParametricLIFNode(step_mode="m")
    node(np.full((4, 2), 1.2)).sum().backward()
    assert node.w.grad is not None and node.w.grad.item() != 0


def test_repr() -> None:
    assert repr(nn.LIFNode(tau=2.5, v_reset=None, detach_reset=True)) == (
        "LIFNode(tau=2.5, decay_input=True, v_threshold=1, v_reset=None, ATan(alpha=2.0), detach_reset=True, step_mode='s')"
    )
    assert (
        repr(nn.IFNode(step_mode="m")) == "IFNode(v_threshold=1, v_reset=0.0, ATan(alpha=2.0), step_mode='m')"
    )
    assert "tau=2," in repr(nn.ParametricLIFNode())


@pytest.mark.parametrize(
    "surrogate",
    [nn.ATan(), nn.Sigmoid(), nn.FastSigmoid(), nn.PiecewiseQuadratic(), nn.PiecewiseExp(), nn.SuperSpike(), nn.Erf(),
     nn.Rect(), nn.StraightThrough()],
)  # fmt: skip
def test_every_surrogate_reaches_the_input(surrogate: nn.Surrogate) -> None:
    x = grilly.tensor([0.75, 1.25], requires_grad=True)
    spikes = nn.IFNode(surrogate_function=surrogate)(x)
    assert spikes.tolist() == [0.0, 1.0]
    spikes.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, surrogate.derivative(grilly.tensor([-0.25, 0.25])), rtol=1e-6)


def test_a_surrogate_of_ones_own() -> None:
    class Half(nn.Surrogate):
        def derivative(self, u: grilly.Tensor) -> grilly.Tensor:
            return u * 0.0 + 0.5

        def primitive(self, u: grilly.Tensor) -> grilly.Tensor:
            return u * 0.5

    for step_mode in ("s", "m"):
        x = grilly.tensor([[0.25], [2.0]], requires_grad=True)
        nn.IFNode(surrogate_function=Half(), detach_reset=True, step_mode=step_mode)(x).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == ([[0.5], [0.5]] if step_mode == "s" else [[1.0], [0.5]])
