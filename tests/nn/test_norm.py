"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError

CASES = [
    (nn.BatchNorm1d, "s", (6, 3)),
    (nn.BatchNorm1d, "s", (4, 3, 5)),
    (nn.BatchNorm1d, "m", (2, 4, 3)),
    (nn.BatchNorm1d, "m", (2, 4, 3, 5)),
    (nn.BatchNorm2d, "s", (4, 3, 2, 5)),
    (nn.BatchNorm2d, "m", (2, 2, 3, 2, 5)),
]


def channels_last(x: np.ndarray, mode: str) -> np.ndarray:
    """``x`` as ``[values, C]``."""
    return np.moveaxis(x, 2 if mode == "m" else 1, -1).reshape(-1, 3)


def along(values: np.ndarray, x: np.ndarray, mode: str) -> np.ndarray:
    """One value per channel, shaped to broadcast with ``x``."""
    return values.reshape(3, *(1,) * (x.ndim - (3 if mode == "m" else 2)))


@pytest.mark.parametrize("kind, mode, shape", CASES)
def test_batch_norm(kind: Any, mode: str, shape: tuple[int, ...]) -> None:
    layer = kind(3, momentum=0.25, step_mode=mode).to(dtype="float64")
    layer.weight.assign(np.array([0.5, 1.0, 2.0]))
    layer.bias.assign(np.array([1.0, 0.0, -1.0]))
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(3):
        x = normal(*shape, seed=seed) * 2 + 3
        flat = channels_last(x, mode)
        wanted = (x - along(flat.mean(0), x, mode)) / np.sqrt(along(flat.var(0), x, mode) + 1e-5)
        wanted = wanted * along(layer.weight.numpy(), x, mode) + along(layer.bias.numpy(), x, mode)
        np.testing.assert_allclose(layer(x), wanted, rtol=1e-10, atol=1e-12)
        mean = 0.75 * mean + 0.25 * flat.mean(0)
        var = 0.75 * var + 0.25 * flat.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-12)
    layer.eval()
    kept = layer.running_mean.numpy()
    wanted = (x - along(mean, x, mode)) / np.sqrt(along(var, x, mode) + 1e-5)
    wanted = wanted * along(layer.weight.numpy(), x, mode) + along(layer.bias.numpy(), x, mode)
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(layer.running_mean, kept)
    assert not layer.running_mean.requires_grad


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind, mode, shape", CASES)
def test_gradients_of_batch_norm(kind: Any, mode: str, shape: tuple[int, ...], training: bool) -> None:
    for affine in (True, False):
        layer = kind(3, affine=affine, step_mode=mode)
        check_layer(layer.train(training), normal(*shape))


def test_running_statistics_are_buffers() -> None:
    layer = nn.BatchNorm1d(2)
    layer(normal(5, 2))
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var"]
    other = nn.BatchNorm1d(2)
    other.load_state_dict(state)
    x = normal(3, 2, seed=1)
    np.testing.assert_array_equal(other.eval()(x), layer.eval()(x))
    assert nn.BatchNorm1d(2, affine=False).weight is None


@pytest.mark.parametrize(
    "kind, mode, shape",
    [
        (nn.BatchNorm1d, "s", (1, 3)),
        (nn.BatchNorm1d, "m", (1, 1, 3)),
        (nn.BatchNorm2d, "s", (1, 3, 1, 1)),
        (nn.BatchNorm1d, "s", (0, 3)),
    ],
)
def test_one_value_per_channel_in_training(kind: Any, mode: str, shape: tuple[int, ...]) -> None:
    layer = kind(3, step_mode=mode)
    with pytest.raises(
        ShapeError, match=rf"{kind.__name__} in training needs more than one value per channel.*eval\(\)"
    ):
        layer(np.zeros(shape))
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.eval()(np.zeros(shape)).shape == shape
    assert nn.BatchNorm1d(3)(np.zeros((1, 3, 2))).shape == (1, 3, 2)
    with pytest.raises(ShapeError, match="two values or more per channel"):
        F.batch_norm(np.zeros((1, 3)))


def test_functional_batch_norm() -> None:
    x = normal(5, 3, 2, 2)
    flat = np.moveaxis(x, 1, -1).reshape(-1, 3)
    wanted = (x - flat.mean(0)[:, None, None]) / np.sqrt(flat.var(0)[:, None, None] + 1e-3)
    np.testing.assert_allclose(F.batch_norm(x, eps=1e-3), wanted, rtol=1e-10)


@pytest.mark.parametrize("shape, axes", [((4, 5), 1), ((2, 3, 4, 5), 2), ((2, 4, 5), 2)])
def test_layer_norm_and_rms_norm(shape: tuple[int, ...], axes: int) -> None:
    x = normal(*shape) + 1
    over, last = tuple(range(-axes, 0)), shape[-axes:]
    weight, bias = normal(*last, seed=1), normal(*last, seed=2)
    layer, rms = nn.LayerNorm(last).to(dtype="float64"), nn.RMSNorm(last if axes > 1 else last[0])
    rms.to(dtype="float64")
    layer.weight.assign(weight)
    layer.bias.assign(bias)
    rms.weight.assign(weight)
    centred = x - x.mean(over, keepdims=True)
    wanted = centred / np.sqrt((centred**2).mean(over, keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-11)
    np.testing.assert_allclose(F.layer_norm(x, weight, bias, axes=axes), wanted, rtol=1e-11)
    wanted = x / np.sqrt((x**2).mean(over, keepdims=True) + 1e-5) * weight
    np.testing.assert_allclose(rms(x), wanted, rtol=1e-11)
    np.testing.assert_allclose(F.rms_norm(x, weight, axes=axes), wanted, rtol=1e-11)
    check_layer(layer, x)
    check_layer(rms, x)
    assert [name for name, _ in rms.named_parameters()] == ["weight"]


def test_norms_without_affine_parameters() -> None:
    assert not list(nn.LayerNorm(3, affine=False).parameters())
    check_layer(nn.RMSNorm(3, affine=False), normal(2, 3))


def test_refused() -> None:
    with pytest.raises(ShapeError, match=r"BatchNorm1d has num_features=3, got 4 in shape \(2, 4\)"):
        nn.BatchNorm1d(3)(np.zeros((2, 4)))
    for mode, shape in (("s", (3,)), ("s", (2, 3, 4, 5)), ("m", (2, 3)), ("m", (2, 2, 3, 4, 5))):
        with pytest.raises(ShapeError, match=rf"BatchNorm1d in step_mode='{mode}' takes \[.*N, C, L\]"):
            nn.BatchNorm1d(3, step_mode=mode)(np.zeros(shape))
    with pytest.raises(ShapeError, match=r"LayerNorm normalises the last axes \(3,\), got \(3, 2\)"):
        nn.LayerNorm(3)(np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="RMSNorm normalises"):
        nn.RMSNorm((2, 3))(np.zeros(3))
    with pytest.raises(DTypeError, match="BatchNorm1d takes float32, got a Tensor of float64"):
        nn.BatchNorm1d(3)(grilly.tensor(np.zeros((2, 3))))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features must be an integer of at least 1, got 0"),
        (lambda: nn.BatchNorm2d(3, eps=0), "eps must be above 0"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), r"momentum in \[0, 1\]"),
        (lambda: nn.LayerNorm(()), "LayerNorm: normalized_shape must name at least one axis"),
        (lambda: nn.LayerNorm((2, 0)), "LayerNorm: normalized_shape must be an integer of at least 1, got 0"),
        (lambda: nn.RMSNorm(2, eps=-1), "RMSNorm: eps must be above 0"),
        (lambda: nn.RMSNorm("2"), "RMSNorm: normalized_shape"),
    ],
)
def test_refused_settings(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
