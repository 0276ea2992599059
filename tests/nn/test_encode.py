"""Encoders: which steps fire, on which backend, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.ops.random import philox

X = np.random.default_rng(5).random((40, 30), dtype=np.float32)


@pytest.fixture(params=backend_params())
def backend(request: pytest.FixtureRequest) -> Any:
    with grilly.backend(request.param):
        yield request.param


def test_poisson_spikes_are_those_of_the_counter(backend: str) -> None:
    grilly.seed(7)
    F.poisson_encode(X, T=2)  # takes a draw
    spikes = F.poisson_encode(X, T=5).numpy()
    drawn = (philox(5 * X.size, seed=7, stream=1) >> np.uint32(8)).astype(np.float64) * 2.0**-24
    np.testing.assert_array_equal(spikes, drawn.reshape(5, *X.shape) < X)


def test_poisson_fires_as_often_as_asked() -> None:
    grilly.seed(1)
    x = np.float32([-0.5, 0.0, 0.25, 0.75, 1.0, 1.5])
    rates = F.poisson_encode(np.tile(x, (200, 1)), T=50).numpy().mean((0, 1))
    np.testing.assert_allclose(rates, np.clip(x, 0, 1), atol=0.015)
    assert (rates[[0, 1, 4, 5]] == [0, 0, 1, 1]).all()


def test_poisson_steps_differ_and_one_draw_needs_no_T() -> None:
    grilly.seed(3)
    spikes = F.poisson_encode(np.full((100,), 0.5), T=4).numpy()
    assert len({step.tobytes() for step in spikes}) == 4
    grilly.seed(3)
    np.testing.assert_array_equal(F.poisson_encode(np.full((4, 100), 0.5)), spikes)
    assert spikes.dtype == np.float64


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 9, 33])
def test_latency_linear_is_the_rounded_formula(backend: str, steps: int) -> None:
    halves = (np.arange(2 * steps, dtype=np.float32) + np.float32(0.5)) / np.float32(2 * steps)
    x = np.concatenate([X[0], halves, np.float32([0, 0.25, 0.5, 0.75, 1, -3, 4])])
    spikes = F.latency_encode(x, T=steps).numpy()
    due = np.rint(np.float32(steps - 1) * (1 - np.clip(x, 0, 1)))
    np.testing.assert_array_equal(spikes, np.arange(steps)[:, None] == due)


def test_latency_rounds_halves_to_even() -> None:
    # (T - 1) (1 - x) is 0.5, 1.5, 2.5, 3.5
    steps = F.latency_encode(np.float32([0.875, 0.625, 0.375, 0.125]), T=5).argmax(0)
    assert steps.tolist() == [0, 2, 2, 4]


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 16, 40])
def test_latency_log_is_the_rounded_formula(backend: str, steps: int) -> None:
    x = np.concatenate([X.ravel(), np.float32([0, 1, -1, 2, 1e-6])])
    spikes = F.latency_encode(x, T=steps, mode="log").numpy()
    clipped = np.clip(x, 0, 1).astype(np.float64)
    exact = steps - 1 - np.log(np.expm1(steps - 1.0) * clipped + 1)
    clear = np.abs(exact % 1 - 0.5) > 1e-6
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(spikes.sum(0), 1)
    np.testing.assert_array_equal(spikes.argmax(0)[clear], np.rint(exact)[clear])


def test_latency_log_of_many_steps_does_not_overflow(backend: str) -> None:
    spikes = F.latency_encode(np.float32([1.0, 0.5, 1e-30, 0.0]), T=1000, mode="log")
    assert spikes.numpy().argmax(0).tolist() == [0, 1, 69, 999]
    assert spikes.numpy().sum(0).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_step_changes_exactly_where_the_formula_says(dtype: Any) -> None:
    """On either side of the border of two steps in mode 'log', found in float64, of numbers of both dtypes."""
    border = np.expm1(9 - 1 - 2.5) / np.expm1(9 - 1.0)
    near = dtype(border)
    below, above = (np.nextafter(near, dtype(to)) for to in (0, 1))
    steps = F.latency_encode(np.stack([below, above]), T=9, mode="log").argmax(0)
    assert steps.tolist() == [3, 2]


@pytest.mark.parametrize("mode", ["linear", "log"])
def test_nothing_is_made_of_nan(mode: str) -> None:
    assert F.latency_encode(np.float32([np.nan]), T=4, mode=mode).tolist() == [[0.0]] * 4
    assert F.poisson_encode(np.float32([np.nan]), T=2).tolist() == [[0.0]] * 2


def test_delta(backend: str) -> None:
    x = np.random.default_rng(0).integers(-8, 9, (9, 4, 3)).astype(np.float32) / 4
    for padding in (False, True):
        change = np.diff(x, axis=0, prepend=x[:1] if padding else np.zeros_like(x[:1]))
        rises, falls = (change >= 0.5) * 1.0, (change <= -0.5) * 1.0
        assert rises.any() and falls.any() and (np.abs(change) == 0.5).any()
        on = F.delta_encode(x, threshold=0.5, padding=padding)
        both = F.delta_encode(x, threshold=0.5, padding=padding, off_spike=True)
        np.testing.assert_array_equal(on, rises)
        np.testing.assert_array_equal(both, rises - falls)


def test_no_gradient_passes() -> None:
    x = grilly.tensor(X[:2], requires_grad=True)
    for spikes in (
        F.poisson_encode(x, T=2),
        F.latency_encode(x, T=3),
        F.latency_encode(x, T=3, mode="log"),
        F.delta_encode(x, threshold=0.1),
        nn.DeltaEncoder(0.1)(x),
    ):
        assert not spikes.requires_grad and spikes.is_leaf


# --- modules ---


def test_modules_are_the_functions() -> None:
    grilly.seed(2)
    wanted = F.poisson_encode(X, T=6)
    grilly.seed(2)
    np.testing.assert_array_equal(nn.PoissonEncoder(T=6)(X), wanted)
    np.testing.assert_array_equal(nn.LatencyEncoder(6, "log")(X), F.latency_encode(X, T=6, mode="log"))
    assert repr(nn.LatencyEncoder(6)) == "LatencyEncoder(T=6, mode='linear')"


def test_an_encoder_in_front_of_a_network() -> None:
    grilly.seed(0)
    whole = nn.Sequential(nn.PoissonEncoder(T=6), nn.Linear(30, 4), nn.IFNode(v_threshold=0.2))
    F.set_step_mode(whole, "m")
    grilly.seed(4)
    spikes = whole(X)
    F.reset_net(whole)
    loop = nn.Sequential(nn.PoissonEncoder(), *list(whole)[1:])
    grilly.seed(4)
    steps = F.poisson_encode(X, T=6)
    F.set_step_mode(loop, "s")
    np.testing.assert_array_equal(np.stack([loop(step).numpy() for step in steps]), spikes)
    assert spikes.shape == (6, 40, 4) and 0 < spikes.numpy().mean() < 1


@pytest.mark.parametrize("padding", [False, True])
def test_a_delta_encoder_goes_on_where_it_was(padding: bool) -> None:
    x = np.random.default_rng(1).random((7, 2, 3), dtype=np.float32)
    wanted = F.delta_encode(x, threshold=0.2, padding=padding, off_spike=True).numpy()
    single = nn.DeltaEncoder(0.2, padding, off_spike=True)
    multi = nn.DeltaEncoder(0.2, padding, off_spike=True, step_mode="m")
    for _ in range(2):
        np.testing.assert_array_equal(np.stack([single(step).numpy() for step in x]), wanted)
        parts = [multi(part).numpy() for part in (x[:3], x[3:4], x[4:])]
        np.testing.assert_array_equal(np.concatenate(parts), wanted)
        single.reset()
        multi.reset()
    assert multi.state_dict() == {}


def test_a_delta_encoder_refuses_other_inputs() -> None:
    encoder = nn.DeltaEncoder(0.2)
    encoder(X)
    with pytest.raises(StateError, match=r"float32\[40,30\].*float32\[2,30\].*reset_net"):
        encoder(X[:2])
    F.reset_net(encoder)
    assert encoder(X[:2]).shape == (2, 30)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.poisson_encode(X, T=0), ArgumentError, "poisson_encode: T must be an integer of at least 1, got 0"),
        (lambda: F.poisson_encode(np.uint8([3]), T=2), DTypeError, "poisson_encode takes float32 or float64, got int32"),
        (lambda: F.latency_encode(np.uint8([3]), T=2), DTypeError, "latency_encode takes float32 or float64"),
        (lambda: F.latency_encode(X, T=2.5), ArgumentError, "latency_encode: T must be an integer"),
        (lambda: F.latency_encode(X, T=2, mode="exp"), ArgumentError, "mode must be 'linear' or 'log', got 'exp'"),
        (lambda: F.delta_encode(X, threshold=0), ArgumentError, "threshold must be a finite number above 0, got 0"),
        (lambda: F.delta_encode(1.0, threshold=1), ShapeError, r"takes \[T, \.\.\.\] with T >= 1, got \(\)"),
        (lambda: F.delta_encode(X[:0], threshold=1), ShapeError, r"got \(0, 30\)"),
        (lambda: nn.PoissonEncoder(T=-1), ArgumentError, "PoissonEncoder: T"),
        (lambda: nn.LatencyEncoder(T=2, mode="x"), ArgumentError, "LatencyEncoder: mode"),
        (lambda: nn.DeltaEncoder(threshold=-1), ArgumentError, "DeltaEncoder: threshold"),
        (lambda: nn.DeltaEncoder(1, step_mode="m")(X[:0]), ShapeError, r"DeltaEncoder in step_mode='m' takes \[T, N"),
    ],
)  # fmt: skip
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
