"""ReLUs in spikes, and max pooling that keeps rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params

import grilly
import grilly.functional as F
from grilly import nn
from grilly.convert import RateMaxPool1d, RateMaxPool2d, Scale, spiking_relu, spiking_relus
from grilly_core.errors import ArgumentError, ShapeError, StateError


def spikes(*shape: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.random(shape) < generator.random(shape[1:])).astype(np.float32)


@pytest.mark.parametrize("maximum", [0.3, 1.0, 7.0])
def test_a_relu_in_spikes_is_off_by_less_than_one_spike(maximum: float) -> None:
    x = np.linspace(-1.2 * maximum, 1.5 * maximum, 55, dtype=np.float32)
    node = spiking_relu(maximum)
    found = np.mean([node(x).numpy() for _ in range(40)], axis=0)
    wanted = np.clip(x, 0, maximum)
    assert (found <= wanted + 1e-5 * maximum).all(), "spikes come after what they stand for"
    assert (found >= wanted - maximum / 40 * 1.001).all()


def test_relus_are_found_by_their_structure() -> None:
    net = nn.Sequential(
        spiking_relu(1.0), nn.Sequential(Scale(1.0), nn.IFNode()), nn.Sequential(spiking_relu(2.0))
    )
    assert list(spiking_relus(net)) == ["0", "2.0"]


def naive_max(x: np.ndarray, window: int, stride: int, padding: int) -> np.ndarray:
    """Largest of each square window of ``[..., H, W]``."""
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(padding, padding)] * 2, constant_values=-np.inf)
    rows, columns = ((extent - window) // stride + 1 for extent in x.shape[-2:])
    out = np.empty((*x.shape[:-2], rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            part = x[..., i * stride : i * stride + window, j * stride : j * stride + window]
            out[..., i, j] = part.max((-2, -1))
    return out


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("window, stride, padding", [(2, 2, 0), (3, 1, 1), (3, 2, 0)])
def test_the_rate_of_max_pooling_is_the_largest_rate(
    window: int, stride: int, padding: int, backend: str
) -> None:
    x = spikes(12, 2, 3, 6, 7)
    pool = RateMaxPool2d(window, stride, padding)
    with grilly.backend(backend):
        single = np.stack([pool(step).numpy() for step in x])
        F.reset_net(pool)
        pool.step_mode = "m"
        multi = pool(x).numpy()
    np.testing.assert_array_equal(single, multi)
    assert set(np.unique(single)) == {0.0, 1.0}, "spikes in, spikes out"
    for steps in range(1, 13):
        np.testing.assert_array_equal(
            single[:steps].sum(0), naive_max(x[:steps].sum(0), window, stride, padding)
        )


def test_pooling_the_spikes_of_each_step_would_overrate() -> None:
    x = spikes(40, 1, 1, 4, 4)
    largest = naive_max(x.mean(0), 2, 2, 0)
    each_step = naive_max(x, 2, 2, 0).mean(0)
    assert (each_step > largest + 0.1).any()
    pool = RateMaxPool2d(2, step_mode="m")
    np.testing.assert_allclose(pool(x).numpy().mean(0), largest, atol=1e-6)


def test_values_and_negative_ones_pool_like_spikes() -> None:
    x = np.random.default_rng(3).standard_normal((9, 2, 3, 8)).astype(np.float32)
    pool = RateMaxPool1d(2, step_mode="m")
    wanted = x.cumsum(0).reshape(9, 2, 3, 4, 2).max(-1)
    np.testing.assert_allclose(pool(x).numpy().cumsum(0), wanted, atol=1e-5)


def test_state_of_max_pooling() -> None:
    pool = RateMaxPool2d(2)
    first = pool(np.ones((2, 1, 4, 4))).numpy()
    kept = pool.memories()
    pool(np.ones((2, 1, 4, 4)))
    pool.load_memories(kept)
    np.testing.assert_array_equal(pool(np.ones((2, 1, 4, 4))).numpy(), first)
    with pytest.raises(StateError, match=r"RateMaxPool2d: .* shape \(3, 1, 4, 4\) but .*reset_net"):
        pool(np.ones((3, 1, 4, 4)))
    F.reset_net(pool)
    assert pool(np.ones((3, 1, 4, 4))).shape == (3, 1, 2, 2)
    assert pool.state_dict() == {}


def test_gradients_reach_the_largest_rate_through_time() -> None:
    x: Any = grilly.tensor(np.float32([[[[1, 0, 3]]], [[[1, 5, 0]]]]), requires_grad=True)  # [T, N, C, L]
    weights = np.float32([[[[1.0]]], [[[10.0]]]])
    (RateMaxPool1d(3, step_mode="m")(x) * grilly.tensor(weights)).sum().backward()
    # y[0] = x[0, 2]; y[1] = (x[0, 1] + x[1, 1]) - x[0, 2].
    assert x.grad.tolist() == [[[[0.0, 10.0, -9.0]]], [[[0.0, 10.0, 0.0]]]]


def test_what_the_layers_refuse() -> None:
    with pytest.raises(ArgumentError, match="Scale: factor must be a finite number"):
        Scale(float("nan"))
    with pytest.raises(ShapeError, match=r"RateMaxPool1d in step_mode='s' takes \[N, C, L\]"):
        RateMaxPool1d(2)(np.ones((2, 2)))
    with pytest.raises(ShapeError, match="at least one step"):
        RateMaxPool1d(2, step_mode="m")(np.ones((0, 2, 2, 2)))
