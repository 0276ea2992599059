"""Synapses: values, gradients through time, state, delay, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.tensor import Tensor

Build = Callable[[str], nn.Module]
KINDS: dict[str, Build] = {
    "filter": lambda mode: nn.SynapseFilter(tau_syn=3.0, step_mode=mode),
    "delay": lambda mode: nn.SynapseFilter(tau_syn=3.0, delay=2, step_mode=mode),
    "learnable": lambda mode: nn.SynapseFilter(tau_syn=3.0, learnable=True, step_mode=mode),
    "learnable delay": lambda mode: nn.SynapseFilter(tau_syn=3.0, delay=9, learnable=True, step_mode=mode),
    "dual": lambda mode: nn.DualTimescaleSynapse(2.0, 20.0, w_fast=0.75, w_slow=-0.5, step_mode=mode),
    "learnable dual": lambda mode: nn.DualTimescaleSynapse(2.0, 20.0, learnable=True, step_mode=mode),
    "stp": lambda mode: nn.STPSynapse(tau_d=20.0, tau_f=5.0, U=0.3, step_mode=mode),
}
ALL = pytest.mark.parametrize("kind", list(KINDS))


def traced(x: np.ndarray, decay: float, delay: int = 0) -> np.ndarray:
    """A trace, its delayed input written out."""
    late = np.concatenate([np.zeros((delay, *x.shape[1:]), x.dtype), x])[: len(x)]
    y, rows = np.zeros(x.shape[1:], x.dtype), []
    for now in late:
        y = y * x.dtype.type(decay) + now
        rows.append(y)
    return np.stack(rows)


def released(x: np.ndarray, tau_d: float, tau_f: float, use: float) -> np.ndarray:
    """Short-term plasticity neuron by neuron, as the paper has it."""
    out = np.zeros_like(x)
    for at in np.ndindex(x.shape[1:]):
        u, r = 0.0, 1.0
        for t, now in enumerate(x[(slice(None), *at)]):
            u, r = u * math.exp(-1 / tau_f), 1 + (r - 1) * math.exp(-1 / tau_d)
            if now > 0:
                u += use * (1 - u)
                out[(t, *at)] = now * u * r
                r -= u * r
    return out


# Values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("delay", [0, 1, 3, 12, 20])
def test_filter(delay: int, dtype: str) -> None:
    x = normal(12, 5, 3, dtype=dtype)
    synapse = nn.SynapseFilter(tau_syn=4.0, delay=delay, step_mode="m")
    y = synapse(grilly.tensor(x))
    wanted = traced(x, math.exp(-1 / 4.0), delay)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(synapse.y, wanted[-1])
    assert y.dtype == synapse.y.dtype == dtype


def test_dual_timescale() -> None:
    x = normal(10, 4)
    synapse = nn.DualTimescaleSynapse(tau_fast=2.0, tau_slow=30.0, w_fast=0.75, w_slow=-0.25, step_mode="m")
    fast, slow = traced(x, math.exp(-1 / 2.0)), traced(x, math.exp(-1 / 30.0))
    np.testing.assert_array_equal(synapse(grilly.tensor(x)), fast * 0.75 + slow * -0.25)
    np.testing.assert_array_equal(synapse.y_fast, fast[-1])
    np.testing.assert_array_equal(synapse.y_slow, slow[-1])


def test_short_term_plasticity() -> None:
    x = np.where(normal(40, 6) > 0.5, normal(40, 6, seed=1) + 1.0, 0.0)
    synapse = nn.STPSynapse(tau_d=15.0, tau_f=6.0, U=0.4, step_mode="m")
    y = synapse(grilly.tensor(x))
    np.testing.assert_allclose(y, released(x, 15.0, 6.0, 0.4), rtol=1e-13)
    assert (y.numpy()[x > 0] > 0).all() and (y.numpy()[x <= 0] == 0).all()


def test_the_first_release_is_use_and_spikes_in_a_row_depress() -> None:
    y = nn.STPSynapse(U=0.2, step_mode="m")(np.ones((30, 1))).numpy()[:, 0]
    assert y[0] == np.float32(0.2)
    assert y[1] > y[0] and y[-1] < y.max() / 4  # facilitation first, then nothing left
    rested = nn.STPSynapse(U=0.2, step_mode="m")([[1.0]] + [[0.0]] * 2000 + [[1.0]]).numpy()[:, 0]
    assert rested[-1] == pytest.approx(0.2, rel=1e-3)


def test_stp_takes_whatever_is_above_zero_as_a_spike() -> None:
    x = [[0.0, -1.0, math.nan, 2.0, 1e-30]]
    assert nn.STPSynapse(U=0.5)(x[0]).tolist() == [0.0, 0.0, 0.0, 1.0, pytest.approx(5e-31)]


def test_a_filter_decays_at_a_spike_too() -> None:
    y = nn.SynapseFilter(tau_syn=1.0, step_mode="m")([[1.0], [1.0]])
    assert y.numpy()[1, 0] == pytest.approx(1 + math.exp(-1))


# Gradients


@ALL
def test_gradients(kind: str) -> None:
    x = normal(6, 2, 3)
    x += np.where(x > 0, 0.1, -0.1)  # away from where a spike begins
    check_layer(KINDS[kind]("m"), x)


@pytest.mark.parametrize("kind", ["learnable", "learnable delay", "learnable dual"])
def test_parameters_learn_without_an_input_gradient(kind: str) -> None:
    layer = KINDS[kind]("m")
    layer(normal(12, 3, dtype="float32")).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.item() != 0, name


def test_the_state_can_be_in_the_loss() -> None:
    x = grilly.tensor(normal(4, 2), requires_grad=True)
    synapse = nn.SynapseFilter(tau_syn=2.0, step_mode="m")
    synapse(x)
    synapse.y.sum().backward()
    decay = math.exp(-0.5)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, np.repeat(decay ** np.arange(3, -1, -1.0)[:, None], 2, 1), rtol=1e-12)


def test_gradients_reach_inputs_through_the_delay_line() -> None:
    x = grilly.tensor(normal(3, 2), requires_grad=True)
    synapse = nn.SynapseFilter(tau_syn=2.0, delay=3, step_mode="m")
    assert not synapse(x).numpy().any()
    later = synapse(grilly.tensor(normal(2, 2, seed=1)))
    later.sum().backward()
    decay = math.exp(-0.5)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, [[1 + decay] * 2, [1.0] * 2, [0.0] * 2], rtol=1e-12)


# Single step and multi-step


@pytest.mark.parametrize("backend", backend_params())
@ALL
def test_one_step_at_a_time_equals_all_at_once(kind: str, backend: str) -> None:
    raw = normal(8, 3, 7, dtype="float32")
    single, multi = KINDS[kind]("s").to(backend), KINDS[kind]("m").to(backend)
    x, again = (grilly.tensor(raw, backend=backend, requires_grad=True) for _ in range(2))
    steps = [single(x[t]) for t in range(len(raw))]
    y = multi(again)
    np.testing.assert_array_equal(np.stack(steps), y)
    for name, value in multi.memories().items():
        np.testing.assert_array_equal(single.memories()[name], value, err_msg=name)
    weight = normal(*raw.shape, seed=4, dtype="float32")
    g = grilly.tensor(weight, backend=backend)
    total = (steps[0] * g[0]).sum()
    for t in range(1, len(raw)):
        total = total + (steps[t] * g[t]).sum()
    total.backward()
    (y * g).sum().backward()
    assert x.grad is not None and again.grad is not None
    np.testing.assert_allclose(x.grad, again.grad, rtol=2e-5, atol=2e-6)
    for (name, one), (_, other) in zip(single.named_parameters(), multi.named_parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-4, atol=1e-4, err_msg=name)


@ALL
def test_a_sequence_in_pieces_equals_the_whole(kind: str) -> None:
    x = normal(11, 3, dtype="float32")
    whole, pieces = KINDS[kind]("m"), KINDS[kind]("m")
    parts = [pieces(x[a:b]).numpy() for a, b in [(0, 1), (1, 6), (6, 8), (8, 11)]]
    np.testing.assert_array_equal(np.concatenate(parts), whole(x))


@ALL
def test_containers_run_all_steps_in_one_call(kind: str) -> None:
    x = normal(5, 4, 3, dtype="float32")
    inside, seen = KINDS[kind]("s"), []
    inside.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    np.testing.assert_array_equal(nn.MultiStepContainer(inside)(x), KINDS[kind]("m")(x))
    assert seen == [(5, 4, 3)]
    with pytest.raises(ArgumentError, match="keeps state over time"):
        nn.SeqToANNContainer(KINDS[kind]("s"))


@pytest.mark.parametrize("backend", backend_params())
@ALL
def test_functions_do_what_the_modules_do(kind: str, backend: str) -> None:
    x = normal(7, 4, dtype="float32")
    layer: Any = KINDS[kind]("m").to(backend)
    with grilly.backend(backend):
        y = layer(x)
        if isinstance(layer, nn.SynapseFilter):
            run: Any = lambda x, *state: F.synapse_filter(x, *state, tau_syn=3.0, delay=layer.delay)  # noqa: E731
        elif isinstance(layer, nn.STPSynapse):
            run = lambda x, *state: F.stp_synapse(x, *state, tau_d=20.0, tau_f=5.0, U=0.3)  # noqa: E731
        else:
            weights = dict(w_fast=layer.w_fast, w_slow=layer.w_slow)
            run = lambda x, *state: F.dual_timescale(x, *state, tau_fast=2.0, tau_slow=20.0, **weights)  # noqa: E731
        first, *state = run(x[:3])
        second, *state = run(x[3:], *state)
    found = np.concatenate([first.numpy(), second.numpy()])
    # A learnt decay is a sigmoid, computed on the device.
    tolerance = 0.0 if not getattr(layer, "learnable", False) else 1e-5
    np.testing.assert_allclose(found, y, rtol=tolerance, atol=tolerance)
    for mine, value in zip(state, layer.memories().values(), strict=True):
        np.testing.assert_allclose(mine, value, rtol=tolerance, atol=tolerance)


def test_weights_of_the_function_may_be_learnt() -> None:
    w = grilly.tensor(0.5, requires_grad=True)
    F.dual_timescale([[1.0], [0.0]], w_fast=w)[0].sum().backward()
    assert w.grad is not None and w.grad.item() == pytest.approx(1 + math.exp(-0.2))


# State


@ALL
def test_reset_returns_to_the_start(kind: str) -> None:
    layer = KINDS[kind]("m")
    x = normal(6, 3, dtype="float32")
    start = layer.memories()
    assert not any(isinstance(value, Tensor) for value in start.values())
    first = layer(x).numpy()
    assert all(isinstance(value, Tensor) for value in layer.memories().values())
    layer.reset()
    assert layer.memories() == start
    np.testing.assert_array_equal(layer(x), first)


def test_names_of_memories_and_parameters() -> None:
    names = {kind: set(build("s").memories()) for kind, build in KINDS.items()}
    assert names["filter"] == {"y"} and names["delay"] == {"y", "line"}
    assert names["dual"] == {"y_fast", "y_slow"} and names["stp"] == {"u", "R"}
    assert KINDS["stp"]("s").memories() == {"u": 0.0, "R": 1.0}
    assert set(KINDS["learnable"]("s").state_dict()) == {"w"}
    assert set(KINDS["learnable dual"]("s").state_dict()) == {"fast.w", "slow.w", "w_fast", "w_slow"}
    assert not KINDS["filter"]("s").state_dict() and not KINDS["dual"]("s").state_dict()


@ALL
def test_memories_can_be_put_back(kind: str) -> None:
    layer = KINDS[kind]("m")
    layer(normal(6, 3, dtype="float32"))
    held = layer.memories()
    after = layer(normal(6, 3, seed=1, dtype="float32")).numpy()
    layer.load_memories(held)
    np.testing.assert_array_equal(layer(normal(6, 3, seed=1, dtype="float32")), after)


def test_the_delay_line_holds_what_is_on_its_way() -> None:
    synapse = nn.SynapseFilter(delay=3)
    synapse([1.0])
    assert synapse.line.tolist() == [[0.0], [0.0], [1.0]]
    synapse([2.0])
    assert synapse.line.tolist() == [[0.0], [1.0], [2.0]] and synapse.y.tolist() == [0.0]


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("kind", ["filter", "delay", "dual", "learnable", "learnable dual"])
def test_forgotten_reset(kind: str, step_mode: str) -> None:
    net = nn.Sequential(nn.Linear(3, 2), KINDS[kind](step_mode))
    x = np.ones((4, 3), "float32")
    net(x).sum().backward()
    with pytest.raises(StateError, match=r"forward after backward.*reset_net.*detach_net"):
        net(x)
    F.detach_net(net)
    net(x).sum().backward()
    F.reset_net(net)
    net(x).sum().backward()


def test_plasticity_carries_its_state_over_backward() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.STPSynapse())
    for _ in range(2):
        net(np.ones((4, 3), "float32")).sum().backward()
    assert not net[1].u.requires_grad


@ALL
def test_state_of_another_shape_dtype_or_backend(kind: str) -> None:
    layer = KINDS[kind]("m")
    owner = type(layer).__name__
    layer(np.zeros((3, 4)))
    with pytest.raises(StateError, match=rf"{owner}: the input needs a state of shape.*reset_net"):
        layer(np.zeros((3, 5)))
    if not getattr(layer, "learnable", False):
        with pytest.raises(StateError, match=rf"{owner}: the state.*float32 on numpy.*float64.*reset_net"):
            layer(grilly.tensor(np.zeros((3, 4))))
    layer.to(dtype="float64")
    assert layer(np.zeros((3, 4))).dtype == "float64"


# Settings


@pytest.mark.parametrize("tau", [0.001, 0.5, 5.0, 1e6])
def test_learnable_constants_start_at_the_fixed_ones(tau: float) -> None:
    decay = math.exp(-1 / tau)
    synapse = nn.SynapseFilter(tau_syn=tau, learnable=True)
    assert synapse.w.shape == () and synapse.tau_syn == pytest.approx(tau, rel=1e-5)
    assert 1 / (1 + math.exp(min(-synapse.w.item(), 700.0))) == pytest.approx(decay, rel=1e-6, abs=1e-300)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.SynapseFilter(tau_syn=0.0), ArgumentError, "SynapseFilter: tau_syn .*above 0, got 0.0"),
    (lambda: nn.SynapseFilter(tau_syn=math.inf), ArgumentError, "tau_syn"),
    (lambda: nn.SynapseFilter(delay=-1), ArgumentError, "SynapseFilter: delay .*at least 0, got -1"),
    (lambda: nn.SynapseFilter(delay=1.5), ArgumentError, "delay .*integer"),  # type: ignore[arg-type]
    (lambda: nn.SynapseFilter(step_mode="x"), ArgumentError, "SynapseFilter: step_mode"),
    (lambda: nn.DualTimescaleSynapse(tau_slow=-1.0), ArgumentError, "DualTimescaleSynapse: tau_slow"),
    (lambda: nn.DualTimescaleSynapse(w_fast=None), ArgumentError, "w_fast"),  # type: ignore[arg-type]
    (lambda: nn.STPSynapse(tau_d=0.0), ArgumentError, "STPSynapse: tau_d"),
    (lambda: nn.STPSynapse(U=0.0), ArgumentError, "STPSynapse: U .*above 0"),
    (lambda: nn.STPSynapse(U=1.25), ArgumentError, "STPSynapse: U .*at most 1, got 1.25"),
    (lambda: nn.SynapseFilter()(grilly.tensor(np.array([1, 2]))), DTypeError, "SynapseFilter takes float32"),
    (lambda: nn.SynapseFilter(learnable=True)(grilly.tensor(np.zeros(2))), DTypeError, r"net.to\(dtype"),
    (lambda: nn.STPSynapse()(None), ArgumentError, "STPSynapse takes an array or a Tensor"),
    (lambda: nn.SynapseFilter(step_mode="m")(np.zeros((0, 2))), ShapeError, r"\[T, N, ...\] with T >= 1"),
    (lambda: F.synapse_filter(np.zeros((0, 2))), ShapeError, "synapse_filter takes .*T >= 1"),
    (lambda: F.synapse_filter([[1.0]], line=[[0.0]]), ArgumentError, "delay is 0"),
    (lambda: F.synapse_filter([[1.0]], line=[[0.0]], delay=2), ShapeError, "a delay of 2 does not fit"),
    (lambda: F.synapse_filter([[1.0]], [0.0, 0.0]), ShapeError, r"state y has shape \(2,\)"),
    (lambda: F.synapse_filter([[1.0]], tau_syn=-2.0), ArgumentError, "synapse_filter: tau_syn"),
    (lambda: F.dual_timescale([[1.0]], w_slow=math.nan), ArgumentError, "dual_timescale: w_slow"),
    (lambda: F.dual_timescale([[1.0]], w_slow=grilly.tensor([0.5])), ShapeError, "w_slow must be a 0-d"),
    (lambda: F.stp_synapse(np.ones((1, 1), int)), DTypeError, "stp_synapse takes float32"),
    (lambda: F.stp_synapse([[1.0]], U=2.0), ArgumentError, "stp_synapse: U .*at most 1"),
]


@pytest.mark.parametrize("call, error, message", BAD)
def test_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_repr() -> None:
    assert repr(nn.SynapseFilter()) == "SynapseFilter(tau_syn=5, delay=0, step_mode='s')"
    assert "learnable=True" in repr(nn.SynapseFilter(learnable=True))
    assert repr(nn.STPSynapse()) == "STPSynapse(tau_d=200, tau_f=20, U=0.2, step_mode='s')"
    assert "tau_fast=5, tau_slow=50, w_fast=0.5, w_slow=0.5" in repr(nn.DualTimescaleSynapse(learnable=True))
