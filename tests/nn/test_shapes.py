"""Every class on the abstract backend: shapes and dtypes of layers and whole networks without arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
from grilly import nn
from grilly_core.abstract import ABSTRACT
from grilly_core.surrogate import Surrogate

Make = Callable[..., nn.Module]


def _leaky(x: Any, state: Any, params: Any) -> Any:
    v = state["v"] * params["k"] + x
    return F.spike(v - 1.0), {"v": v}


# One step in, one step out; constructors take step_mode unless the class has none.
LAYERS: dict[type[nn.Module], tuple[Make, tuple[int, ...], tuple[int, ...]]] = {
    nn.Linear: (lambda **k: nn.Linear(6, 4, **k), (2, 6), (2, 4)),
    nn.Flatten: (nn.Flatten, (2, 3, 4), (2, 12)),
    nn.Identity: (nn.Identity, (2, 3), (2, 3)),
    nn.ReLU: (nn.ReLU, (2, 3), (2, 3)),
    nn.LeakyReLU: (nn.LeakyReLU, (2, 3), (2, 3)),
    nn.Tanh: (nn.Tanh, (2, 3), (2, 3)),
    nn.Softmax: (nn.Softmax, (2, 3), (2, 3)),
    nn.Dropout: (nn.Dropout, (2, 3), (2, 3)),
    nn.Conv1d: (lambda **k: nn.Conv1d(2, 4, 3, stride=2, **k), (5, 2, 9), (5, 4, 4)),
    nn.Conv2d: (lambda **k: nn.Conv2d(2, 4, 3, padding=1, dilation=2, **k), (5, 2, 9, 8), (5, 4, 7, 6)),
    nn.MaxPool1d: (lambda **k: nn.MaxPool1d(2, **k), (5, 2, 9), (5, 2, 4)),
    nn.MaxPool2d: (lambda **k: nn.MaxPool2d(3, 2, 1, **k), (5, 2, 9, 8), (5, 2, 5, 4)),
    nn.AvgPool1d: (lambda **k: nn.AvgPool1d(2, **k), (5, 2, 9), (5, 2, 4)),
    nn.AvgPool2d: (lambda **k: nn.AvgPool2d(3, 2, 1, **k), (5, 2, 9, 8), (5, 2, 5, 4)),
    nn.AdaptiveAvgPool1d: (lambda **k: nn.AdaptiveAvgPool1d(4, **k), (5, 2, 9), (5, 2, 4)),
    nn.AdaptiveAvgPool2d: (lambda **k: nn.AdaptiveAvgPool2d((4, 1), **k), (5, 2, 9, 8), (5, 2, 4, 1)),
    nn.BatchNorm1d: (lambda **k: nn.BatchNorm1d(3, **k), (4, 3), (4, 3)),
    nn.BatchNorm2d: (lambda **k: nn.BatchNorm2d(3, **k), (4, 3, 2, 2), (4, 3, 2, 2)),
    nn.LayerNorm: (lambda: nn.LayerNorm(3), (4, 3), (4, 3)),
    nn.RMSNorm: (lambda: nn.RMSNorm((4, 3)), (4, 3), (4, 3)),
    nn.IFNode: (nn.IFNode, (2, 3), (2, 3)),
    nn.LIFNode: (nn.LIFNode, (2, 3), (2, 3)),
    nn.ParametricLIFNode: (nn.ParametricLIFNode, (2, 3), (2, 3)),
    nn.KLIFNode: (lambda **k: nn.KLIFNode(scale_reset=True, **k), (2, 3), (2, 3)),
    nn.CubaLIFNode: (nn.CubaLIFNode, (2, 3), (2, 3)),
    nn.ALIFNode: (nn.ALIFNode, (2, 3), (2, 3)),
    nn.QIFNode: (nn.QIFNode, (2, 3), (2, 3)),
    nn.EIFNode: (nn.EIFNode, (2, 3), (2, 3)),
    nn.IzhikevichNode: (nn.IzhikevichNode, (2, 3), (2, 3)),
    nn.ILIFNode: (nn.ILIFNode, (2, 3), (2, 3)),
    nn.TernaryLIFNode: (nn.TernaryLIFNode, (2, 3), (2, 3)),
    nn.NonSpikingLIFNode: (nn.NonSpikingLIFNode, (2, 3), (2, 3)),
    nn.SlidingPSN: (lambda **k: nn.SlidingPSN(3, **k), (2, 3), (2, 3)),
    nn.StepNeuron: (lambda **k: nn.neuron(_leaky, {"v": 0.0}, {"k": 0.5}, **k), (2, 3), (2, 3)),
    nn.ElementWiseRecurrentContainer: (
        lambda **k: nn.ElementWiseRecurrentContainer(nn.LIFNode(), lambda y, x: y + x, **k), (2, 3), (2, 3),
    ),
    nn.LinearRecurrentContainer: (
        lambda **k: nn.LinearRecurrentContainer(nn.Linear(3, 2), 3, 2, **k), (5, 2, 3), (5, 2, 2),
    ),
    nn.NeuNorm: (lambda **k: nn.NeuNorm(3, 4, 5, **k), (2, 3, 4, 5), (2, 3, 4, 5)),
    nn.SynapseFilter: (lambda **k: nn.SynapseFilter(delay=2, learnable=True, **k), (2, 3), (2, 3)),
    nn.DualTimescaleSynapse: (lambda **k: nn.DualTimescaleSynapse(learnable=True, **k), (2, 3), (2, 3)),
    nn.STPSynapse: (nn.STPSynapse, (2, 3), (2, 3)),
}  # fmt: skip
# Whole sequences in and out, whatever the shape.
SEQUENCE_LAYERS: dict[type[nn.Module], tuple[Make, tuple[int, ...]]] = {
    nn.BatchNormThroughTime1d: (lambda: nn.BatchNormThroughTime1d(6, 3), (6, 4, 3)),
    nn.BatchNormThroughTime2d: (lambda: nn.BatchNormThroughTime2d(6, 3), (5, 4, 3, 2, 2)),
    nn.TemporalEffectiveBatchNorm1d: (lambda: nn.TemporalEffectiveBatchNorm1d(6, 3), (6, 4, 3, 5)),
    nn.TemporalEffectiveBatchNorm2d: (lambda: nn.TemporalEffectiveBatchNorm2d(6, 3), (5, 4, 3, 2, 2)),
    nn.ThresholdDependentBatchNorm1d: (lambda: nn.ThresholdDependentBatchNorm1d(3), (6, 4, 3)),
    nn.ThresholdDependentBatchNorm2d: (lambda: nn.ThresholdDependentBatchNorm2d(3), (6, 4, 3, 2, 2)),
    nn.PSN: (lambda: nn.PSN(6), (6, 4, 3)),
    nn.MaskedPSN: (lambda: nn.MaskedPSN(2, 6, step_mode="m"), (6, 4, 3)),
    nn.TemporalWiseAttention: (lambda: nn.TemporalWiseAttention(6, 2), (6, 4, 3, 5)),
    nn.SpikingSelfAttention: (lambda: nn.SpikingSelfAttention(16, 2), (3, 2, 5, 16)),
    nn.QKAttention: (lambda: nn.QKAttention(16, 2), (3, 2, 5, 16)),
    nn.TokenQKAttention: (lambda: nn.TokenQKAttention(16, 2), (3, 2, 5, 16)),
    nn.ChannelQKAttention: (lambda: nn.ChannelQKAttention(16, 2), (3, 2, 5, 16)),
}
BASES = {nn.Module, nn.BaseNode}
TESTED_BELOW = {
    nn.Sequential, nn.ModuleList, nn.MultiStepContainer, nn.SeqToANNContainer, nn.CrossEntropyLoss, nn.MSELoss,
    nn.RateCrossEntropyLoss, nn.RateMSELoss, nn.FirstSpikeLoss, nn.TETLoss, nn.MembraneMSELoss,
    nn.LatencyEncoder, nn.DeltaEncoder, nn.PoissonEncoder,
}  # fmt: skip
# No gradient flows through them, and they look at what they get.
FLAT = {nn.LIFNeuron, nn.SNNLayer, nn.STDPLayer, nn.HebbianLayer}


@pytest.fixture(autouse=True)
def _shapes_only() -> Iterator[None]:
    with grilly.backend(ABSTRACT):
        yield


def test_every_layer_is_here() -> None:
    public = [getattr(nn, name) for name in nn.__all__]
    modules = {item for item in public if isinstance(item, type) and issubclass(item, nn.Module)}
    assert modules - BASES - TESTED_BELOW - FLAT == set(LAYERS) | set(SEQUENCE_LAYERS)


def has_step_mode(kind: type[nn.Module]) -> bool:
    return hasattr(kind, "step_mode")


def check(layer: nn.Module, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    for dtype in ("float32", "float64"):
        F.reset_net(layer.to(dtype=dtype))
        x = grilly.zeros(shape, dtype, requires_grad=True)
        out = layer(x)
        assert out.shape == wanted and out.dtype == dtype and out.backend == "abstract"
        out.sum().backward()
        assert x.grad is not None and x.grad.spec == x.spec
        for parameter in layer.parameters():
            assert parameter.grad is not None and parameter.grad.spec == parameter.spec


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_layer(kind: type[nn.Module]) -> None:
    make, shape, wanted = LAYERS[kind]
    check(make(), shape, wanted)
    if has_step_mode(kind):
        check(make(step_mode="m"), (6, *shape), (6, *wanted))
    check(nn.MultiStepContainer(make()), (6, *shape), (6, *wanted))
    if not make().memories() and kind not in (nn.Dropout, nn.RMSNorm):
        check(nn.SeqToANNContainer(make()), (6, *shape), (6, *wanted))


@pytest.mark.parametrize("kind", SEQUENCE_LAYERS, ids=lambda kind: kind.__name__)
def test_layer_of_sequences(kind: type[nn.Module]) -> None:
    make, shape = SEQUENCE_LAYERS[kind]
    for training in (True, False):
        check(make().train(training), shape, shape)


@pytest.mark.parametrize(
    "surrogate",
    [
        kind
        for kind in map(nn.__dict__.get, nn.__all__)
        if isinstance(kind, type) and issubclass(kind, Surrogate)
    ],
)
@pytest.mark.parametrize("node", [nn.IFNode, nn.LIFNode, nn.ParametricLIFNode])
def test_every_surrogate_in_every_neuron(node: Any, surrogate: Any) -> None:
    if surrogate is Surrogate:
        return
    for mode in "sm":
        check(node(surrogate_function=surrogate(), step_mode=mode, store_v_seq=True), (4, 3), (4, 3))


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_whole_network(mode: str) -> None:
    """VGG-like, on images of 32 x 32, 8 steps: far more arithmetic than a test could do."""
    blocks: list[nn.Module] = []
    channels = 3
    for wide in (64, 128, 256):
        blocks += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.LIFNode()]
        blocks += [nn.Conv2d(wide, wide, 3, padding=1), nn.ParametricLIFNode(), nn.MaxPool2d(2)]
        channels = wide
    blocks += [nn.Flatten(), nn.Dropout(), nn.Linear(256 * 16, 512), nn.IFNode(), nn.Linear(512, 10)]
    net = nn.Sequential(*blocks)
    F.set_step_mode(net, mode)
    out = F.multi_step_forward(net, grilly.zeros((64, 3, 32, 32)), T=8)
    assert out.shape == (8, 64, 10)
    labels = grilly.zeros(64, "int32")
    nn.CrossEntropyLoss()(out.mean(0), labels).backward()
    optimiser = grilly.optim.AdamW(net.parameters())
    optimiser.step()
    assert all(p.grad is not None and p.grad.spec == p.spec for p in net.parameters())
    assert net.memories()["2.v"].shape == (64, 64, 32, 32)


def test_losses() -> None:
    out = grilly.zeros((4, 3), requires_grad=True)
    assert nn.MSELoss()(out, grilly.zeros((4, 3))).shape == ()
    assert nn.CrossEntropyLoss(reduction="none")(out, np.array([0, 1, 2, 2])).shape == (4,)


@pytest.mark.parametrize(
    "loss",
    [nn.RateCrossEntropyLoss, nn.RateMSELoss, nn.FirstSpikeLoss, nn.TETLoss, nn.MembraneMSELoss],
)
def test_losses_over_time(loss: Any) -> None:
    out = grilly.zeros((6, 4, 3), requires_grad=True)
    value = loss()(out, np.array([0, 1, 2, 2]))
    value.backward()
    assert value.shape == () and out.grad is not None and out.grad.shape == (6, 4, 3)


def test_encoders() -> None:
    x = grilly.zeros((4, 3))
    assert nn.LatencyEncoder(T=5)(x).shape == (5, 4, 3)
    assert nn.PoissonEncoder()(x).shape == (4, 3)
    assert nn.DeltaEncoder(threshold=0.1, step_mode="m")(grilly.zeros((5, 4, 3))).shape == (5, 4, 3)
