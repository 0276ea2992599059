"""Optimisers against their formulas, their state, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import grilly
from grilly import nn, optim
from grilly.errors import ArgumentError, CheckpointError
from grilly_core.abstract import ABSTRACT

Arrays = list[np.ndarray]


def draw(step: int) -> Arrays:
    """Gradients of step ``step`` for two parameters."""
    rng = np.random.default_rng(step)
    return [rng.standard_normal((3, 2)), rng.standard_normal(4)]


def parameters(dtype: str = "float64") -> list[nn.Parameter]:
    return [nn.Parameter(p.astype(dtype)) for p in draw(100)]


def sgd(lr: float, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> Any:
    kept: dict[int, np.ndarray] = {}

    def update(i: int, t: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        g = g + weight_decay * p
        kept[i] = momentum * kept.get(i, 0.0) + g
        return p - lr * (g + momentum * kept[i] if nesterov else kept[i])

    return update


def adam(
    lr: float,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> Any:
    first: dict[int, np.ndarray] = {}
    second: dict[int, np.ndarray] = {}

    def update(i: int, t: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        first[i] = betas[0] * first.get(i, 0.0) + (1 - betas[0]) * g
        second[i] = betas[1] * second.get(i, 0.0) + (1 - betas[1]) * g * g
        m, v = first[i] / (1 - betas[0] ** t), second[i] / (1 - betas[1] ** t)
        return p - lr * m / (np.sqrt(v) + eps)

    return update


def adamw(**settings: Any) -> Any:
    return adam(**{"weight_decay": 0.01, **settings}, decoupled=True)


CASES = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.05}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": True}),
    (optim.Adam, adam, {"lr": 0.05}),
    (optim.Adam, adam, {"lr": 0.05, "betas": (0.5, 0.75), "eps": 1e-2, "weight_decay": 0.1}),
    (optim.AdamW, adamw, {"lr": 0.05}),
    (optim.AdamW, adamw, {"lr": 0.05, "weight_decay": 0.3, "betas": (0.8, 0.9)}),
]
IDS = [f"{kind.__name__}-{settings}" for kind, _, settings in CASES]


def feed(held: list[nn.Parameter], step: int) -> None:
    for parameter, g in zip(held, draw(step), strict=True):
        parameter.grad = grilly.tensor(g.astype(parameter.dtype))


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("kind, formula, settings", CASES, ids=IDS)
def test_steps(kind: Any, formula: Any, settings: dict[str, Any], dtype: str, rtol: float) -> None:
    held = parameters(dtype)
    wanted = [p.numpy().astype("float64") for p in held]
    optimiser, update = kind(held, **settings), formula(**settings)
    for step in range(5):
        feed(held, step)
        optimiser.step()
        wanted = [update(i, step + 1, p, g) for i, (p, g) in enumerate(zip(wanted, draw(step), strict=True))]
        for p, w in zip(held, wanted, strict=True):
            np.testing.assert_allclose(p, w, rtol=rtol, atol=rtol)
    assert optimiser.steps == 5 and [p.dtype for p in held] == [dtype] * 2


@pytest.mark.parametrize("kind, formula, settings", CASES, ids=IDS)
def test_continue_from_a_saved_state(kind: Any, formula: Any, settings: dict[str, Any]) -> None:
    whole, part = parameters(), parameters()
    steady, first = kind(whole, **settings), kind(part, **settings)
    for step in range(6):
        feed(whole, step)
        steady.step()
    for step in range(3):
        feed(part, step)
        first.step()
    saved = first.state_dict()
    saved["groups"] = json.loads(json.dumps(saved["groups"]))
    resumed = kind(part)
    resumed.load_state_dict(saved)
    assert resumed.steps == 3 and resumed.lr == settings["lr"]
    for step in range(3, 6):
        feed(part, step)
        resumed.step()
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a, b)


def test_parameters_without_a_gradient_wait() -> None:
    """Adam corrects its moments by the updates of each parameter, not by those of the optimiser."""
    held = parameters()
    waiting = held[1].numpy()
    optimiser, update = optim.Adam(held, lr=0.1), adam(lr=0.1)
    for step in range(4):
        held[0].grad, held[1].grad = grilly.tensor(draw(step)[0]), None
        optimiser.step()
    np.testing.assert_array_equal(held[1], waiting)
    held[1].grad = grilly.tensor(draw(9)[1])
    optimiser.step()
    np.testing.assert_allclose(held[1], update(1, 1, waiting, draw(9)[1]), rtol=1e-12)


def test_identity_is_kept_and_old_values_stay() -> None:
    net = nn.Linear(2, 2)
    optimiser = optim.Adam(net.parameters(), lr=0.5)
    before = list(net.parameters())
    snapshots: list[tuple[Any, np.ndarray]] = []
    for _ in range(4):
        for parameter in before:
            held = parameter.detach()
            snapshots.append((held, held.numpy()))
        optimiser.zero_grad()
        loss = net(np.ones((1, 2))).sum()
        loss.backward()
        optimiser.step()
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    for held, values in snapshots:
        np.testing.assert_array_equal(held, values)
        assert held.requires_grad is False


@pytest.mark.parametrize("kind", [lambda p: optim.SGD(p, momentum=0.9), optim.AdamW])
def test_arrays_are_reused_when_nobody_else_holds_them(kind: Any) -> None:
    with grilly.backend("numpy"):
        held = [nn.Parameter(np.ones((64, 64)))]
    optimiser = kind(held)
    held[0].grad = grilly.ones((64, 64), "float64", backend="numpy")
    optimiser.step()
    place = id(held[0]._data)
    optimiser.step()
    assert id(held[0]._data) == place
    view = held[0].detach()[0]
    optimiser.step()
    assert id(held[0]._data) != place and (view.numpy() != held[0].numpy()[0]).all()


def test_a_graph_recorded_before_the_step_is_not_disturbed() -> None:
    w = nn.Parameter([2.0])
    optimiser = optim.SGD([w], lr=1.0)
    (w * 3.0).sum().backward()
    loss = (w * w).sum()
    optimiser.step()
    w.grad = None
    loss.backward()
    assert w.item() == -1.0 and w.grad is not None and w.grad.item() == 4.0


def test_zero_grad() -> None:
    held = parameters()
    feed(held, 0)
    optim.SGD(held).zero_grad()
    assert [p.grad for p in held] == [None, None]


def test_groups_have_settings_of_their_own() -> None:
    slow, fast = parameters()
    optimiser = optim.SGD([{"params": [slow], "lr": 0.1}, {"params": [fast]}], lr=1.0)
    start = slow.numpy(), fast.numpy()
    feed([slow, fast], 0)
    optimiser.step()
    np.testing.assert_allclose(slow, start[0] - 0.1 * draw(0)[0], rtol=1e-12)
    np.testing.assert_allclose(fast, start[1] - 1.0 * draw(0)[1], rtol=1e-12)
    assert optimiser.lr == 0.1


def test_two_dtypes_and_two_backends() -> None:
    wide, narrow = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2, "float32"))
    hollow = nn.Parameter(grilly.zeros(2, backend=ABSTRACT))
    optimiser = optim.Adam([wide, narrow, hollow], lr=0.5)
    for parameter in (wide, narrow, hollow):
        parameter.grad = grilly.ones(2, parameter.dtype, backend=parameter._backend)
    optimiser.step()
    np.testing.assert_allclose(wide, [0.5, 0.5], rtol=1e-7)
    np.testing.assert_allclose(narrow, [0.5, 0.5], rtol=1e-6)
    assert hollow.backend == "abstract"


def test_momentum_switched_on_later() -> None:
    (p, _), optimiser = parameters(), None
    optimiser = optim.SGD([p], lr=0.1)
    p.grad = grilly.tensor(draw(0)[0])
    optimiser.step()
    optimiser.groups[0]["momentum"] = 0.9
    start = p.numpy()
    optimiser.step()
    np.testing.assert_allclose(p, start - 0.1 * draw(0)[0], rtol=1e-12)


def saved_adam() -> tuple[optim.Adam, dict[str, Any]]:
    held = parameters()
    optimiser = optim.Adam(held)
    feed(held, 0)
    optimiser.step()
    return optimiser, optimiser.state_dict()


def without(saved: dict[str, Any], key: str) -> dict[str, Any]:
    return {**saved, "state": {name: value for name, value in saved["state"].items() if name != key}}


def with_zeros(saved: dict[str, Any], key: str, size: int) -> dict[str, Any]:
    return {**saved, "state": {**saved["state"], key: np.zeros(size)}}


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda saved: {"state": {}}, r"no state of an optimiser: it lacks \['groups', 'steps'\]"),
        (lambda saved: {**saved, "groups": saved["groups"] * 2}, "has 2 groups, this one 1"),
        (lambda saved: {**saved, "groups": [{"lr": 1.0}]}, r"settings \['lr'\] are not those of Adam"),
        (lambda saved: without(saved, "0.0.exp_avg"), r"missing or of another shape: \['0.0.exp_avg'\]"),
        (lambda saved: without(saved, "0.1.step"), r"\['0.1.step'\]"),
        (lambda saved: with_zeros(saved, "0.1.exp_avg", 3), r"missing or of another shape: \['0.1.exp_avg'\]"),
        (lambda saved: with_zeros(saved, "0.7.exp_avg", 3), r"\['0.7.exp_avg'\] belongs to no parameter of this Adam"),
        (lambda saved: with_zeros(saved, "0.1.momentum", 4), r"\['0.1.momentum'\] belongs to no"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_changes_nothing(damage: Any, message: str) -> None:
    optimiser, saved = saved_adam()
    with pytest.raises(CheckpointError, match=message):
        optimiser.load_state_dict(damage(saved))
    after = optimiser.state_dict()
    assert after["groups"] == saved["groups"] and after["steps"] == 1
    for name, value in saved["state"].items():
        np.testing.assert_array_equal(after["state"][name], value)


def test_the_state_of_another_optimiser() -> None:
    _, saved = saved_adam()
    with pytest.raises(CheckpointError, match="not those of SGD; it has"):
        optim.SGD(parameters()).load_state_dict(saved)


P = nn.Parameter([1.0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: optim.Adam([]), r"Adam: no parameters; pass net.parameters\(\)"),
        (lambda: optim.Adam(nn.Linear(1, 1)), r"Adam takes parameters, got a module; pass net.parameters\(\)"),
        (lambda: optim.SGD([grilly.tensor([1.0])]), "SGD takes Parameters, got Tensor"),
        (lambda: optim.SGD([P, P]), "SGD: a parameter is given twice"),
        (lambda: optim.SGD([{"params": [P]}, {"params": [P]}]), "given twice"),
        (lambda: optim.SGD([{"lr": 0.1}]), "every group is a dict with 'params'"),
        (lambda: optim.SGD([{"params": [P], "beta": 1}]), r"unknown settings \['beta'\]; it has \['lr', 'momentum'"),
        (lambda: optim.SGD([P], lr=-1), "SGD: lr and weight_decay must not be negative, got -1 and"),
        (lambda: optim.SGD([P], lr=float("nan")), "lr"),
        (lambda: optim.SGD([P], weight_decay=-1), "weight_decay"),
        (lambda: optim.SGD([P], momentum=1.0), r"momentum must lie in \[0, 1\)"),
        (lambda: optim.SGD([P], nesterov=True), "above 0 with nesterov"),
        (lambda: optim.Adam([P], betas=(0.9, 1.0)), r"Adam: betas must be two numbers in \[0, 1\)"),
        (lambda: optim.AdamW([P], betas=(0.9,)), "AdamW: betas"),
        (lambda: optim.AdamW([P], eps=0), "eps above 0"),
    ],
)  # fmt: skip
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_training_lowers_the_loss() -> None:
    grilly.seed(0)
    x = np.random.default_rng(0).standard_normal((64, 4))
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    for kind in (lambda p: optim.SGD(p, lr=0.2, momentum=0.9), lambda p: optim.AdamW(p, lr=0.02)):
        net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
        optimiser, losses = kind(net.parameters()), []
        for _ in range(80):
            optimiser.zero_grad()
            loss = grilly.functional.cross_entropy(net(x), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.3 * losses[0]
