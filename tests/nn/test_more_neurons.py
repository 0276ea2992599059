"""More neurons: step by step as all at once, equal on all backends, state, what they refuse; values by hand for ALIF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import check_layer, normal
from smooth_spikes import smooth_spike  # noqa: F401 - a fixture

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError

# On the dyadic grid where the equations allow, so that nothing is rounded in any order.
DYADIC: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (nn.KLIFNode, {"tau": 2.0}),
    (nn.KLIFNode, {"tau": 4.0, "decay_input": False, "scale_reset": True, "v_reset": None}),
    (nn.CubaLIFNode, {}),
    (nn.CubaLIFNode, {"v_reset": None}),
    (nn.ALIFNode, {"tau": 2.0, "beta": 0.25}),
    (nn.ALIFNode, {"v_reset": None, "decay_input": False}),
    (nn.QIFNode, {"v_c": 0.75, "v_reset": -0.125}),
    (nn.IzhikevichNode, {"v_c": 0.75, "v_rest": -0.125, "a": 0.25, "b": 0.5}),
    (nn.EIFNode, {}),
    (nn.ILIFNode, {"tau": 4.0}),
    (nn.TernaryLIFNode, {}),
    (nn.TernaryLIFNode, {"v_reset": None}),
    (nn.SlidingPSN, {"k": 3}),
    (nn.SlidingPSN, {"k": 1}),
    (nn.MaskedPSN, {"k": 3, "T": 8, "lambda_init": 1.0}),
    (nn.MaskedPSN, {"k": 12, "T": 8, "lambda_init": 1.0}),
]
KINDS = [pytest.param(kind, given, id=f"{kind.__name__}-{given}") for kind, given in DYADIC]
NODES = [row for row in KINDS if issubclass(row.values[0], nn.BaseNode)]  # type: ignore[arg-type]


def dyadic(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 13, (8, 3, 7)).astype(np.float32) / 8


def made(kind: type[nn.Module], given: dict[str, Any], step_mode: str, **more: Any) -> Any:
    node = kind(**given, step_mode=step_mode, **more)
    if isinstance(node, nn.MaskedPSN):
        node.weight.assign(np.random.default_rng(1).integers(-4, 9, (8, 8)) / 8)
    return node


def outputs(node: Any, x: Any) -> np.ndarray:
    if node.step_mode == "m":
        return np.asarray(node(x))
    return np.stack([node(x[t]) for t in range(x.shape[0])])


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("kind, given", KINDS)
def test_one_step_at_a_time_equals_all_at_once(
    kind: type[nn.Module], given: dict[str, Any], backend: str
) -> None:
    with grilly.backend(backend):
        single, multi = made(kind, given, "s"), made(kind, given, "m")
        x, again = (grilly.tensor(dyadic(), requires_grad=True) for _ in range(2))
        steps = [single(x[t]) for t in range(8)]
        whole = multi(again)
        assert 0 < np.mean(np.asarray(whole) != 0) < 1
        np.testing.assert_array_equal(np.stack(steps), whole)
        for name, state in multi.memories().items():
            # All steps of a MaskedPSN are a sequence of their own.
            if name not in ("v_seq", "time_step") and not isinstance(multi, nn.MaskedPSN):
                np.testing.assert_array_equal(single.memories()[name], state, err_msg=name)
        weight = np.random.default_rng(4).integers(-2, 3, whole.shape).astype(np.float32)
        sum((s * w).sum() for s, w in zip(steps, weight, strict=True)).backward()
        (whole * weight).sum().backward()
        assert x.grad is not None and again.grad is not None
        np.testing.assert_allclose(x.grad, again.grad, rtol=2e-5, atol=2e-6)
        for a, b in zip(single.parameters(), multi.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            np.testing.assert_allclose(a.grad, b.grad, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("kind, given", [row for row in KINDS if row.values[0] is not nn.MaskedPSN])
def test_a_sequence_can_be_cut(kind: type[nn.Module], given: dict[str, Any]) -> None:
    whole, parts = made(kind, given, "m"), made(kind, given, "m")
    x = dyadic()
    np.testing.assert_array_equal(whole(x), np.concatenate([parts(x[:3]), parts(x[3:])]))


@pytest.mark.parametrize("backend", [row for row in backend_params() if row.values[0] != "numpy"])
@pytest.mark.parametrize("kind, given", [row for row in NODES if row.values[0] is not nn.EIFNode])
def test_spikes_are_those_of_numpy(kind: type[nn.Module], given: dict[str, Any], backend: str) -> None:
    """Also for numbers that are rounded at every operation: those of all neurons made of + - * and comparisons."""
    x = (normal(40, 3, 50) * 0.7 + 0.3).astype(np.float32)
    tau = {} if kind is nn.CubaLIFNode else {"tau": 3.3}
    results = []
    for name in ("numpy", backend):
        node = made(kind, {**given, **tau, "v_threshold": 0.7}, "m", store_v_seq=True).to(name)
        if isinstance(node, nn.KLIFNode):
            node.k.assign(np.float32(1.3))
            # Bit equality is promised at equal slopes; the inverse is one division on the device.
            node.scale_reset = False
        results.append((node(grilly.tensor(x, backend=name)), node.v_seq))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, given", NODES)
def test_potentials_of_every_step(kind: type[nn.BaseNode], given: dict[str, Any]) -> None:
    single, multi = made(kind, given, "s"), made(kind, given, "m", store_v_seq=True)
    potentials = []
    for now in dyadic():
        single(now)
        potentials.append(single.v.numpy())
    x = grilly.tensor(dyadic(), requires_grad=True)
    multi(x)
    assert multi.v_seq is not None
    np.testing.assert_array_equal(np.stack(potentials), multi.v_seq)
    multi.v_seq.sum().backward()
    assert x.grad is not None and np.abs(x.grad.numpy()).max() > 0


@pytest.mark.parametrize("kind, given", KINDS)
def test_state_is_named_reset_detached_and_checked(kind: type[nn.Module], given: dict[str, Any]) -> None:
    node = made(kind, given, "s")
    start = dict(node.memories())
    first = node(grilly.tensor(dyadic()[1], requires_grad=True))
    held = node.memories()
    node(dyadic()[2])
    node.load_memories(held)
    assert node.memories() == held
    F.reset_net(node)
    assert node.memories() == start
    np.testing.assert_array_equal(node(dyadic()[1]), first)
    if getattr(node, "k", 2) != 1:
        with pytest.raises(StateError, match="reset_net"):
            node(np.zeros((2, 2), np.float32))
        F.reset_net(node)
        x = grilly.tensor(dyadic(), requires_grad=True)
        node(x[0]).sum().backward()
        if kind is not nn.SlidingPSN and kind is not nn.MaskedPSN:  # their state is the inputs alone
            with pytest.raises(StateError, match="detach_net"):
                node(x[1])
        F.detach_net(node)
        node(dyadic()[1])
    with pytest.raises(DTypeError, match="float32"):
        node(grilly.tensor(np.zeros((3, 7), np.int32)))


@pytest.mark.parametrize("kind, given", KINDS)
def test_no_steps_are_refused_and_repr_shows_the_arguments(
    kind: type[nn.Module], given: dict[str, Any]
) -> None:
    node = made(kind, given, "m")
    with pytest.raises(ShapeError, match=r"\[T, N"):
        node(np.zeros((0, 3), np.float32))
    assert repr(node).startswith(f"{kind.__name__}(") and "step_mode='m'" in repr(node)


@pytest.mark.parametrize("kind, given", KINDS)
def test_inside_a_container_over_time(kind: type[nn.Module], given: dict[str, Any]) -> None:
    alone, inside = made(kind, given, "m"), nn.MultiStepContainer(made(kind, given, "s"))
    np.testing.assert_array_equal(alone(dyadic()), inside(dyadic()))
    with pytest.raises(ArgumentError, match="keeps state"):
        nn.SeqToANNContainer(made(kind, given, "s"))


# By hand


def test_alif_by_hand() -> None:
    tau, tau_a, beta, threshold = 2.5, 7.0, 0.3, 0.8
    x = normal(30, 4) * 0.8 + 0.9
    for v_reset in (0.0, -0.1, None):
        node = nn.ALIFNode(tau, tau_a, beta, v_threshold=threshold, v_reset=v_reset, step_mode="m")
        node.to(dtype="float64")
        rest = v_reset or 0.0
        v, a, spikes = np.full(4, rest), np.zeros(4), []
        for now in x:
            h = v + (now - (v - rest)) / tau
            s = (h >= threshold + beta * a).astype(float)
            v = h - s * threshold if v_reset is None else np.where(s > 0, v_reset, h)
            a = a * math.exp(-1 / tau_a) + s
            spikes.append(s)
        np.testing.assert_array_equal(node(x), np.stack(spikes))
        np.testing.assert_allclose(node.v, v, atol=1e-14)
        np.testing.assert_allclose(node.a, a, rtol=1e-14)
        assert 0.1 < np.mean(spikes) < 0.9


def test_a_threshold_that_adapts_slows_firing() -> None:
    x = np.full((60, 1), 1.6, np.float32)
    plain = np.asarray(nn.LIFNode(step_mode="m")(x))
    adaptive = np.asarray(nn.ALIFNode(beta=0.2, step_mode="m")(x))
    np.testing.assert_array_equal(np.asarray(nn.ALIFNode(beta=0.0, step_mode="m")(x)), plain)
    assert 0 < adaptive[30:].sum() < adaptive[:30].sum() < plain[:30].sum()


def test_klif_of_slope_one_is_lif_above_zero() -> None:
    x = np.abs(normal(20, 6)).astype(np.float32)
    for scale_reset in (False, True):
        node = nn.KLIFNode(scale_reset=scale_reset, tau=3.0, step_mode="m")
        np.testing.assert_array_equal(node(x), nn.LIFNode(tau=3.0, step_mode="m")(x))


def test_decoding_of_the_readout() -> None:
    x = normal(9, 3, 2).astype(np.float32)
    v = np.asarray(nn.NonSpikingLIFNode(tau=3.0, step_mode="m")(x))
    wanted = {
        "max-mem": v.max(0),
        "mean-mem": v.mean(0),
        "last-mem": v[-1],
        "max-abs-mem": np.where(v.max(0) > -v.min(0), v.max(0), v.min(0)),
    }
    for decode, right in wanted.items():
        node = nn.NonSpikingLIFNode(tau=3.0, decode=decode, step_mode="m")
        np.testing.assert_allclose(node(x), right, rtol=1e-6, err_msg=decode)
    single = nn.NonSpikingLIFNode(tau=3.0, decode="max-mem")
    np.testing.assert_array_equal(np.stack([single(now) for now in x]), v)
    check_layer(nn.NonSpikingLIFNode(tau=3.0, decode="max-abs-mem", step_mode="m"), normal(5, 4))
    with pytest.raises(ArgumentError, match="max-mem"):
        nn.NonSpikingLIFNode(decode="max")


def test_masked_psn_sees_only_what_the_mask_leaves() -> None:
    node = nn.MaskedPSN(k=2, T=4, step_mode="m")
    whole = node.weight.numpy()
    np.testing.assert_array_equal(node.masked_weight(), whole)
    node.lambda_ = 0.5
    mask = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    np.testing.assert_allclose(node.masked_weight(), whole * np.where(mask, 1.0, 0.5), rtol=1e-6)
    node.lambda_ = 1.0
    np.testing.assert_array_equal(node.masked_weight(), whole * mask)
    other = nn.MaskedPSN(k=2, T=4)
    other.load_state_dict(node.state_dict())
    assert other.lambda_ == 1.0


@pytest.mark.usefixtures("smooth_spike")
def test_gradients_of_parallel_neurons() -> None:
    with grilly.backend("numpy"):
        x = normal(5, 2, 3)
        check_layer(nn.PSN(T=5), x)
        check_layer(nn.MaskedPSN(k=2, T=5, lambda_init=0.5, step_mode="m"), x)
        check_layer(nn.SlidingPSN(k=3, step_mode="m"), x)
        check_layer(nn.SlidingPSN(k=3), x[0])


# What they refuse


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: nn.KLIFNode(tau=0.5), "tau must be a number of at least 1"),
        (lambda: nn.CubaLIFNode(c_decay=1.5), "from 0 to 1"),
        (lambda: nn.CubaLIFNode(v_decay=float("nan")), "v_decay"),
        (lambda: nn.ALIFNode(tau_a=0.0), "above 0"),
        (lambda: nn.QIFNode(a0=0.0), "a0"),
        (lambda: nn.EIFNode(delta_T=-1.0), "delta_T"),
        (lambda: nn.IzhikevichNode(tau_w=0.1), "tau_w"),
        (lambda: nn.ILIFNode(max_spike_count=0), "max_spike_count"),
        (lambda: nn.ILIFNode(v_threshold=0.0), "v_threshold"),
        (lambda: nn.TernaryLIFNode(v_reset=1.0), "strictly between"),
        (lambda: nn.PSN(T=0), "T must be"),
        (lambda: nn.PSN(T=2, step_mode="s"), "all steps at once"),
        (lambda: nn.PSN(T=2, surrogate_function="atan"), "surrogate"),  # type: ignore[arg-type]
        (lambda: nn.MaskedPSN(k=2, T=4, lambda_init=1.5), "from 0 to 1"),
        (lambda: nn.SlidingPSN(k=0), "k must be"),
    ],
)
def test_arguments_that_make_no_neuron(make: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make()


def test_what_parallel_neurons_refuse() -> None:
    x = np.zeros((3, 2), np.float32)
    for node in (nn.PSN(T=4), nn.MaskedPSN(k=2, T=4, step_mode="m")):
        with pytest.raises(ShapeError, match="T=4"):
            node(x)
    with pytest.raises(ArgumentError, match="lambda_ = 1"):
        nn.MaskedPSN(k=2, T=4)(x)
    closed = nn.MaskedPSN(k=2, T=1, lambda_init=1.0)
    closed(x)
    with pytest.raises(StateError, match="has run 1 steps"):
        closed(x)


def test_a_network_of_them_learns() -> None:
    """Four inputs, one class each, read out by potentials."""
    grilly.seed(1)
    net = nn.Sequential(nn.Linear(4, 24), nn.ALIFNode(), nn.Linear(24, 24), nn.KLIFNode(), nn.Linear(24, 4))
    net.append(nn.NonSpikingLIFNode(decode="mean-mem"))
    F.set_step_mode(net, "m")
    optimizer = grilly.optim.Adam(net.parameters(), lr=0.02)
    x = np.broadcast_to(np.eye(4, dtype=np.float32) * 4, (6, 4, 4))
    labels = np.arange(4, dtype=np.int32)
    losses = []
    for _ in range(40):
        F.reset_net(net)
        loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
