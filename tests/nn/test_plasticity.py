"""Plasticity: the functions against plain loops, the layers, and the learner inside networks of both step modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.tensor import Tensor

RATES: dict[str, float] = dict(tau_pre=3.0, tau_post=2.0, a_pre=0.4, a_post=0.7)
HOW: dict[str, Any] = {**RATES, "w_min": -0.5, "w_max": 3.0}


def spikes(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng([seed, *shape]).random(shape) < 0.4).astype(np.float32)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def unfolded(x: np.ndarray, kernel: tuple[int, ...], stride: int, padding: int, dilation: int) -> np.ndarray:
    """``[T, N, C, *space]`` as ``[T, N, C, taps, positions]``, by the definition."""
    axes = len(kernel)
    x = np.pad(x, [(0, 0)] * 3 + [(padding, padding)] * axes)
    room = [n - (k - 1) * dilation - 1 for n, k in zip(x.shape[3:], kernel, strict=True)]
    places = list(np.ndindex(*[r // stride + 1 for r in room]))
    taps = list(np.ndindex(*kernel))
    out = np.zeros((*x.shape[:3], len(taps), len(places)), x.dtype)
    for i, tap in enumerate(taps):
        for j, place in enumerate(places):
            at = tuple(p * stride + d * dilation for p, d in zip(place, tap, strict=True))
            out[..., i, j] = x[(..., *at)]
    return out


def plain_stdp(
    w: np.ndarray, pre: np.ndarray, post: np.ndarray, groups: int = 1, **window: int
) -> np.ndarray:
    """Steps, then samples, then groups: each trace is updated, then used."""
    kernel = w.shape[2:]
    steps, n = pre.shape[:2]
    seen = unfolded(pre, kernel, **window) if kernel else pre[..., None, None]
    gone = post.reshape(steps, n, w.shape[0], -1)
    change, x, y = np.zeros((w.shape[0], w.shape[1], seen.shape[3])), seen[0] * 0.0, gone[0] * 0.0
    for t in range(steps):
        x, y = x - x / HOW["tau_pre"] + seen[t], y - y / HOW["tau_post"] + gone[t]
        for sample, g in np.ndindex(n, groups):
            outs = slice(g * w.shape[0] // groups, (g + 1) * w.shape[0] // groups)
            ins = slice(g * w.shape[1], (g + 1) * w.shape[1])
            raised = np.einsum("op,ckp->ock", gone[t, sample, outs], x[sample, ins])
            lowered = np.einsum("op,ckp->ock", y[sample, outs], seen[t, sample, ins])
            change[outs] += HOW["a_post"] * raised - HOW["a_pre"] * lowered
    return np.clip(w + change.reshape(w.shape), HOW["w_min"], HOW["w_max"])


CASES = [
    ((5, 7), (6, 3, 7), (6, 3, 5), {}),
    ((3, 2, 3), (4, 2, 2, 9), (4, 2, 3, 5), dict(stride=2, padding=1, dilation=1)),
    ((4, 1, 2), (4, 2, 2, 5), (4, 2, 4, 3), dict(stride=1, padding=0, dilation=2, groups=2)),
    ((3, 2, 3, 2), (3, 2, 2, 6, 5), (3, 2, 3, 3, 3), dict(stride=2, padding=1, dilation=1)),
    ((4, 2, 2, 2), (3, 1, 4, 4, 4), (3, 1, 4, 3, 3), dict(stride=1, padding=0, dilation=1, groups=2)),
]


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("weight, pre, post, window", CASES)
def test_stdp_against_plain_loops(
    weight: tuple[int, ...], pre: tuple[int, ...], post: tuple[int, ...], window: dict[str, int], backend: str
) -> None:
    w, x, y = weights(*weight), spikes(*pre), spikes(*post, seed=1)
    with grilly.backend(backend):
        found, trace_pre, trace_post = F.stdp_update(w, x, y, **HOW, **window)
    np.testing.assert_allclose(found.numpy(), plain_stdp(w, x, y, **window), rtol=1e-5, atol=1e-5)
    assert trace_pre.shape == pre[1:] and trace_post.shape == post[1:]
    assert found.backend == backend and not found.requires_grad


@pytest.mark.parametrize("backend", backend_params())
def test_hebbian_update_is_the_mean_over_time_batch_and_positions(backend: str) -> None:
    w, x, y = weights(3, 2, 3), spikes(4, 2, 2, 9), spikes(4, 2, 3, 5, seed=1)
    seen = unfolded(x, (3,), 2, 1, 1)
    wanted = w + 0.5 * np.einsum("tnop,tnckp->ock", y, seen) / (4 * 2 * 5) - 0.1 * w
    with grilly.backend(backend):
        found = F.hebbian_update(w, x, y, lr=0.5, decay=0.1, stride=2, padding=1)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_traces_carry_over_and_order_decides_the_sign() -> None:
    first, second = np.zeros((2, 1, 1), np.float32), np.zeros((2, 1, 1), np.float32)
    first[0], second[1] = 1, 1
    how = dict(tau_pre=2.0, tau_post=2.0, a_pre=0.5, a_post=0.5)
    raised = F.stdp_update([[0.0]], first, second, **how)[0].item()
    lowered = F.stdp_update([[0.0]], second, first, **how)[0].item()
    assert (raised, lowered) == (0.25, -0.25)
    w, *traces = F.stdp_update([[0.0]], first[:1], second[:1], **how)
    assert F.stdp_update(w, first[1:], second[1:], *traces, **how)[0].item() == raised


def test_arrays_take_the_weights_dtype_and_tensors_keep_theirs() -> None:
    w = grilly.tensor(np.zeros((2, 3)))
    assert F.stdp_update(w, spikes(4, 1, 3), spikes(4, 1, 2), **RATES)[0].dtype == np.float64
    with pytest.raises(DTypeError, match="dtypes differ"):
        F.stdp_update(w, grilly.tensor(spikes(4, 1, 3)), spikes(4, 1, 2), **RATES)


def test_functions_say_what_does_not_fit() -> None:
    w, x, y = weights(2, 3), spikes(4, 5, 3), spikes(4, 5, 2)
    with pytest.raises(ShapeError, match=r"takes pre \[T, N, 3, \.\.\.\] and here post \[T, N, 2\]"):
        F.stdp_update(w, y, x, **RATES)
    with pytest.raises(ShapeError, match="same T and N"):
        F.stdp_update(w, x, y[:2], **RATES)
    with pytest.raises(ArgumentError, match="tau_pre must be a number of at least 1"):
        F.stdp_update(w, x, y, **{**RATES, "tau_pre": 0.5})
    with pytest.raises(ArgumentError, match=r"w_min=1\.0 lies above w_max=0\.0"):
        F.stdp_update(w, x, y, **RATES, w_min=1, w_max=0)
    with pytest.raises(ArgumentError, match="stdp_update: stride must be"):
        F.stdp_update(weights(2, 3, 3), x, y, **RATES, stride=0)
    with pytest.raises(ShapeError, match="is of nothing"):
        F.hebbian_update(w, x[:, :0], y[:, :0], lr=0.1)


# Layers


def test_an_stdp_layer_is_linear_and_keeps_its_traces() -> None:
    layer = nn.STDPLayer(7, 5)
    w, x, y = layer.weight.numpy(), spikes(6, 3, 7), spikes(6, 3, 5, seed=1)
    np.testing.assert_allclose(layer(x).numpy(), x @ w.T, rtol=1e-5, atol=1e-6)
    wanted = F.stdp_update(w, x, y, tau_pre=20.0, tau_post=20.0, a_pre=0.012, a_post=0.01)[0].numpy()
    for t in range(6):
        layer.update_weights(x[t], y[t])
    np.testing.assert_allclose(layer.weight.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert layer.memories()["trace_pre"].shape == (3, 7)
    with pytest.raises(StateError, match="STDPLayer: the input needs a state of shape"):
        layer.update_weights(x[0, :2], y[0, :2])
    layer.reset()
    layer.update_weights(x[:, :2], y[:, :2])


def test_flat_arrays_count_as_one_sample_of_one_step() -> None:
    layer = nn.STDPLayer(in_features=3, out_features=2)
    before = layer.weight.numpy()
    change = layer.update_weights([1.0, 0.0, 1.0], [1.0, 0.0]).numpy() - before
    np.testing.assert_allclose(change, [[-0.002, 0.0, -0.002], [0.0, 0.0, 0.0]], atol=1e-7)


def test_layers_without_gradient_still_have_state() -> None:
    layer = nn.HebbianLayer(in_features=3, out_features=2, lr=0.5, decay=0.25)
    x = grilly.tensor(spikes(4, 3), requires_grad=True)
    assert not layer(x).requires_grad and not list(layer.parameters())
    before = layer.weight.numpy()
    found = layer.update_weights(spikes(4, 3), spikes(4, 2), decay=0.0).numpy()
    np.testing.assert_allclose(found - before, 0.5 * spikes(4, 2).T @ spikes(4, 3) / 4, atol=1e-6)
    other = nn.HebbianLayer(3, 2)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.weight.numpy(), layer.weight.numpy())
    with pytest.raises(ShapeError, match=r"pre must be \[3\], \[N, 3\] or \[T, N, 3\], got \(2,\)"):
        layer.update_weights([1.0, 0.0], [1.0, 0.0])
    with pytest.raises(ShapeError, match=r"pre has \(1, 4\) time steps and samples, post \(1, 3\)"):
        layer.update_weights(spikes(4, 3), spikes(3, 2))


# The learner


def network(mode: str, conv: bool) -> tuple[Any, Any, Any]:
    """Layers, of which the first two are learnt; the whole; an input ``[T, N, ...]``."""
    grilly.seed(3)
    if conv:
        layers = [nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False), nn.IFNode(v_threshold=0.5)]
        x = spikes(5, 2, 2, 6, 5)
    else:
        layers = [nn.Linear(7, 4, bias=False), nn.IFNode(v_threshold=0.3)]
        x = spikes(5, 2, 7)
    if mode == "folded":
        return layers, nn.Sequential(nn.SeqToANNContainer(layers[0]), nn.MultiStepContainer(layers[1])), x
    net: Any = (nn.MultiStepContainer if mode == "container" else nn.Sequential)(*layers)
    if mode == "m":
        F.set_step_mode(net, "m")
    return layers, net, x


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("mode", ["s", "m", "container", "folded"])
def test_the_learner_hears_the_same_in_every_kind_of_network(mode: str, conv: bool, backend: str) -> None:
    with grilly.backend(backend):
        layers, net, x = network(mode, conv)
        learner = nn.STDPLearner(layers[0], layers[1], **RATES, w_min=-2.0, w_max=2.0)
        run = (lambda x: [net(step) for step in x]) if mode == "s" else net
        out = run(x)
        y = np.stack([step.numpy() for step in out]) if mode == "s" else out.numpy()
        assert 0.05 < y.mean() < 0.95
        window = dict(stride=2, padding=1) if conv else {}
        before = layers[0].weight.numpy()
        wanted, *traces = F.stdp_update(before, x, y, **RATES, w_min=-2.0, w_max=2.0, **window)
        assert learner.recorded == 5
        learner.step()
        assert learner.recorded == 0
        np.testing.assert_allclose(layers[0].weight.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
        assert not np.allclose(wanted.numpy(), before)
        np.testing.assert_array_equal(learner.trace_pre, traces[0])
        np.testing.assert_array_equal(learner.trace_post, traces[1])


def test_evaluation_and_disabling_stop_the_recording() -> None:
    layers, net, x = network("m", False)
    learner = nn.STDPLearner(*layers)
    net.eval()
    net(x)
    net.train()
    learner.enabled = False
    net(x)
    assert learner.recorded == 0
    with pytest.raises(StateError, match="nothing was recorded"):
        learner.step()
    learner.enabled = True
    net(x)
    assert learner.recorded == 5
    learner.remove()
    net(x)
    assert learner.recorded == 0


def test_scale_and_reset() -> None:
    layers, net, x = network("m", False)
    learner = nn.STDPLearner(*layers)
    before = layers[0].weight.numpy()
    changes = []
    for scale in (1.0, 0.5):
        layers[0].weight.assign(before)
        F.reset_net(net)
        learner.reset()
        net(x)
        learner.step(scale)
        changes.append(layers[0].weight.numpy() - before)
    np.testing.assert_allclose(changes[1], changes[0] / 2, atol=1e-6)


def test_a_layer_that_was_replaced_is_named() -> None:
    layers, net, x = network("m", False)
    learner = nn.STDPLearner(*layers)
    setattr(net, "0", nn.Linear(7, 4, bias=False))
    net(x)
    with pytest.raises(
        StateError, match=r"Linear and IFNode: the neuron was called, the layer never: was it replaced"
    ):
        learner.step()


def test_what_stands_between_and_a_new_batch_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.IFNode())
    learner = nn.STDPLearner(net[0], net[2])
    net(spikes(2, 2, 6, 6))
    with pytest.raises(ShapeError, match=r"STDPLearner of Conv2d and IFNode: .*takes pre"):
        learner.step()
    layers, net, x = network("m", False)
    learner = nn.STDPLearner(*layers)
    net(x)
    learner.step()
    F.reset_net(net)
    net(x[:, :1])
    with pytest.raises(StateError, match=r"Call learner\.reset\(\)"):
        learner.step()
    learner.reset()
    layers[0](x)
    layers[1](grilly.zeros((3, 1, 4)))
    with pytest.raises(ShapeError, match="recorded 10 samples"):
        learner.step()


def test_only_layers_with_such_a_weight_are_taken() -> None:
    with pytest.raises(ArgumentError, match="layer must be a Linear, Conv1d or Conv2d"):
        nn.STDPLearner(nn.ReLU(), nn.IFNode())
    with pytest.raises(ArgumentError, match="neuron must be the module"):
        nn.STDPLearner(nn.Linear(2, 2), "neuron")  # type: ignore[arg-type]


def test_gradients_and_plasticity_live_side_by_side() -> None:
    layers, net, x = network("m", False)
    learner = nn.STDPLearner(*layers)
    loss: Tensor = net(x).sum()
    loss.backward()
    gradient = layers[0].weight.grad.numpy()
    learner.step()
    assert np.abs(gradient).max() > 0 and layers[0].weight.requires_grad
