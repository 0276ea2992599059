"""What a converter makes of networks: rates, lambda in every mode, fused norms, the report."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from convert.networks import ConvNet, Residual, outputs, rates, samples, settle

import grilly
from grilly import nn
from grilly.convert import RateMaxPool2d, spiking_relus
from grilly.data import DataLoader


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    grilly.seed(7)


def mlp() -> Any:
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 3))


def normed() -> Any:
    convolution = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    dense = (nn.Linear(64, 10, bias=False), nn.BatchNorm1d(10), nn.Dropout(0.3), nn.ReLU(), nn.Linear(10, 3))
    return nn.Sequential(convolution, nn.Flatten(), *dense)


def lambdas(snn: Any) -> dict[str, float]:
    return {name: relu[2].factor for name, relu in spiking_relus(snn).items()}


def relu_outputs(net: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda m, args, out, name=name: seen.update({name: out.numpy()}))
    outputs(net, x)
    return seen


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (48, 6)),
    "norms": (normed, (48, 1, 8, 8)),
    "conv1d": (
        lambda: nn.Sequential(
            *(nn.Conv1d(2, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2), nn.Flatten())
        ),
        (48, 2, 10),
    ),
    "pool before relu": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        (48, 1, 8, 8),
    ),
    "residual": (lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), Residual(8), nn.Linear(8, 2)), (48, 5)),
    "own forward": (ConvNet, (48, 1, 8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fuse", [True, False])
def test_rates_approach_the_outputs_of_the_ann(case: str, fuse: bool) -> None:
    make, shape = CASES[case]
    x = samples(*shape)
    ann = settle(make(), x)
    wanted = outputs(ann, x)
    snn = nn.Converter(fuse_bn=fuse)(ann, x)
    errors = [np.abs(rates(snn, x, steps) - wanted).max() for steps in (16, 64, 256)]
    assert errors[2] < 0.03 * np.abs(wanted).max(), errors
    assert errors[0] > 2 * errors[2], "an error of rates falls with their number of steps"


@pytest.mark.parametrize("backend", backend_params())
def test_every_backend_gives_the_same_rates(backend: str) -> None:
    x = samples(16, 1, 8, 8)
    with grilly.backend("numpy"):
        ann = settle(ConvNet(), x)
        wanted = rates(nn.Converter()(ann, x), x, 32)
    ann.to(backend)
    snn = nn.Converter()(ann, x)  # a host array goes where the network is
    with grilly.backend(backend):
        found = rates(snn, x, 32)
    # A sum rounded otherwise may move a spike to the step after the last one.
    assert np.isclose(found, wanted, atol=1e-4).mean() > 0.95
    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_both_step_modes_give_the_same() -> None:
    x = samples(10, 1, 8, 8)
    snn = nn.Converter()(settle(normed(), samples(48, 1, 8, 8)), x)
    np.testing.assert_allclose(rates(snn, x, 20, "m"), rates(snn, x, 20, "s"), atol=1e-5)


# --- lambda ---


@pytest.mark.parametrize(
    "mode, wanted",
    [
        ("max_norm", np.max),
        ("robust_norm", lambda a: np.percentile(a, 99.9)),
        ("99.5%", lambda a: np.percentile(a, 99.5)),
        ("80%", lambda a: np.percentile(a, 80)),
        ("100%", np.max),
        (0.4, lambda a: 0.4 * np.max(a)),
        (1, np.max),
    ],
)
def test_lambda_is_the_statistic_of_all_outputs(mode: Any, wanted: Callable[[Any], float]) -> None:
    x = samples(300, 6)
    found = lambdas(nn.Converter(mode)(mlp_fixed := mlp(), x))
    seen = relu_outputs(mlp_fixed, x)
    assert found == pytest.approx({name: float(wanted(values)) for name, values in seen.items()}, rel=1e-5)


@pytest.mark.parametrize("mode", ["max_norm", "97%"])
def test_every_form_of_calibration_data_counts_in_full(mode: str) -> None:
    x = samples(301, 6) * np.linspace(0, 1, 301, dtype=np.float32)[:, None]  # the largest come last
    y = np.arange(301) % 3
    net = mlp()
    wanted = lambdas(nn.Converter(mode)(net, x))
    loader = DataLoader((x, y), 32)
    given = {
        "tensor": grilly.tensor(x),
        "nested lists": x.tolist(),
        "float64": x.astype(np.float64),
        "list of batches": [x[:7], x[7:300], x[300:]],
        "list of tensors": [grilly.tensor(x[:200]), grilly.tensor(x[200:])],
        "pairs": [(x[:200], y[:200]), (x[200:], y[200:])],
        "a pair": (x, y),
        "loader": loader,
        "generator": (x[i : i + 50] for i in range(0, 301, 50)),
    }
    for form, data in given.items():
        assert lambdas(nn.Converter(mode)(net, data)) == pytest.approx(wanted, rel=1e-5), form


def test_lambda_from_the_weights_alone() -> None:
    net = mlp()
    found = lambdas(nn.Converter()(net))
    largest = 1.0
    for index, name in ((0, "1"), (2, "3")):
        weight, bias = net[index].weight.numpy().astype(float), net[index].bias.numpy().astype(float)
        largest = max(largest * np.maximum(w, 0).sum() + max(b, 0) for w, b in zip(weight, bias, strict=True))
        assert found[name] == pytest.approx(largest, rel=1e-6)


@pytest.mark.parametrize("mode", ["max_norm", "robust_norm", "50%", 0.5])
@pytest.mark.parametrize("fuse", [True, False])
def test_bounds_of_weights_hold(mode: Any, fuse: bool) -> None:
    x = samples(200, 1, 8, 8)
    ann = settle(normed(), x)
    found = lambdas(nn.Converter(mode, fuse_bn=fuse)(ann))
    seen = relu_outputs(ann, x)
    assert list(found) == list(seen)
    if mode == "max_norm":
        assert all(values.max() <= found[name] for name, values in seen.items())
    else:
        whole = lambdas(nn.Converter(fuse_bn=fuse)(ann))
        assert all(0 < value < whole[name] for name, value in found.items())
    if mode == 0.5:
        assert found["0.2"] == pytest.approx(0.5 * whole["0.2"])


def test_two_linear_layers_without_a_relu_between_are_bounded() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4), nn.ReLU())
    net[0].weight.assign(-np.ones((5, 3)))
    net[1].weight.assign(-np.ones((4, 5)))
    x = samples(100, 3)
    found = lambdas(nn.Converter()(net))["2"]
    assert 15 <= found <= 15 + 6, "-5 times -3 is the largest but for biases"
    assert np.abs(rates(nn.Converter()(net), x, 400) - outputs(net, x)).max() <= found / 400 * 1.01


# --- the network ---


def test_the_ann_is_left_alone_and_the_snn_is_ready() -> None:
    x = samples(40, 1, 8, 8)
    ann = settle(normed(), x).train()
    calls: list[int] = []
    ann[2].register_forward_hook(lambda *_: calls.append(1))
    (ann(x).sum()).backward()
    before = copy.deepcopy({name: value.numpy() for name, value in ann.state_dict().items()})
    grads = [p.grad.numpy() for p in ann.parameters()]
    calls.clear()
    snn = nn.Converter()(ann, x)
    assert calls == [] and ann.training and [p.grad is not None for p in ann.parameters()]
    for name, value in ann.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    for parameter, grad in zip(ann.parameters(), grads, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), grad)
        assert parameter.requires_grad
    assert isinstance(ann[0][2], nn.ReLU) and isinstance(ann[0][1], nn.BatchNorm2d)
    assert not snn.training and all(p.grad is None and p.requires_grad for p in snn.parameters())
    assert all(getattr(module, "step_mode", "s") == "s" for module in snn.modules())
    nodes = [module for module in snn.modules() if isinstance(module, nn.IFNode)]
    assert [(node.v, node.v_threshold, node.v_reset) for node in nodes] == [(0.0, 1.0, None)] * 2
    assert type(snn) is nn.Sequential and isinstance(snn[0][3], RateMaxPool2d)
    own = {id(parameter) for parameter in ann.parameters()}
    assert not own & {id(parameter) for parameter in snn.parameters()}


def test_the_step_mode_of_the_ann_does_not_matter() -> None:
    import grilly.functional as F

    x = samples(40, 1, 8, 8)
    ann = settle(normed(), x)
    wanted = rates(nn.Converter()(ann, x), x, 8)
    F.set_step_mode(ann, "m")
    np.testing.assert_array_equal(rates(nn.Converter()(ann, x), x, 8), wanted)


def test_a_norm_is_fused_only_where_it_alone_reads_the_layer() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm, self.relu = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()

        def forward(self, x: Any) -> Any:
            y = self.linear(x)
            return self.relu(self.norm(y) + y)

    x = samples(64, 4)
    ann = settle(Forked(), x)
    snn = nn.Converter()(ann, x)
    assert isinstance(snn.norm, nn.BatchNorm1d) and "kept, with its running statistics" in snn.report()
    assert np.abs(rates(snn, x, 256) - outputs(ann, x)).max() < 0.03


def test_a_norm_over_another_axis_than_the_layers_is_kept() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    x = samples(64, 3, 4)  # the norm's channels are the second axis, the layer's results the third
    snn = nn.Converter()(settle(net, x), x)
    assert isinstance(snn[1], nn.BatchNorm1d)
    assert np.abs(rates(snn, x, 256) - outputs(net, x)).max() < 0.03


def test_a_relu_at_two_places_of_a_sequence_gets_two_neurons() -> None:
    relu, x = nn.ReLU(), samples(64, 4)
    net = nn.Sequential(nn.Linear(4, 9), relu, nn.Linear(9, 5), relu)
    for data in (x, None):
        snn = nn.Converter()(net, data)
        assert snn[1] is not snn[3] and list(spiking_relus(snn)) == ["1", "3"]
        assert np.abs(rates(snn, x, 2000) - outputs(net, x)).max() < 0.02


def test_one_linear_layer_at_two_places_keeps_its_weights() -> None:
    shared, x = nn.Linear(4, 4), samples(64, 4)
    net = settle(nn.Sequential(shared, nn.BatchNorm1d(4), nn.ReLU(), shared, nn.BatchNorm1d(4), nn.ReLU()), x)
    for data in (x, None):
        snn = nn.Converter()(net, data)
        assert snn[0] is snn[3] and isinstance(snn[1], nn.BatchNorm1d)
    assert np.abs(rates(nn.Converter()(net, x), x, 500) - outputs(net, x)).max() < 0.03


def test_float64_stays() -> None:
    x = samples(30, 6).astype(np.float64)
    with grilly.backend("numpy"):
        net = mlp().to(dtype="float64")
        snn = nn.Converter()(net, x)
        assert rates(snn, grilly.tensor(x), 4).dtype == np.float64


# --- the report ---


def test_the_report_says_what_became_what() -> None:
    x = samples(40, 1, 8, 8)
    snn = nn.Converter("99%")(settle(normed(), x), x)
    lines = snn.report().splitlines()
    assert lines[0] == "Sequential: ReLUs of 2 layers made spiking, lambda by 99% from 40 samples"
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}
    assert list(rows) == ["0.0", "0.1", "0.2", "0.3", "1", "2", "3", "4", "5", "6"]
    assert rows["0.0"] == "Conv2d Conv2d with batch norm 0.1"
    assert rows["0.1"] == "BatchNorm2d fused into 0.0"
    assert rows["0.2"] == f"ReLU Scale, IFNode, Scale {lambdas(snn)['0.2']:.4g} 1"
    assert rows["0.3"] == "MaxPool2d RateMaxPool2d"
    assert rows["1"] == "Flatten kept"


def test_the_report_is_in_the_order_of_forward() -> None:
    x = samples(40, 1, 8, 8)
    snn = nn.Converter()(settle(ConvNet(), x), x)
    names = [line.split()[0] for line in snn.report().splitlines()[2:]]
    assert names == [
        *(
            "stem.0",
            "stem.1",
            "stem.2",
            "stem.3",
            "pool",
            "block.first",
            "block.norm",
            "block.relu",
            "block.second",
        ),
        *("block.relu_out", "head"),
    ]
    assert "block.first     Linear       Linear with batch norm block.norm" in snn.report()


def test_a_relu_that_forward_never_calls_is_said_to_be_kept() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.relu, self.spare = nn.Linear(4, 4), nn.ReLU(), nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.linear(x))

    snn = nn.Converter()(Spare(), samples(20, 4))
    assert snn.report().splitlines()[-1].split()[:3] == ["spare", "ReLU", "kept,"]
