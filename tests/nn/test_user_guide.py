"""The lines of the user guide run as they are written there."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly import nn

x = np.random.default_rng(0).uniform(0, 3, (32, 10)).astype("float32")


def is_binary(output: Any) -> bool:
    return set(np.unique(output)) == {0.0, 1.0}


def test_ifnode() -> None:
    node = nn.IFNode(v_threshold=1.0, surrogate_function=nn.ATan())
    output = node(x)  # x: input current, output: binary spikes
    assert output.shape == x.shape and is_binary(output)


def test_lifnode() -> None:
    node = nn.LIFNode(tau=2.0, v_threshold=1.0, surrogate_function=nn.ATan())
    output = node(x)
    assert is_binary(output)


def test_parametric_lifnode() -> None:
    node = nn.ParametricLIFNode(init_tau=2.0, surrogate_function=nn.ATan())
    output = node(x)
    assert is_binary(output)
    output.sum().backward()
    assert node.w.grad is not None


def test_surrogates() -> None:
    atan = nn.ATan(alpha=2.0)  # Arctangent surrogate
    sig = nn.Sigmoid(alpha=4.0)  # Sigmoid surrogate
    fast = nn.FastSigmoid(alpha=2.0)  # Piecewise linear approximation
    for surrogate in (atan, sig, fast):
        for kind in (nn.IFNode, nn.LIFNode, nn.ParametricLIFNode):
            assert is_binary(kind(surrogate_function=surrogate)(x))
    assert (atan, sig, fast) == (nn.ATan(), nn.Sigmoid(), nn.FastSigmoid())


def test_multi_step_container() -> None:
    x_temporal = np.stack([x] * 4)
    container = nn.MultiStepContainer(nn.LIFNode(tau=2.0))
    # input: (T, batch, ...) -> output: (T, batch, ...)
    output = container(x_temporal)
    assert output.shape == (4, 32, 10) and is_binary(output)


def test_seq_to_ann_container() -> None:
    x_temporal = np.ones((4, 2, 3, 8, 8), "float32")
    container = nn.SeqToANNContainer(nn.Conv2d(3, 64, 3, padding=1))
    # Reshapes (T, B, C, H, W) -> (T*B, C, H, W), applies conv, reshapes back
    output = container(x_temporal)
    assert output.shape == (4, 2, 64, 8, 8)


def test_synapses() -> None:
    x_temporal = np.stack([x] * 4)
    # Basic synapse with delay
    synapse = nn.SynapseFilter(tau_syn=5.0)
    # Short-term plasticity
    stp = nn.STPSynapse(tau_d=200.0, tau_f=20.0, U=0.2)
    # Dual timescale (fast + slow)
    dual = nn.DualTimescaleSynapse(tau_fast=5.0, tau_slow=50.0)
    for layer in (synapse, stp, dual):
        assert nn.MultiStepContainer(layer)(x_temporal).shape == x_temporal.shape


def test_functional() -> None:
    import grilly.functional as F

    v_prev = np.zeros_like(x)
    # Single LIF step
    spike, v = F.lif_step(x, v_prev, tau=2.0, v_threshold=1.0)
    assert is_binary(spike) and (v.numpy() < 1).all()
    model = nn.Sequential(nn.Linear(10, 5), nn.LIFNode())
    x_temporal = np.stack([x] * 10)
    # Multi-step forward
    output = F.multi_step_forward(model, x_temporal, T=10)
    assert output.shape == (10, 32, 5)
    # Reset all neuron states
    F.reset_net(model)
    assert model[1].v == 0.0
