"""Norms over time: values against NumPy, gradients, running statistics, state, step modes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.ops import stack

T = 4
SHAPES = {1: [(T, 5, 3), (T, 2, 3, 6)], 2: [(T, 2, 3, 4, 5)]}
BNTT = [(nn.BatchNormThroughTime1d, shape) for shape in SHAPES[1]] + [
    (nn.BatchNormThroughTime2d, SHAPES[2][0])
]
TEBN = [(nn.TemporalEffectiveBatchNorm1d, shape) for shape in SHAPES[1]]
TEBN += [(nn.TemporalEffectiveBatchNorm2d, SHAPES[2][0])]
TDBN = [(nn.ThresholdDependentBatchNorm1d, shape) for shape in SHAPES[1]]
TDBN += [(nn.ThresholdDependentBatchNorm2d, SHAPES[2][0])]
SEQUENCE_NORMS = [
    lambda: nn.BatchNormThroughTime1d(T, 3),
    lambda: nn.BatchNormThroughTime2d(T, 3),
    lambda: nn.TemporalEffectiveBatchNorm1d(T, 3),
    lambda: nn.TemporalEffectiveBatchNorm2d(T, 3),
    lambda: nn.ThresholdDependentBatchNorm1d(3),
    lambda: nn.ThresholdDependentBatchNorm2d(3),
]


def per_channel(x: np.ndarray, over_time: bool) -> np.ndarray:
    """``x`` as ``[T or 1, values, C]``."""
    values = np.moveaxis(x, 2, -1)
    return values.reshape(1 if over_time else x.shape[0], -1, x.shape[2])


def along(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``[T or 1, C]`` shaped to broadcast with ``x``."""
    return values.reshape(values.shape[0], 1, values.shape[1], *[1] * (x.ndim - 3))


def hat(x: np.ndarray, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    return (x - along(mean, x)) / np.sqrt(along(var, x) + 1e-5)


def follow(layer: Any, shape: tuple[int, ...], over_time: bool, after: Any) -> None:
    """Three batches in training and one in evaluation against NumPy; ``after(xhat)`` is what follows."""
    steps = 1 if over_time else shape[0]
    mean, var = np.zeros((steps, 3)), np.ones((steps, 3))
    for seed in range(3):
        x = normal(*shape, seed=seed) * 2 + np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        values = per_channel(x, over_time)
        np.testing.assert_allclose(
            layer(x), after(hat(x, values.mean(1), values.var(1))), rtol=1e-9, atol=1e-11
        )
        mean = 0.75 * mean + 0.25 * values.mean(1)
        var = 0.75 * var + 0.25 * values.var(1, ddof=1)
    kept = layer.running_mean.numpy()
    np.testing.assert_allclose(kept.reshape(-1, 3)[:steps], mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy().reshape(-1, 3)[:steps], var, rtol=1e-12)
    layer.eval()
    np.testing.assert_allclose(layer(x), after(hat(x, mean, var)), rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(layer.running_mean, kept)


@pytest.mark.parametrize("kind, shape", BNTT)
def test_bn_through_time(kind: Any, shape: tuple[int, ...]) -> None:
    layer = kind(T, 3, momentum=0.25).to(dtype="float64")
    weight = normal(T, 3, seed=9)
    layer.weight.assign(weight)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    follow(layer, shape, False, lambda xhat: xhat * along(weight, xhat))
    x = normal(*shape)
    wanted = hat(x, per_channel(x, False).mean(1), per_channel(x, False).var(1)) * along(weight, x)
    np.testing.assert_allclose(F.bn_through_time(x, weight), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind, shape", TEBN)
def test_temporal_effective_batch_norm(kind: Any, shape: tuple[int, ...]) -> None:
    layer = kind(T, 3, momentum=0.25).to(dtype="float64")
    weight, bias, scale = normal(1, 3, seed=7), normal(1, 3, seed=8), normal(T, seed=9)
    layer.load_state_dict({**layer.state_dict(), "weight": weight[0], "bias": bias[0], "scale": scale})

    def after(xhat: np.ndarray) -> np.ndarray:
        inner = xhat * along(weight, xhat) + along(bias, xhat)
        return np.asarray(inner * scale.reshape(-1, *[1] * (xhat.ndim - 1)))

    follow(layer, shape, True, after)


@pytest.mark.parametrize("kind, shape", TDBN)
def test_threshold_dependent_batch_norm(kind: Any, shape: tuple[int, ...]) -> None:
    layer = kind(3, v_threshold=0.5, alpha=3.0, momentum=0.25).to(dtype="float64")
    assert layer.weight.tolist() == [1.5] * 3 and layer.bias.tolist() == [0.0] * 3
    follow(layer, shape, True, lambda xhat: xhat * 1.5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind, shape", BNTT + TEBN + TDBN)
def test_gradients_of_batch_norms(kind: Any, shape: tuple[int, ...], training: bool) -> None:
    layer = kind(3) if (kind, shape) in TDBN else kind(T, 3)
    check_layer(layer.train(training), normal(*shape))


def test_a_shorter_sequence_moves_the_first_steps_only() -> None:
    layer: Any = nn.BatchNormThroughTime1d(T, 3).to(dtype="float64")
    whole: Any = nn.BatchNormThroughTime1d(2, 3).to(dtype="float64")
    x = normal(2, 5, 3)
    np.testing.assert_array_equal(layer(x), whole(x))
    np.testing.assert_array_equal(layer.running_mean[:2], whole.running_mean)
    np.testing.assert_array_equal(layer.running_var[:2], whole.running_var)
    assert not layer.running_mean[2:].numpy().any() and (layer.running_var[2:].numpy() == 1).all()
    assert not layer.running_mean.requires_grad and layer.running_mean.shape == (T, 3)
    np.testing.assert_array_equal(layer.eval()(x), whole.eval()(x))
    layer.train()(x).sum().backward()
    assert layer.weight.grad.shape == (T, 3) and not layer.weight.grad[2:].numpy().any()
    effective: Any = nn.TemporalEffectiveBatchNorm1d(T, 3)
    effective.scale.assign(np.arange(4.0))
    y = effective(x.astype("float32")).numpy()
    assert not y[0].any() and y[1].any()


@pytest.mark.parametrize("make", SEQUENCE_NORMS)
def test_sequences_only(make: Any) -> None:
    layer = make()
    name = type(layer).__name__
    spatial = name.endswith("2d")
    assert layer.step_mode == "m"
    with pytest.raises(ArgumentError, match=rf"{name} works on all steps at once.*step_mode='s'"):
        layer.step_mode = "s"
    with pytest.raises(ArgumentError, match="step_mode must be"):
        layer.step_mode = "x"
    with pytest.raises(ValueError, match=name):
        F.set_step_mode(nn.Sequential(nn.LIFNode(), layer), "s")
    with pytest.raises(ValueError, match=name):
        nn.MultiStepContainer(layer)
    F.set_step_mode(nn.Sequential(nn.LIFNode(), layer), "m")
    layout = r"\[T, N, C, H, W\]" if spatial else r"\[T, N, C, L\]"
    for shape in ((5, 3), (2, 2, 3, 4, 5, 6), (2, 5, 3) if spatial else (2, 2, 3, 4, 5)):
        with pytest.raises(ShapeError, match=rf"{name} .*takes {layout}, got shape"):
            layer(np.zeros(shape))
    shape = (2, 5, 4, 2, 2) if spatial else (2, 5, 4)
    with pytest.raises(ShapeError, match=rf"{name} has num_features=3, got 4"):
        layer(np.zeros(shape))
    one = (1, 1, 3, 1, 1) if spatial else (1, 1, 3)
    with pytest.raises(ShapeError, match=rf"{name} in training needs more than one value per channel, got 1"):
        layer(np.zeros(one))
    assert layer.eval()(np.zeros(one)).shape == one
    with pytest.raises(ShapeError, match="at least one time step"):
        layer(np.zeros((0, *one[1:])))
    with pytest.raises(DTypeError, match=rf"{name} takes float32"):
        layer(grilly.tensor(np.zeros(one)))


def test_bn_through_time_needs_two_values_in_each_step() -> None:
    with pytest.raises(ShapeError, match="more than one value per channel, got 1"):
        nn.BatchNormThroughTime1d(T, 3)(np.zeros((T, 1, 3)))
    with pytest.raises(ShapeError, match="two values or more per channel and step"):
        F.bn_through_time(np.zeros((T, 1, 3)))


@pytest.mark.parametrize("make", SEQUENCE_NORMS[:4])
def test_more_steps_than_it_was_made_for(make: Any) -> None:
    layer = make()
    shape = (T + 1, 2, 3, 2, 2) if type(layer).__name__.endswith("2d") else (T + 1, 2, 3)
    with pytest.raises(ShapeError, match=r"was made for T=4 time steps, got 5 .*make it with T=5"):
        layer(normal(*shape))
    assert not layer.running_mean.numpy().any()


def spikes(*shape: int, seed: int = 0) -> np.ndarray:
    return (normal(*shape, seed=seed) > 0.3).astype("float64")


def neunorm(s: np.ndarray, x: np.ndarray, w: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    out = []
    for step in s:
        x = k * x + (1 - k) / s.shape[2] ** 2 * step.sum(axis=1, keepdims=True)
        out.append(step - w * x)
    return np.stack(out), x


@pytest.mark.parametrize("shared", [True, False])
def test_neunorm(shared: bool) -> None:
    layer: Any = nn.NeuNorm(3, 4, 5, k=0.75, shared_across_channels=shared, step_mode="m").to(dtype="float64")
    w = layer.w.numpy()
    assert w.shape == (1 if shared else 3, 4, 5)
    assert 0.0 < np.abs(w).max() <= 20**-0.5
    s = spikes(T, 2, 3, 4, 5)
    y, x = neunorm(s, np.zeros((2, 1, 4, 5)), w, 0.75)
    np.testing.assert_allclose(layer(s), y, rtol=1e-13)
    np.testing.assert_allclose(layer.x, x, rtol=1e-13)
    y, x = neunorm(s, x, w, 0.75)
    np.testing.assert_allclose(layer(s), y, rtol=1e-12)  # the state is kept
    np.testing.assert_allclose(layer.memories()["x"], x, rtol=1e-12)
    layer.reset()
    assert layer.x == 0.0
    start = normal(2, 1, 4, 5)
    for got, wanted in zip(
        F.neunorm_multi_step(s, start, w, k=0.75), neunorm(s, start, w, 0.75), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_of_neunorm(shared: bool) -> None:
    check_layer(nn.NeuNorm(3, 2, 2, shared_across_channels=shared, step_mode="m"), normal(T, 2, 3, 2, 2))
    check_layer(nn.NeuNorm(3, 2, 2, shared_across_channels=shared), normal(2, 3, 2, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neunorm_step_by_step_is_all_steps_at_once(dtype: str) -> None:
    layer: Any = nn.NeuNorm(3, 4, 4).to(dtype=dtype)
    s = spikes(T, 2, 3, 4, 4).astype(dtype)
    g = normal(*s.shape).astype(dtype)
    found = []
    for mode in "sm":
        F.reset_net(layer)
        layer.zero_grad()
        layer.step_mode = mode
        x = grilly.tensor(s, requires_grad=True)
        y = layer(x) if mode == "m" else stack([layer(step) for step in x])
        ((y * grilly.tensor(g)).sum() + layer.x.sum()).backward()
        found.append([y.numpy(), layer.x.numpy(), x.grad.numpy(), layer.w.grad.numpy()])
    for single, multi in zip(found[0][:2], found[1][:2], strict=True):
        np.testing.assert_array_equal(single, multi)
    for single, multi in zip(found[0][2:], found[1][2:], strict=True):
        np.testing.assert_allclose(single, multi, rtol=1e-5, atol=1e-6)
    F.reset_net(layer)
    layer.step_mode = "s"
    np.testing.assert_array_equal(nn.MultiStepContainer(nn.Identity(), layer)(grilly.tensor(s)), found[1][0])


def test_neunorm_keeps_its_state_from_being_used_wrongly() -> None:
    layer: Any = nn.NeuNorm(2, 3, 3)
    layer(spikes(4, 2, 3, 3)).sum().backward()
    with pytest.raises(StateError, match=r"NeuNorm: forward after backward with the old state.*reset_net"):
        layer(spikes(4, 2, 3, 3))
    F.detach_net(layer)
    layer(spikes(4, 2, 3, 3))
    with pytest.raises(StateError, match=r"NeuNorm: the input needs a state of shape \(5, 1, 3, 3\)"):
        layer(spikes(5, 2, 3, 3))
    assert "x" not in layer.state_dict()


def test_neunorm_refuses() -> None:
    layer = nn.NeuNorm(2, 3, 4)
    with pytest.raises(ShapeError, match=r"NeuNorm was made for C, H, W = \(2, 3, 4\), got \(2, 4, 3\)"):
        layer(np.zeros((1, 2, 4, 3)))
    with pytest.raises(ShapeError, match=r"step_mode='s' takes \[N, C, H, W\].*step_mode='m'"):
        layer(np.zeros((5, 1, 2, 3, 4)))
    with pytest.raises(ShapeError, match="T >= 1"):
        nn.NeuNorm(2, 3, 4, step_mode="m")(np.zeros((0, 1, 2, 3, 4)))
    with pytest.raises(ShapeError, match=r"neunorm_step takes \[N, C, H, W\]"):
        F.neunorm_step(np.zeros((2, 3)), None, np.zeros((1, 2, 3)))
    s = np.zeros((2, 1, 2, 3, 4))
    with pytest.raises(
        ShapeError, match=r"the state x has shape \(2, 1, 3, 4\), the input needs \(1, 1, 3, 4\)"
    ):
        F.neunorm_multi_step(s, np.zeros((2, 1, 3, 4)), np.zeros((2, 3, 4)))
    with pytest.raises(ShapeError, match=r"w must be \[C, H, W\] or \[1, H, W\], got \(2, 4, 3\)"):
        F.neunorm_multi_step(s, None, np.zeros((2, 4, 3)))
    with pytest.raises(ShapeError, match="w has shape"):
        F.neunorm_multi_step(s, None, np.zeros((3, 3, 4)))
    with pytest.raises(DTypeError, match="neunorm_step takes float32 or float64, got int"):
        F.neunorm_step(np.zeros((1, 2, 3, 4), "int32"), None, np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: nn.BatchNormThroughTime1d(0, 3),
            r"BatchNormThroughTime1d: T \(time steps\) must be an integer",
        ),
        (lambda: nn.BatchNormThroughTime2d(2, 0), "BatchNormThroughTime2d: num_features must be"),
        (lambda: nn.BatchNormThroughTime2d(2, 3, eps=0), "eps must be above 0"),
        (lambda: nn.BatchNormThroughTime1d(2, 3, step_mode="s"), "BatchNormThroughTime1d works on all steps"),
        (lambda: nn.TemporalEffectiveBatchNorm1d(1.5, 3), "TemporalEffectiveBatchNorm1d: T"),
        (
            lambda: nn.ThresholdDependentBatchNorm1d(3, v_threshold=np.nan),
            "v_threshold must be a finite number",
        ),
        (lambda: nn.ThresholdDependentBatchNorm2d(3, alpha="1"), "alpha must be a finite number"),
        (lambda: nn.NeuNorm(0, 1, 1), "NeuNorm: in_channels must be an integer of at least 1"),
        (lambda: nn.NeuNorm(1, 1, 0), "NeuNorm: width must be"),
        (lambda: nn.NeuNorm(1, 1, 1, k=1.0), "NeuNorm: k must be a finite number of at least 0 and below 1"),
    ],
)
def test_refused_settings(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_what_they_look_like() -> None:
    assert repr(nn.BatchNormThroughTime1d(4, 3)) == "BatchNormThroughTime1d(T=4, 3, eps=1e-05, momentum=0.1)"
    assert repr(nn.TemporalEffectiveBatchNorm2d(4, 3)).startswith("TemporalEffectiveBatchNorm2d(T=4, 3, eps")
    assert repr(nn.ThresholdDependentBatchNorm1d(3)).endswith("momentum=0.1, v_threshold=1, alpha=1)")
    shown = repr(nn.NeuNorm(1, 2, 3, shared_across_channels=True))
    assert shown == "NeuNorm(1, 2, 3, k=0.9, shared_across_channels=True, step_mode='s')"
