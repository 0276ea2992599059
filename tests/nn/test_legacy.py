"""Flat layers: values against plain NumPy, refractory periods, state."""

from __future__ import annotations

import numpy as np
import pytest
from backends_under_test import backend_params

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, StateError


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("refractory", [0, 1, 3])
def test_lif_neuron_against_plain_numpy(refractory: int, backend: str) -> None:
    x = np.random.default_rng(refractory).uniform(-0.2, 0.9, (40, 67)).astype(np.float32)
    decay, threshold = np.float32(0.9), np.float32(1.25)
    v, wait = np.zeros(67, np.float32), np.zeros(67, int)
    with grilly.backend(backend):
        neuron = nn.LIFNeuron(threshold=1.25, decay=0.9, refractory=refractory)
        total = 0
        for step in x:
            h = decay * v + step
            fires = (h >= threshold) & (wait == 0)
            v = np.where(fires | (wait > 0), np.float32(0), h)
            wait = np.where(fires, refractory, np.maximum(wait - 1, 0))
            np.testing.assert_array_equal(neuron(step).numpy(), fires)
            np.testing.assert_array_equal(neuron.v.numpy(), v)
            total += int(fires.sum())
    assert total > 100


def test_refractory_neurons_are_silent_for_so_many_steps() -> None:
    neuron = nn.LIFNeuron(refractory=2)
    assert [neuron([5.0]).item() for _ in range(7)] == [1, 0, 0, 1, 0, 0, 1]


def test_a_layer_is_linear_and_neuron_without_gradient() -> None:
    layer = nn.SNNLayer(in_features=6, out_features=4, threshold=0.2)
    x = np.random.default_rng(0).random((5, 6)).astype(np.float32)
    w, b = layer.linear.weight.numpy(), layer.linear.bias.numpy()
    found = layer(x)
    np.testing.assert_array_equal(found.numpy(), x @ w.T + b >= 0.2)
    assert 0 < found.numpy().mean() < 1 and not found.requires_grad
    assert layer(x[0:5]).shape == (5, 4)
    with pytest.raises(StateError, match="LIFNeuron: the input needs a state of shape"):
        layer(x[0])
    F.reset_net(layer)
    assert layer(x[0]).shape == (4,)
    assert set(layer.memories()) == {"neuron.v", "neuron.wait"}


def test_arguments_are_checked() -> None:
    with pytest.raises(ArgumentError, match="decay"):
        nn.LIFNeuron(decay=1.5)
    with pytest.raises(ArgumentError, match="refractory"):
        nn.LIFNeuron(refractory=-1)
    with pytest.raises(ArgumentError, match="threshold"):
        nn.SNNLayer(2, 2, threshold=float("nan"))
