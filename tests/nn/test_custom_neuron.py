"""Neurons of the user's own: a LIF written by hand is the LIF; names, modes, gradients, and what a step may not return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import check_layer, normal
from smooth_spikes import smooth_spike  # noqa: F401 - a fixture

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, BackendMismatchError, DTypeError, ShapeError, StateError


def lif(x: Any, state: Any, params: Any) -> Any:
    h = state["v"] + (x - state["v"]) * params["k"]
    s = F.spike(h - 1.0)
    return s, {"v": (1.0 - s) * h}


def adaptive(x: Any, state: Any, params: Any) -> Any:
    v = state["v"] * params["decay"] + x
    s = F.spike(v - (state["a"] * params["beta"] + 1.0), nn.Sigmoid())
    return s, {"a": state["a"] * 0.5 + s, "v": v - s}


def test_a_lif_of_ones_own_is_the_lif() -> None:
    x = (normal(12, 3, 5) + 0.75).astype(np.float32)
    given, again = (grilly.tensor(x, requires_grad=True) for _ in range(2))
    own = nn.neuron(lif, state={"v": 0.0}, params={"k": 0.5}, step_mode="m")
    right = nn.LIFNode(tau=2.0, step_mode="m")
    spikes, wanted = own(given), right(again)
    np.testing.assert_array_equal(spikes, wanted)
    np.testing.assert_array_equal(own.v, right.v)
    weight = normal(12, 3, 5, seed=2).astype(np.float32)
    (spikes * weight).sum().backward()
    (wanted * weight).sum().backward()
    assert given.grad is not None and again.grad is not None
    np.testing.assert_allclose(given.grad, again.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backend", backend_params())
def test_one_step_at_a_time_equals_all_at_once_and_parameters_learn(backend: str) -> None:
    raw = np.random.default_rng(3).integers(-8, 17, (8, 3, 7)).astype(np.float32) / 8
    with grilly.backend(backend):
        start = {"v": 0.0, "a": 0.25}
        single, multi = (
            nn.neuron(adaptive, start, {"decay": 0.5, "beta": np.full(7, 0.25, "float32")}, step_mode=mode)
            for mode in "sm"
        )
        steps, whole = [single(x) for x in raw], multi(raw)
        assert 0 < whole.numpy().mean() < 1
        np.testing.assert_array_equal(np.stack(steps), whole)
        for name in start:
            np.testing.assert_array_equal(getattr(single, name), getattr(multi, name))
        sum((s.sum() for s in steps[1:]), steps[0].sum()).backward()
        whole.sum().backward()
        for name, parameter in multi.named_parameters():
            other = dict(single.named_parameters())[name]
            assert parameter.grad is not None and other.grad is not None and parameter.grad.numpy().any()
            np.testing.assert_allclose(parameter.grad, other.grad, rtol=1e-5, err_msg=name)


@pytest.mark.usefixtures("smooth_spike")
@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_gradients_are_right(step_mode: str) -> None:
    with grilly.backend("numpy"):
        node = nn.neuron(adaptive, {"v": 0.0, "a": 0.1}, {"decay": 0.6, "beta": [0.3, 0.2]}, step_mode)
        check_layer(node, normal(5, 2))


def test_memories_parameters_and_where_it_can_stand() -> None:
    frozen = nn.Parameter(0.5, requires_grad=False)
    node = nn.neuron(adaptive, {"v": 0.0, "a": 0.25}, {"decay": frozen, "beta": 0.1})
    assert isinstance(node, nn.StepNeuron) and "adaptive" in repr(node)
    assert set(node.memories()) == {"v", "a"} and set(node.state_dict()) == {"decay", "beta"}
    assert node.decay is frozen and node.beta.requires_grad
    x = np.ones((4, 2, 3), np.float32)
    linear = nn.Linear(3, 3)
    nn.init.constant_(linear.weight, 0.25)
    nn.init.zeros_(linear.bias)
    net = nn.MultiStepContainer(linear, node)
    first = net(x)
    assert node.v.shape == (2, 3)
    assert node.v.numpy().all() and node.a.numpy().all()  # what the next call starts from
    F.reset_net(net)
    assert node.v == 0.0 and node.a == 0.25
    np.testing.assert_array_equal(first, net(x))
    with pytest.raises(StateError, match="reset_net"):
        node(np.ones((5, 3), np.float32))


def test_a_forgotten_reset_is_seen() -> None:
    node = nn.neuron(lif, {"v": 0.0}, {"k": 0.5})
    x = grilly.tensor(np.full((2, 3), 0.5, np.float32), requires_grad=True)
    node(x).sum().backward()
    with pytest.raises(StateError, match=r"StepNeuron.*reset_net"):
        node(x)
    F.detach_net(node)
    node(x)


def test_it_runs_in_float64_and_takes_no_other_width() -> None:
    node = nn.neuron(lif, {"v": 0.0}, {"k": 0.5})
    with pytest.raises(DTypeError, match="float64"):
        node(grilly.tensor(np.ones(3)))
    assert node.to(dtype="float64")([1.0]).dtype == np.float64


WRONG: list[tuple[Callable[..., Any], type[Exception], str]] = [
    (lambda x, state, params: x, ArgumentError, "two things, .out, state., got Tensor"),
    (lambda x, state, params: (x, state, params), ArgumentError, "got a tuple of 3"),
    (lambda x, state, params: (0.0, state), ArgumentError, "a Tensor first, got float"),
    (lambda x, state, params: (x, {}), ArgumentError, r"dict with \['v'\], got \[\]"),
    (lambda x, state, params: (x, {"v": x, "w": x}), ArgumentError, r"got \['v', 'w'\]"),
    (lambda x, state, params: (x, state["v"]), ArgumentError, "got Tensor"),
    (lambda x, state, params: (x, {"v": 0.0}), ArgumentError, r"state\['v'\] as float"),
    (lambda x, state, params: (x, {"v": x.sum()}), ShapeError, r"shape \(\), it was \(2, 3\)"),
    (lambda x, state, params: (x, {"v": x.astype("float64")}), DTypeError, r"astype\('float32'\)"),
    (lambda x, state, params: (x, {"v": x >= 0}), DTypeError, "bool"),
]


@pytest.mark.parametrize("step, error, said", WRONG)
def test_what_a_step_may_not_return(step: Callable[..., Any], error: type[Exception], said: str) -> None:
    x = np.ones((4, 2, 3), np.float32)
    for mode, given in (("s", x[0]), ("m", x)):
        node = nn.neuron(step, {"v": 0.0}, step_mode=mode)
        with pytest.raises(error, match=said) as raised:
            node(given)
        assert "<lambda>" in str(raised.value)
        assert node.v == 0.0  # as before


def test_outputs_of_another_shape_at_a_later_step() -> None:
    def fickle(x: Any, state: Any, params: Any) -> Any:
        return (x.sum() if state["v"].numpy().any() else x), {"v": state["v"] + 1.0}

    with pytest.raises(ShapeError, match=r"fickle returned an output of shape \(\) after one of \(3,\)"):
        nn.neuron(fickle, {"v": 0.0}, step_mode="m")(np.ones((2, 3), np.float32))


@pytest.mark.parametrize("backend", [row for row in backend_params() if row.values[0] != "numpy"])
def test_a_state_that_moves_to_another_backend(backend: str) -> None:
    node = nn.neuron(lambda x, state, params: (x, {"v": x.to(backend)}), {"v": 0.0})
    with pytest.raises(BackendMismatchError, match=backend):
        node(grilly.tensor(np.ones(3, np.float32), backend="numpy"))


@pytest.mark.parametrize(
    "given, said",
    [
        ({"step": 3, "state": {}}, "takes a function"),
        ({"step": lif, "state": ["v"]}, "state must be a dict"),
        ({"step": lif, "state": {"v": None}}, "finite number"),
        ({"step": lif, "state": {"v": float("nan")}}, "finite number"),
        ({"step": lif, "state": {"v 1": 0.0}}, "no identifier"),
        ({"step": lif, "state": {"reset": 0.0}}, "such an attribute"),
        ({"step": lif, "state": {"v": 0.0}, "params": {"v": 0.5}}, "'v' in params"),
        ({"step": lif, "state": {"v": 0.0}, "params": 3}, "params must be a dict"),
    ],
)
def test_arguments_that_make_no_neuron(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        nn.neuron(**given)


def test_a_neuron_without_state_or_parameters() -> None:
    node = nn.neuron(lambda x, state, params: (F.spike(x - 1.0), state), {}, step_mode="m")
    x = grilly.tensor(np.float32([[0.5], [1.5]]), requires_grad=True)
    y = node(x)
    assert y.tolist() == [[0.0], [1.0]]
    y.sum().backward()
    assert x.grad is not None and x.grad.numpy().all()
