"""Recurrent containers: what they compute, by hand; modes, state, gradients, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, ShapeError, StateError


def linear(step_mode: str = "m") -> nn.LinearRecurrentContainer:
    grilly.seed(4)
    return nn.LinearRecurrentContainer(
        nn.Sequential(nn.Linear(4, 2), nn.LIFNode()), 4, 2, step_mode=step_mode
    )


def elementwise(step_mode: str = "m") -> nn.ElementWiseRecurrentContainer:
    return nn.ElementWiseRecurrentContainer(nn.IFNode(v_reset=None), lambda y, x: x + y * 0.5, step_mode)


def test_elementwise_by_hand() -> None:
    x = np.random.default_rng(1).integers(-4, 9, (9, 3, 5)).astype(np.float32) / 8
    v, y, wanted = np.zeros((3, 5)), np.zeros((3, 5)), []
    for now in x:
        h = v + now + y * 0.5
        y = (h >= 1).astype(float)
        v = h - y
        wanted.append(y)
    net = elementwise()
    np.testing.assert_array_equal(net(x), np.stack(wanted))
    np.testing.assert_array_equal(net.y, wanted[-1])
    assert 0 < np.mean(wanted) < 1


def test_linear_by_hand() -> None:
    x = normal(7, 3, 4) * 3
    net = linear().to(dtype="float64")
    weight, bias = net.rc.weight.numpy(), net.rc.bias.numpy()  # type: ignore[union-attr]
    assert weight.shape == (4, 6) and bias.shape == (4,)
    inner: Any = net.sub_module
    v, y, wanted = np.zeros((3, 2)), np.zeros((3, 2)), []
    for now in x:
        into = np.concatenate([now, y], axis=1) @ weight.T + bias
        charge = into @ inner[0].weight.numpy().T + inner[0].bias.numpy()
        h = v + (charge - v) / 2
        y = (h >= 1).astype(float)
        v = h * (1 - y)
        wanted.append(y)
    np.testing.assert_array_equal(net(x), np.stack(wanted))
    assert 0 < np.mean(wanted) < 1


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("make", [linear, elementwise])
def test_one_step_at_a_time_equals_all_at_once(make: Any, backend: str) -> None:
    raw = np.random.default_rng(3).integers(-8, 25, (6, 3, 4)).astype(np.float32) / 8
    with grilly.backend(backend):
        single, multi = make("s"), make("m")
        for net in (single, multi):
            for parameter in net.parameters():
                rounded = np.round(parameter.numpy() * 8) / 8
                parameter.assign(rounded)
        x, again = (grilly.tensor(raw, requires_grad=True) for _ in range(2))
        steps, whole = [single(x[t]) for t in range(6)], multi(again)
        np.testing.assert_array_equal(np.stack(steps), whole)
        np.testing.assert_array_equal(single.y, multi.y)
        sum((s.sum() for s in steps[1:]), steps[0].sum()).backward()
        whole.sum().backward()
        assert x.grad is not None and again.grad is not None
        np.testing.assert_allclose(x.grad, again.grad, rtol=2e-5, atol=2e-6)
        for a, b in zip(single.parameters(), multi.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            np.testing.assert_allclose(a.grad, b.grad, rtol=2e-5, atol=1e-5)


def test_gradients_through_the_loop() -> None:
    smooth = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    check_layer(nn.LinearRecurrentContainer(smooth, 3, 2, step_mode="m"), normal(4, 2, 3))
    check_layer(nn.ElementWiseRecurrentContainer(nn.Tanh(), lambda y, x: x * y + x, "m"), normal(4, 2, 3))


def test_the_step_mode_inside_stays_single() -> None:
    net = nn.Sequential(nn.Linear(4, 4), linear("s"), nn.Linear(2, 2))
    x = normal(5, 3, 4).astype(np.float32)
    steps = np.stack([net(now) for now in x])
    F.reset_net(net)
    F.set_step_mode(net, "m")
    inner: Any = net[1].sub_module
    assert net[1].step_mode == "m" and inner[1].step_mode == "s"
    np.testing.assert_allclose(net(x), steps, rtol=1e-5, atol=1e-6)
    F.reset_net(net)
    np.testing.assert_allclose(F.multi_step_forward(net, x), steps, rtol=1e-5, atol=1e-6)
    F.reset_net(net)
    F.set_step_mode(net, "s")
    np.testing.assert_allclose(F.multi_step_forward(net, x), steps, rtol=1e-5, atol=1e-6)
    F.reset_net(net)
    np.testing.assert_allclose(nn.MultiStepContainer(*net)(x), steps, rtol=1e-5, atol=1e-6)


def test_state_is_kept_reset_and_checked() -> None:
    net = elementwise("s")
    x = grilly.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    assert net(x).tolist() == [[1.0] * 3] * 2
    assert set(net.memories()) == {"y", "sub_module.v", "sub_module.v_seq"}
    with pytest.raises(StateError, match=r"ElementWiseRecurrentContainer.*reset_net"):
        net(np.ones((4, 3), np.float32))
    F.reset_net(net)
    net(x).sum().backward()
    with pytest.raises(StateError, match="detach_net"):
        net(x)
    F.detach_net(net)
    net(x)


def test_what_they_refuse() -> None:
    with pytest.raises(ArgumentError, match="step_mode='m'; use 's' inside"):
        nn.ElementWiseRecurrentContainer(nn.LIFNode(step_mode="m"), lambda y, x: x)
    with pytest.raises(ArgumentError, match=r"1 .LIFNode. has step_mode='m'"):
        nn.LinearRecurrentContainer(nn.Sequential(nn.Linear(2, 2), nn.LIFNode(step_mode="m")), 2, 2)
    with pytest.raises(ArgumentError, match="takes all steps itself"):
        nn.ElementWiseRecurrentContainer(nn.MultiStepContainer(nn.LIFNode()), lambda y, x: x)
    with pytest.raises(ArgumentError, match="holds a module"):
        nn.LinearRecurrentContainer(lambda x: x, 2, 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"function f\(y, x\)"):
        nn.ElementWiseRecurrentContainer(nn.LIFNode(), 3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="out_features"):
        nn.LinearRecurrentContainer(nn.LIFNode(), 2, 0)
    with pytest.raises(ShapeError, match=r"takes steps \[N, ..., 4\]"):
        linear()(np.zeros((5, 3, 3), np.float32))
    with pytest.raises(ShapeError, match=r"fed back must be \(3, 4\)"):
        nn.ElementWiseRecurrentContainer(nn.Linear(4, 2), lambda y, x: x + y)(np.zeros((3, 4), np.float32))
    net = linear()
    F.set_step_mode(net.sub_module, "m")
    with pytest.raises(ArgumentError, match="use 's' inside"):
        net(np.zeros((5, 3, 4), np.float32))
