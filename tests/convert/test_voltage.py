"""Threshold balancing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convert.networks import ConvNet, outputs, rates, samples, settle

import grilly
import grilly.functional as F
from grilly import nn
from grilly.convert import spiking_relus
from grilly_core.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    grilly.seed(7)


def converted() -> tuple[Any, Any, np.ndarray]:
    x = samples(48, 1, 8, 8)
    ann = settle(ConvNet(), x)
    return ann, nn.Converter(0.5)(ann, x), x


def largest_inputs(snn: Any, x: np.ndarray, steps: int) -> dict[str, float]:
    """The largest input of each neuron, step by step, for the thresholds as they are."""
    seen: dict[str, float] = {}
    handles = []
    for name, module in snn.named_modules():
        if isinstance(module, nn.IFNode):
            handles.append(
                module.register_forward_pre_hook(
                    lambda node, args, name=name: seen.update(
                        {name: max(seen.get(name, -np.inf), float(args[0].numpy().max()))}
                    )
                )
            )
    F.reset_net(snn)
    with grilly.no_grad():
        for _ in range(steps):
            snn(x)
    F.reset_net(snn)
    for handle in handles:
        handle.remove()
    return seen


def test_thresholds_are_the_largest_inputs_in_the_order_of_forward() -> None:
    _, snn, x = converted()
    lambdas = {name: relu[2].factor for name, relu in spiking_relus(snn).items()}
    found = nn.VoltageScaler(snn).scale_thresholds(x, T=10)
    assert list(found) == ["stem.2.1", "block.relu.1", "block.relu_out.1"]
    # Each was set with those before it already in place, so running again shows the same inputs.
    assert largest_inputs(snn, x, 10) == pytest.approx(found, rel=1e-6)
    for name, relu in spiking_relus(snn).items():
        threshold = found[f"{name}.1"]
        assert relu[1].v_threshold == threshold
        assert relu[2].factor == pytest.approx(lambdas[name] * threshold, rel=1e-12)
        assert not isinstance(relu[1].v, grilly.Tensor), "the state is reset"


def test_rates_still_decode_and_nothing_is_clipped_any_more() -> None:
    ann, snn, x = converted()
    wanted = outputs(ann, x)
    assert np.abs(rates(snn, x, 400) - wanted).max() > 0.1, "half of the maximum clips"
    nn.VoltageScaler(snn).scale_thresholds(x)
    assert np.abs(rates(snn, x, 400) - wanted).max() < 0.04 * np.abs(wanted).max()


def test_balancing_makes_bounds_from_the_weights_useful() -> None:
    x = samples(64, 20)
    wide = (nn.Linear(20, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 3))
    ann = nn.Sequential(*wide)
    wanted = outputs(ann, x)
    snn = nn.Converter()(ann)
    before = np.abs(rates(snn, x, 64) - wanted).max()
    nn.VoltageScaler(snn).scale_thresholds(x)
    assert np.abs(rates(snn, x, 64) - wanted).max() < before / 3


def test_doing_it_twice_changes_nothing() -> None:
    _, snn, x = converted()
    scaler = nn.VoltageScaler(snn)
    first = scaler.scale_thresholds(x)
    assert scaler.scale_thresholds(x) == pytest.approx(first, rel=1e-6)


def test_all_data_and_every_step_count_in_both_modes() -> None:
    _, snn, x = converted()
    scaler = nn.VoltageScaler(snn)
    wanted = scaler.scale_thresholds(x)
    assert scaler.scale_thresholds([x[:40], (x[40:], np.zeros(8))]) == pytest.approx(wanted, rel=1e-5)
    sequence = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU())
    flat = samples(30, 6)
    single, multi = (nn.Converter(0.3)(sequence, flat) for _ in range(2))
    F.set_step_mode(multi, "m")
    assert nn.VoltageScaler(multi).scale_thresholds(flat, T=9) == pytest.approx(
        nn.VoltageScaler(single).scale_thresholds(flat, T=9), rel=1e-5
    )


def test_the_report_shows_thresholds() -> None:
    _, snn, x = converted()
    found = nn.VoltageScaler(snn).scale_thresholds(x)
    row = next(line for line in snn.report().splitlines() if line.startswith("stem.2 "))
    assert row.endswith(f" {found['stem.2.1']:.4g}") and found["stem.2.1"] > 1.5


def test_a_layer_that_receives_nothing_leaves_all_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU())
    net[2].bias.assign(np.zeros(3))
    x = samples(20, 4)
    snn = nn.Converter()(net, x)
    snn[2].weight.assign(-np.ones((3, 3)))
    before = [(relu[1].v_threshold, relu[2].factor) for relu in spiking_relus(snn).values()]
    with pytest.raises(
        DataError, match=r"the largest input of 3.1 is -?0(\.\d+)?, which cannot be a threshold"
    ):
        nn.VoltageScaler(snn).scale_thresholds(x)
    assert [(relu[1].v_threshold, relu[2].factor) for relu in spiking_relus(snn).values()] == before
    snn(x)  # the state was reset


@pytest.mark.parametrize(
    "data, steps, error, message",
    [
        (np.zeros((0, 1, 8, 8)), 4, DataError, "scale_thresholds: the calibration data are empty"),
        (np.zeros((3, 1, 8, 8)), 4, DataError, "scale_thresholds: .* nothing but zeros"),
        (np.ones((3, 1, 8, 8)), 0, ArgumentError, "scale_thresholds: T must be an integer of at least 1"),
    ],
)
def test_what_it_refuses(data: Any, steps: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.VoltageScaler(converted()[1]).scale_thresholds(data, T=steps)
