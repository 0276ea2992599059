"""Learning-rate schedules and gradient clipping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import grilly
from grilly import nn, optim
from grilly.errors import ArgumentError


def optimiser(lr: float = 0.8) -> optim.SGD:
    return optim.SGD([{"params": [nn.Parameter(1.0)]}, {"params": [nn.Parameter(1.0)], "lr": 0.1}], lr=lr)


def rates(schedule: optim.Schedule, epochs: int) -> list[tuple[float, float]]:
    found = []
    for _ in range(epochs):
        found.append(tuple(group["lr"] for group in schedule.optimizer.groups))
        schedule.step()
    return found


def test_step_lr() -> None:
    found = rates(optim.StepLR(optimiser(), step_size=2, gamma=0.5), 5)
    factors = [1, 1, 0.5, 0.5, 0.25]
    np.testing.assert_allclose(found, [(0.8 * f, 0.1 * f) for f in factors])


def test_cosine() -> None:
    found = rates(optim.CosineAnnealingLR(optimiser(), T_max=4, eta_min=0.05), 7)
    shares = [(1 + math.cos(math.pi * min(t, 4) / 4)) / 2 for t in range(7)]
    np.testing.assert_allclose(found, [(0.05 + 0.75 * s, 0.05 + 0.05 * s) for s in shares])


@pytest.mark.parametrize("make", [lambda o: optim.StepLR(o, 2), lambda o: optim.CosineAnnealingLR(o, 6)])
def test_continue_at_an_epoch(make: Any) -> None:
    steady, resumed = make(optimiser()), make(optimiser())
    wanted = rates(steady, 5)
    resumed.set_epoch(3)
    assert resumed.epoch == 3
    assert rates(resumed, 2) == wanted[3:]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: optim.StepLR(optimiser(), 0), "StepLR: step_size must be an integer of at least 1, got 0"),
        (lambda: optim.StepLR(optimiser(), 1, gamma=0), "StepLR: gamma must be above 0"),
        (lambda: optim.CosineAnnealingLR(optimiser(), 0), "CosineAnnealingLR: T_max must be an integer of at least 1"),
        (lambda: optim.CosineAnnealingLR(optimiser(), 3, eta_min=-1), "eta_min must not be negative"),
        (lambda: optim.StepLR(optimiser(), 1).set_epoch(-1), "epoch must be an integer of at least 0, got -1"),
        (lambda: optim.clip_grad_norm_([nn.Parameter(1.0)], 1.0), r"no parameter has a gradient; call backward\(\)"),
        (lambda: optim.clip_grad_norm_([], 0.0), "max_norm must be above 0"),
        (lambda: optim.clip_grad_value_([], float("nan")), "clip_value must be above 0"),
    ],
)  # fmt: skip
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def held() -> list[nn.Parameter]:
    parameters = [nn.Parameter(np.zeros((2, 2))), nn.Parameter(np.zeros(3)), nn.Parameter(np.zeros(1))]
    rng = np.random.default_rng(0)
    for parameter in parameters[:2]:
        parameter.grad = grilly.tensor(rng.standard_normal(parameter.shape))
    return parameters


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_clip_grad_norm(share: float) -> None:
    parameters = held()
    before = [p.grad.numpy() for p in parameters if p.grad is not None]
    norm = math.sqrt(sum((g**2).sum() for g in before))
    assert optim.clip_grad_norm_(parameters, share * norm).item() == pytest.approx(norm)
    factor = min(1.0, share * norm / (norm + 1e-6))
    for parameter, g in zip(parameters, before, strict=False):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad, g * factor, rtol=1e-12)
    assert parameters[2].grad is None


def test_clip_grad_norm_takes_a_generator() -> None:
    parameters = held()
    optim.clip_grad_norm_((p for p in parameters), 0.1)
    total = sum(float((p.grad.numpy() ** 2).sum()) for p in parameters if p.grad is not None)
    assert math.sqrt(total) == pytest.approx(0.1, rel=1e-5)


def test_clip_grad_value() -> None:
    parameters = held()
    before = [p.grad.numpy() for p in parameters if p.grad is not None]
    optim.clip_grad_value_(parameters, 0.25)
    for parameter, g in zip(parameters, before, strict=False):
        np.testing.assert_array_equal(parameter.grad, np.clip(g, -0.25, 0.25))
