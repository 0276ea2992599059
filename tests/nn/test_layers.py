"""Dense layers, activations, dropout, initialisers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from layer_checks import check_layer, normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, StateError

X = normal(4, 3, 5, dtype="float32")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 5), (3, 2, 5), (0, 5)])
@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_linear(bias: bool, shape: tuple[int, ...], step_mode: str) -> None:
    layer = nn.Linear(5, 4, bias=bias, step_mode=step_mode)
    x = normal(*shape, dtype="float32")
    wanted = x @ layer.weight.numpy().T + (layer.bias.numpy() if layer.bias is not None else 0)
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(F.linear(x, layer.weight, layer.bias), wanted, rtol=1e-5, atol=1e-6)


def test_gradients_of_layers_without_state() -> None:
    x = normal(4, 3, 5)
    check_layer(nn.Linear(5, 2), x)
    check_layer(nn.Linear(5, 2, bias=False), x)
    for layer in (nn.Flatten(), nn.Identity(), nn.ReLU(), nn.LeakyReLU(0.1), nn.Tanh(), nn.Softmax(1)):
        check_layer(layer, x)


def test_linear_refuses() -> None:
    with pytest.raises(ShapeError, match=r"Linear\(5, 2\) takes \[..., 5\], got \(3, 4\)"):
        nn.Linear(5, 2)(np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"got \(\)"):
        nn.Linear(5, 2)(1.0)
    for value in (0, -1, 2.0, True, "3", None):
        with pytest.raises(ArgumentError, match="Linear: in_features must be an integer of at least 1"):
            nn.Linear(value, 2)
    assert nn.Linear(np.int64(3), np.int32(2)).weight.shape == (2, 3)


def test_flatten() -> None:
    assert nn.Flatten()(np.zeros((2, 3, 4))).shape == (2, 12)
    assert nn.Flatten()(np.zeros(2)).shape == (2, 1)
    assert nn.Flatten(step_mode="m")(np.zeros((5, 2, 3, 4))).shape == (5, 2, 12)
    np.testing.assert_array_equal(nn.Flatten()(X), X.reshape(4, 15))
    with pytest.raises(ShapeError, match="Flatten in step_mode='m' takes at least 2 axes"):
        nn.Flatten(step_mode="m")(np.zeros(3))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


ACTIVATIONS: list[tuple[Any, Any]] = [
    (nn.ReLU(), np.maximum(X, 0)),
    (F.relu, np.maximum(X, 0)),
    (nn.LeakyReLU(), np.where(X > 0, X, 0.01 * X)),
    (nn.LeakyReLU(0.5), np.where(X > 0, X, 0.5 * X)),
    (nn.Tanh(), np.tanh(X)),
    (F.tanh, np.tanh(X)),
    (nn.Identity(), X),
    (nn.Softmax(), softmax(X, -1)),
    (nn.Softmax(axis=0), softmax(X, 0)),
    (F.softmax, softmax(X, -1)),
    (lambda x: F.log_softmax(x, axis=1), np.log(softmax(X, 1))),
    (F.sigmoid, 1 / (1 + np.exp(-X))),
    (F.exp, np.exp(X)),
    (lambda x: F.log(abs(x)), np.log(abs(X))),
    (lambda x: F.sqrt(abs(x)), np.sqrt(abs(X))),
    (lambda x: F.where(x > 0, x, 2.0), np.where(X > 0, X, 2)),
]


@pytest.mark.parametrize("number", range(len(ACTIVATIONS)))
def test_activations(number: int) -> None:
    function, wanted = ACTIVATIONS[number]
    for x in (X, grilly.tensor(X)):
        np.testing.assert_allclose(function(x), wanted, rtol=2e-6, atol=1e-6)


def test_functions_keep_the_dtype_of_arrays() -> None:
    assert F.relu(np.ones(2)).dtype == "float64" and F.relu([1.0]).dtype == "float32"
    assert F.linear(np.ones((1, 2)), np.ones((3, 2)), np.ones(3)).tolist() == [[3.0] * 3]
    with pytest.raises(ShapeError, match="axis 3"):
        F.softmax(X, axis=3)
    with pytest.raises(DTypeError, match="float64 and float32"):
        F.linear(np.ones((1, 2)), grilly.ones((3, 2)))


# Dropout


@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
def test_dropout_zeroes_and_scales(p: float) -> None:
    grilly.seed(0)
    out = nn.Dropout(p)(np.ones(4000)).numpy()
    kept = out != 0
    np.testing.assert_array_equal(out[kept], np.float32(1 / (1 - p)))
    assert abs(kept.mean() - (1 - p)) < 0.03


def test_one_mask_until_reset() -> None:
    drop = nn.Dropout(0.5)
    ones = np.ones((2, 50))
    first = drop(ones).numpy()
    np.testing.assert_array_equal(drop(ones), first)
    drop.reset()
    assert (drop(ones).numpy() != first).any()


def test_one_mask_for_all_steps() -> None:
    drop = nn.Dropout(0.5, step_mode="m")
    out = drop(np.ones((6, 2, 50))).numpy()
    assert (out == out[0]).all() and 0 < (out[0] != 0).mean() < 1
    np.testing.assert_array_equal(drop(np.ones((3, 2, 50)))[0], out[0])


def test_dropout_draws_from_the_seed() -> None:
    outs = []
    for _ in range(2):
        grilly.seed(11)
        outs.append(nn.Dropout()(np.ones(100)).numpy())
    np.testing.assert_array_equal(*outs)


def test_dropout_gradient_passes_the_mask() -> None:
    drop = nn.Dropout(0.5)
    x = grilly.tensor(np.ones(40, "float32"), requires_grad=True)
    out = drop(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, out)


def test_dropout_does_nothing_in_evaluation_or_at_p_0() -> None:
    x = grilly.ones(10)
    for drop in (nn.Dropout(0.5).eval(), nn.Dropout(0.0)):
        assert drop(x) is x and drop.memories() == {"mask": None}
    assert F.dropout(x, 0.5, training=False) is x


def test_dropout_refuses() -> None:
    for p in (1.0, -0.1, float("nan"), "half", None):
        with pytest.raises(
            ArgumentError, match="Dropout: p must be a finite number of at least 0 and below 1"
        ):
            nn.Dropout(p)
    drop = nn.Dropout()
    drop(np.ones((2, 3)))
    with pytest.raises(StateError, match=r"Dropout: .*\(2, 3\), this input needs \(4, 3\).*reset_net"):
        drop(np.ones((4, 3)))
    with pytest.raises(ArgumentError, match="dropout: p"):
        F.dropout(X, 1.0)


def test_functional_dropout_draws_anew() -> None:
    first, second = F.dropout(np.ones(200, "float32")), F.dropout(np.ones(200, "float32"))
    assert (first.numpy() != second.numpy()).any()
    assert set(first.tolist()) == {0.0, 2.0}


# Initialisers


@pytest.mark.parametrize(
    "fill, low, high, mean, std",
    [
        (lambda p: nn.init.uniform_(p, -1.0, 3.0), -1.0, 3.0, 1.0, 4 / math.sqrt(12)),
        (lambda p: nn.init.normal_(p, 2.0, 0.5), -np.inf, np.inf, 2.0, 0.5),
        (lambda p: nn.init.xavier_uniform_(p), -math.sqrt(6 / 150), math.sqrt(6 / 150), 0.0, math.sqrt(2 / 150)),
        (lambda p: nn.init.xavier_normal_(p, gain=2.0), -np.inf, np.inf, 0.0, 2 * math.sqrt(2 / 150)),
        (lambda p: nn.init.kaiming_uniform_(p), -math.sqrt(6 / 100), math.sqrt(6 / 100), 0.0, math.sqrt(2 / 100)),
        (lambda p: nn.init.kaiming_normal_(p, gain=1.0, mode="fan_out"), -np.inf, np.inf, 0.0, math.sqrt(1 / 50)),
    ],
)  # fmt: skip
def test_initialisers(fill: Any, low: float, high: float, mean: float, std: float) -> None:
    grilly.seed(0)
    parameter = nn.Parameter(np.zeros((50, 100), "float32"))
    assert fill(parameter) is parameter
    values = parameter.numpy()
    assert low <= values.min() and values.max() <= high
    assert abs(values.mean() - mean) < 0.05 * std
    assert abs(values.std() / std - 1) < 0.03


def test_constants_and_fans() -> None:
    parameter = nn.Parameter(np.zeros(3))
    assert nn.init.constant_(parameter, 1.5).tolist() == [1.5] * 3
    assert nn.init.ones_(parameter).tolist() == [1.0] * 3
    assert nn.init.zeros_(parameter).tolist() == [0.0] * 3 and parameter.dtype == "float64"
    with pytest.raises(ShapeError, match=r"at least two axes, got \(3,\)"):
        nn.init.xavier_uniform_(parameter)
    with pytest.raises(ArgumentError, match="mode must be 'fan_in' or 'fan_out', got 'both'"):
        nn.init.kaiming_normal_(nn.Parameter(np.zeros((2, 2))), mode="both")


@pytest.mark.parametrize(
    "make, fan_in", [(lambda: nn.Linear(16, 64), 16), (lambda: nn.Conv2d(8, 64, 3, groups=2), 36)]
)
def test_layers_start_within_their_fan_in(make: Any, fan_in: int) -> None:
    layer = make()
    for parameter in (layer.weight, layer.bias):
        largest = abs(parameter.numpy()).max()
        assert 0.8 / math.sqrt(fan_in) < largest <= 1 / math.sqrt(fan_in)
