"""Attention: values against plain NumPy, gradients, rates of every stage at initialisation, state, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.autograd import no_grad

TOKENS = [nn.SpikingSelfAttention, nn.TokenQKAttention, nn.ChannelQKAttention]
STAGES = {nn.SpikingSelfAttention: ("q", "k", "v", "attn", "out")}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    grilly.seed(0)


def spikes(*shape: int, rate: float = 0.5, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng([seed, *shape]).random(shape) < rate).astype("float32")


def lif(x: np.ndarray, threshold: float) -> np.ndarray:
    v, out = np.zeros_like(x[0]), []
    for step in x:
        h = v + (step - v) / 2
        s = (h >= threshold).astype(x.dtype)
        v = (1 - s) * h
        out.append(s)
    return np.stack(out)


def projected(layer: Any, name: str, x: np.ndarray) -> np.ndarray:
    norm = getattr(layer, f"{name}_norm")
    y = x @ getattr(layer, f"{name}_proj").weight.numpy().T
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    if not layer.training:
        mean, var = norm.running_mean.numpy(), norm.running_var.numpy()
    y = (y - mean) / np.sqrt(var + 1e-5)
    return lif(y * norm.weight.numpy() + norm.bias.numpy(), 1.0)


def attended(layer: Any, x: np.ndarray) -> np.ndarray:
    """The whole layer, token by token and head by head."""
    q, k = projected(layer, "q", x), projected(layer, "k", x)
    heads = [slice(i * layer.head_dim, (i + 1) * layer.head_dim) for i in range(layer.num_heads)]
    if isinstance(layer, nn.SpikingSelfAttention):
        v, out = projected(layer, "v", x), np.zeros_like(x)
        for head in heads:
            out[..., head] = np.einsum("tnid,tnjd,tnje->tnie", q[..., head], k[..., head], v[..., head])
        return projected(layer, "out", lif(out * layer.scale, 0.5))
    if layer.mode == "channel":
        return projected(layer, "out", lif(q.sum(2, keepdims=True), 0.5) * k)
    gated = [lif(q[..., head].sum(-1, keepdims=True), 0.5) * k[..., head] for head in heads]
    return projected(layer, "out", np.concatenate(gated, axis=-1))


@pytest.mark.parametrize("tokens", [5, 20])  # one of each order of the products
@pytest.mark.parametrize("kind", TOKENS)
def test_values(kind: Any, tokens: int) -> None:
    layer = kind(24, num_heads=2).to(dtype="float64")
    x = spikes(3, 2, tokens, 24, seed=tokens).astype("float64")
    y = layer(x).numpy()
    assert 0.02 < y.mean() < 0.98
    np.testing.assert_array_equal(y, attended(layer, x))


@pytest.mark.parametrize("kind", TOKENS)
def test_values_in_evaluation(kind: Any) -> None:
    layer = kind(16, num_heads=2).to(dtype="float64").eval()
    buffers = {name: normal(16, seed=i) / 5 for i, (name, _) in enumerate(layer.named_buffers())}
    for name in buffers:
        if name.endswith("running_var"):
            buffers[name] = 0.2 + np.abs(buffers[name])
    layer.load_state_dict({**layer.state_dict(), **buffers})
    x = spikes(4, 3, 6, 16).astype("float64")
    y = layer(x).numpy()
    assert 0 < y.mean() < 1
    np.testing.assert_array_equal(y, attended(layer, x))
    for name, value in layer.named_buffers():
        np.testing.assert_array_equal(value, buffers[name])
    F.reset_net(layer.train())
    layer(x)
    assert not any(np.array_equal(value, buffers[name]) for name, value in layer.named_buffers())


def test_both_orders_of_the_products_are_equal() -> None:
    class Other(nn.SpikingSelfAttention):
        """Believes its heads to be wider than any number of tokens, or narrower."""

        head_dim: Any

        def _heads(self, x: Any) -> Any:
            return x.reshape(*x.shape[:3], 2, 8).transpose(0, 1, 3, 2, 4)

    x, outputs = spikes(4, 2, 9, 16), []
    grilly.seed(3)
    layer = Other(16, num_heads=2, scale=0.3)
    for width in (0, 100):
        F.reset_net(layer)
        layer.head_dim = width
        outputs.append([layer(x).numpy(), layer.attn_lif.v.numpy()])
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])
    np.testing.assert_array_equal(outputs[0][1], outputs[1][1])


def test_names_of_parameters() -> None:
    def names(stages: str) -> list[str]:
        parts = ("proj.weight", "norm.weight", "norm.bias")
        return [f"{stage}_{part}" for stage in [*stages, "out"] for part in parts]

    assert [name for name, _ in nn.SpikingSelfAttention(8, 2).named_parameters()] == names("qkv")
    assert [name for name, _ in nn.QKAttention(8, 2).named_parameters()] == names("qk")
    assert [name for name, _ in nn.TemporalWiseAttention(8).named_parameters()] == ["fc1", "fc2"]
    assert nn.QKAttention(8).num_heads == 8 and nn.QKAttention(8).mode == "token"
    assert nn.SpikingSelfAttention(8).scale == 0.125
    assert all(
        node.detach_reset for node in nn.SpikingSelfAttention(8).modules() if isinstance(node, nn.LIFNode)
    )


SIZES = [(32, 4, 9, 4, 0.5), (16, 2, 4, 1, 0.5), (64, 1, 16, 8, 0.1), (64, 8, 64, 4, 0.9), (256, 4, 64, 2, 0.5),
         (256, 1, 4, 4, 0.02), (64, 1, 196, 4, 0.3), (16, 4, 400, 4, 0.5)]  # fmt: skip


@pytest.mark.parametrize("dim, heads, tokens, steps, rate", SIZES)
@pytest.mark.parametrize("kind", TOKENS)
def test_no_stage_is_silent_or_saturated_at_first(
    kind: Any, dim: int, heads: int, tokens: int, steps: int, rate: float
) -> None:
    grilly.seed(dim + tokens)
    layer = kind(dim, num_heads=heads)
    rates: dict[str, float] = {}
    for name, node in layer.named_children():
        if isinstance(node, nn.LIFNode):
            node.register_forward_hook(
                lambda _, args, y, name=name: rates.__setitem__(name, float(y.numpy().mean()))
            )
    with no_grad():
        layer(spikes(steps, 2, tokens, dim, rate=rate))
    assert set(rates) == {f"{stage}_lif" for stage in STAGES.get(kind, ("q", "k", "attn", "out"))}
    assert all(0.02 <= value <= 0.98 for value in rates.values()), rates


@pytest.mark.parametrize("kind", TOKENS)
def test_gradients_reach_every_parameter(kind: Any) -> None:
    layer = kind(32, num_heads=4)
    x = grilly.tensor(spikes(4, 2, 9, 32), requires_grad=True)
    y = layer(x)
    (y * grilly.tensor(normal(*y.shape, dtype="float32"))).sum().backward()
    assert x.grad is not None and np.isfinite(x.grad.numpy()).all()
    for name, parameter in layer.named_parameters():
        assert np.isfinite(parameter.grad.numpy()).all() and parameter.grad.numpy().any(), name


@pytest.mark.parametrize("kind", TOKENS)
def test_state_is_carried_and_reset(kind: Any) -> None:
    layer = kind(16, num_heads=2).eval()
    x = spikes(6, 2, 5, 16)
    with no_grad():
        whole = layer(x).numpy()
        F.reset_net(layer)
        halves = np.concatenate([layer(x[:3]).numpy(), layer(x[3:]).numpy()])
        np.testing.assert_array_equal(halves, whole)
        with pytest.raises(StateError, match=r"reset_net"):
            layer(spikes(6, 3, 5, 16))
        F.reset_net(layer)
        np.testing.assert_array_equal(layer(x).numpy(), whole)


@pytest.mark.parametrize("kind", TOKENS)
def test_what_tokens_are_refused(kind: Any) -> None:
    layer, name = kind(16, num_heads=2), kind.__name__
    assert layer.step_mode == "m"
    with pytest.raises(ArgumentError, match=rf"{name} works on all steps at once.*step_mode='s'"):
        F.set_step_mode(nn.Sequential(layer), "s")
    F.set_step_mode(nn.Sequential(layer), "m")
    assert layer(spikes(2, 2, 3, 16)).shape == (2, 2, 3, 16)
    with pytest.raises(ArgumentError, match=rf"{name}: embed_dim=16 cannot be split into num_heads=3"):
        kind(16, num_heads=3)
    with pytest.raises(ShapeError, match=rf"{name} takes \[T, N, L, D\].*got shape \(2, 3, 16\)"):
        layer(spikes(2, 3, 16))
    with pytest.raises(ShapeError, match=r"flatten\(3\).swapaxes\(2, 3\)"):
        layer(spikes(2, 2, 16, 4, 4))
    with pytest.raises(ShapeError, match=rf"{name} has embed_dim=16, got 3 in .*tokens come before channels"):
        layer(spikes(2, 2, 16, 3))
    with pytest.raises(ShapeError, match="at least one step, sample and token"):
        layer(spikes(2, 2, 0, 16))
    with pytest.raises(DTypeError, match=rf"{name} takes float32"):
        layer(grilly.tensor(spikes(2, 2, 3, 16).astype("float64")))
    with pytest.raises(ValueError, match="step_mode='m'"):
        nn.MultiStepContainer(layer)


def test_modes_of_qk_attention() -> None:
    with pytest.raises(ArgumentError, match="QKAttention: mode must be 'token' or 'channel', got 'both'"):
        nn.QKAttention(8, mode="both")
    for kind, mode in ((nn.TokenQKAttention, "token"), (nn.ChannelQKAttention, "channel")):
        grilly.seed(1)
        fixed: Any = kind(16, 4)
        grilly.seed(1)
        free = nn.QKAttention(16, 4, mode=mode)
        np.testing.assert_array_equal(fixed(spikes(3, 2, 5, 16)), free(spikes(3, 2, 5, 16)))


def weighed(x: np.ndarray, fc1: np.ndarray, fc2: np.ndarray) -> np.ndarray:
    rows = x.reshape(*x.shape[:2], -1)
    total = sum(fc2 @ np.maximum(fc1 @ pooled, 0) for pooled in (rows.mean(2), rows.max(2)))
    return np.asarray(x / (1 + np.exp(-total)).reshape(*x.shape[:2], *[1] * (x.ndim - 2)))


@pytest.mark.parametrize("shape", [(8, 3), (8, 2, 5), (8, 3, 2, 4, 4), (8, 1, 1031)])
def test_temporal_wise_attention(shape: tuple[int, ...]) -> None:
    layer: Any = nn.TemporalWiseAttention(8, reduction=2).to(dtype="float64")
    assert layer.fc1.shape == (4, 8) and layer.fc2.shape == (8, 4)
    x = normal(*shape)
    np.testing.assert_allclose(layer(x), weighed(x, layer.fc1.numpy(), layer.fc2.numpy()), rtol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 5), (4, 2, 3, 2, 2)])
def test_gradients_of_temporal_wise_attention(shape: tuple[int, ...]) -> None:
    layer: Any = nn.TemporalWiseAttention(4, reduction=2)
    layer.fc1.assign(np.abs(layer.fc1.numpy()))  # no unit of the hidden layer is dead
    x = normal(*shape)
    check_layer(layer, x)
    layer(x.astype("float32")).sum().backward()
    assert layer.fc1.grad.numpy().any() and layer.fc2.grad.numpy().any()


def test_equal_largest_values_share_the_gradient() -> None:
    layer: Any = nn.TemporalWiseAttention(2, reduction=2).to(dtype="float64")
    layer.fc1.assign(np.ones((1, 2)))
    x = grilly.tensor(np.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]), requires_grad=True)
    layer(x).sum().backward()
    grad = x.grad.numpy()
    assert grad[0, 0, 0] == grad[0, 0, 1] != grad[0, 0, 2]
    np.testing.assert_allclose(grad[1, 0], grad[1, 0, 0])


def test_what_steps_are_refused() -> None:
    layer = nn.TemporalWiseAttention(T=8)
    with pytest.raises(ShapeError, match=r"was made for T=8 time steps, got 4 .*make it with T=4"):
        layer(spikes(4, 2, 3))
    with pytest.raises(ShapeError, match=r"takes \[T, N, ...\]"):
        layer(spikes(8, 0, 3))
    with pytest.raises(
        ArgumentError, match="leave no hidden unit with reduction=4; take a reduction of at most 2"
    ):
        nn.TemporalWiseAttention(T=2)
    with pytest.raises(ArgumentError, match="TemporalWiseAttention works on all steps at once"):
        layer.step_mode = "s"
    with pytest.raises(DTypeError, match="TemporalWiseAttention takes float32"):
        layer(grilly.tensor(normal(8, 2, 3)))
