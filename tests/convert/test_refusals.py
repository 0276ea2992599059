"""What a converter and a voltage scaler refuse, and that they name it and the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convert.networks import ConvNet, Residual, samples

import grilly
import grilly.functional as F
from grilly import nn
from grilly.convert import spiking_relus
from grilly_core.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    grilly.seed(7)


def net(*layers: nn.Module) -> Any:
    return nn.Sequential(nn.Linear(4, 6), *(layers or (nn.ReLU(), nn.Linear(6, 2))))


X = samples(20, 4)


@pytest.mark.parametrize("mode", ["max", "0%", "101%", "x%", 0, 1.5, -0.1, True, None, float("nan"), 2])
def test_modes_there_are_not(mode: Any) -> None:
    with pytest.raises(ArgumentError, match=r"mode must be 'max_norm', 'robust_norm', a percentile .* got "):
        nn.Converter(mode)


@pytest.mark.parametrize("data", [X, None], ids=["data", "weights"])
@pytest.mark.parametrize(
    "layers, message",
    [
        ((nn.Linear(6, 2),), "nothing was converted, for no nn.ReLU layer runs in this network"),
        ((nn.ReLU(), nn.Softmax()), r"layer '2' \(Softmax\) cannot be converted: leave it out"),
        (
            (nn.ReLU(), nn.Linear(6, 2), nn.Tanh()),
            r"layer '3' \(Tanh\) cannot be converted: train .* nn.ReLU",
        ),
        ((nn.LeakyReLU(),), r"layer '1' \(LeakyReLU\) cannot be converted"),
        ((nn.LayerNorm(6), nn.ReLU()), r"layer '1' \(LayerNorm\) cannot be converted: .* batch norm"),
        ((nn.Sequential(nn.ReLU(), nn.RMSNorm(6)),), r"layer '1.1' \(RMSNorm\) cannot be converted"),
        ((nn.LIFNode(),), r"1 \(LIFNode\) keeps state over time, .* a spiking one already"),
        ((nn.MultiStepContainer(nn.ReLU()),), r"1 \(MultiStepContainer\) runs over time"),
    ],
)
def test_layers_that_cannot_be_converted(layers: Any, message: str, data: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        nn.Converter()(net(*layers), data)


class Own(nn.Module):
    """A network with a forward of its own."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear, self.relu, self.function = nn.Linear(4, 4), nn.ReLU(), function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


class Gelu(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * F.sigmoid(1.7 * x)


class Clipped(nn.ReLU):
    """A ReLU with a forward of its own is no ReLU."""

    def forward(self, x: Any) -> Any:
        return x.relu() * 0.5


@pytest.mark.parametrize(
    "function, message",
    [
        (
            lambda m, x: F.relu(m.linear(m.relu(m.linear(x)))),
            r"relu after layer 'linear' \(Linear\) cannot be converted: .* nn.ReLU\(\)",
        ),
        (lambda m, x: F.sigmoid(m.relu(x)), r"after layer 'relu' \(ReLU\) cannot be converted: it is applied in a forward"),
        (lambda m, x: m.relu(m.linear(x)) * m.linear(x), r"mul after layer '\w+' .* not linear"),
        (lambda m, x: m.relu(m.linear(x * x)), "mul after the input cannot be converted"),
        (lambda m, x: 1.0 / (1.0 + m.relu(m.linear(x))), r"div after layer 'relu'"),
        (lambda m, x: m.relu(m.linear(x)).max(1), "max after layer 'relu'"),
        (lambda m, x: m.relu(m.linear(m.relu(m.linear(x)))), r"layer 'relu' \(ReLU\) is called at several places"),
    ],
)  # fmt: skip
def test_functions_that_cannot_be_converted(function: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        nn.Converter()(Own(function), X)


def test_linear_functions_in_a_forward_are_fine() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.relu(m.linear(x))
        joined = grilly.functional.where(grilly.tensor(True), 1.0, 0.0) * y  # a constant times y
        return (joined + 2 * x - y / 4).reshape(-1, 2, 2).transpose(0, 2, 1).mean(1)

    snn = nn.Converter()(Own(forward), X)
    assert list(spiking_relus(snn)) == ["relu"]


@pytest.mark.parametrize("layer, op", [(Gelu(), "sigmoid|mul"), (Clipped(), "relu")])
def test_unknown_layers_are_looked_into(layer: Any, op: str) -> None:
    with pytest.raises(ArgumentError, match=rf"layer '2' \(\w+\) cannot be converted: it computes ({op})"):
        nn.Converter()(net(nn.ReLU(), layer), X)
    with pytest.raises(
        ArgumentError, match=r"without calibration data .* but 2 is a (Gelu|Clipped); pass samples"
    ):
        nn.Converter()(net(nn.ReLU(), layer))


def test_an_unknown_layer_that_is_linear_is_kept() -> None:
    class Twice(nn.Module):
        def forward(self, x: Any) -> Any:
            return 2 * x

    assert nn.Converter()(net(nn.ReLU(), Twice()), X).report().splitlines()[-1].split() == [
        "2",
        "Twice",
        "kept",
    ]


@pytest.mark.parametrize(
    "made, name",
    [
        (ConvNet, "the network is a ConvNet"),
        (lambda: nn.Sequential(nn.Linear(4, 8), Residual(8)), "1 is a Residual"),
    ],
)
def test_without_data_only_sequences_are_converted(made: Any, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"without calibration data only nn.Sequential .* but {name}"):
        nn.Converter()(made())


def test_a_relu_reached_by_another_way_than_its_name() -> None:
    def forward(m: Any, x: Any) -> Any:
        return m.held[0](m.linear(x))

    own = Own(forward)
    own.held = [own.relu]
    with pytest.raises(ArgumentError, match="'relu' is not called: forward reaches the ReLU by another way"):
        nn.Converter()(own, X)


def test_no_module() -> None:
    with pytest.raises(ArgumentError, match="Converter converts a module, got function"):
        nn.Converter()(lambda x: x, X)


# --- calibration data ---


@pytest.mark.parametrize(
    "data, error, message",
    [
        (np.zeros((0, 4)), DataError, "the calibration data are empty"),
        ([], DataError, "the calibration data are empty"),
        (iter([]), DataError, "empty; .* loader that was used up"),
        ([np.zeros((0, 4)), np.zeros((0, 4))], DataError, "empty"),
        (np.zeros((9, 4)), DataError, "nothing but zeros"),
        ([np.zeros((9, 4)), np.zeros((3, 4))], DataError, "nothing but zeros"),
        (np.full((9, 4), np.nan), DataError, "hold NaN or infinity"),
        ([X, np.full((9, 4), np.inf)], DataError, "hold NaN or infinity"),
        (np.array(["a", "b"]), DataError, "must be numbers"),
        ("digits", ArgumentError, "calibration data must be an array or Tensor .* got str"),
        ({"x": X}, ArgumentError, "got dict"),
        (7, ArgumentError, "got int"),
    ],
)
def test_data_that_calibrate_nothing(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.Converter()(net(), data)


def silent() -> Any:
    dead = net()
    dead[0].weight.assign(-np.ones((6, 4)))
    dead[0].bias.assign(np.zeros(6))
    return dead


def test_a_silent_relu_is_named() -> None:
    with pytest.raises(
        DataError, match="lambda of ReLU '1' is 0: none of its outputs on the 20 calibration samples"
    ):
        nn.Converter()(silent(), X)
    with pytest.raises(
        ArgumentError, match="lambda of ReLU '1' is 0: the weights into it have no positive part"
    ):
        nn.Converter()(silent())


def test_a_percentile_of_zero_names_the_way_out() -> None:
    sparse = silent()
    sparse[0].weight.assign(np.diag([1.0] * 6)[:, :4] - 0.001)
    assert nn.Converter()(sparse, np.eye(4, dtype=np.float32))
    with pytest.raises(
        DataError, match=r"the 40th percentile of its outputs .* use a higher percentile, mode='max_norm'"
    ):
        nn.Converter("40%")(sparse, np.eye(4, dtype=np.float32))


def test_activations_that_are_not_finite() -> None:
    broken = net()
    broken[0].bias.assign(np.full(6, np.inf))
    for data, error in ((X, DataError), (None, ArgumentError)):
        with pytest.raises(error, match="activations of ReLU '1' are not finite"):
            nn.Converter("robust_norm")(broken, data)


def test_the_scaler_wants_a_converted_network() -> None:
    for given in (net(), nn.Sequential(nn.IFNode()), 3):
        with pytest.raises(ArgumentError, match=r"VoltageScaler takes a network that nn\.Converter returned"):
            nn.VoltageScaler(given)
