"""Networks of ReLUs: trained as spiking ones are, and made spiking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly import nn
from grilly.data import load
from grilly.training import (
    TrainingInterrupted,
    TrainOptions,
    accuracy_over_time,
    convert_classifier,
    evaluate,
    load_model,
    predict,
    resume,
    train,
)
from grilly.training.checkpoint import save_model
from grilly.training.trainer import Trainer
from grilly_core import selection
from grilly_core.errors import ArgumentError, CheckpointError

Options = Callable[..., TrainOptions]


@pytest.fixture
def ann(options: Options, tmp_path: Path) -> tuple[TrainOptions, Path]:
    """Options of a finished run of ReLUs, and its folder."""
    given = options(ann=True, steps=None, epochs=8)
    train(given, tmp_path / "ann")
    return given, tmp_path / "ann"


def test_metrics_and_model_are_as_for_a_spiking_network(options: Options, tmp_path: Path) -> None:
    spiking = train(options(), tmp_path / "snn")
    metrics = train(options(ann=True, steps=None), tmp_path / "ann")
    assert list(metrics) == list(spiking) and list(metrics["history"][0]) == list(spiking["history"][0])
    assert metrics["parameters"] == spiking["parameters"], "the same shape"
    assert list(metrics["firing_rates"]) == list(spiking["firing_rates"])
    assert all(0 < rate < 1 for rate in metrics["firing_rates"].values())
    assert (metrics["network"]["neuron"], metrics["network"]["steps"]) == ("relu", 1)
    assert json.loads((tmp_path / "ann" / "metrics.json").read_text()) == metrics
    files = {path.name for path in (tmp_path / "ann").iterdir()}
    assert files == {"checkpoint.safetensors", "curves.png", "metrics.json", "model.safetensors"}


def test_the_model_is_of_relus_and_classifies(ann: tuple[TrainOptions, Path]) -> None:
    given, folder = ann
    data = load(given.data, given.seed)
    with selection.using("numpy"):
        network, _ = load_model(folder)
        assert not network.spiking and network.spiking_layers() == {}
        assert [type(layer) for layer in network.unit_layers().values()] == [nn.ReLU] * 3
        figures = evaluate(network, *data.test)
        network.eval()
        shares = {
            name: float(np.mean(layer_output(network, name, data.x_test) > 0))
            for name in network.unit_layers()
        }
    assert figures.accuracy > 0.7, "three clear patterns"
    assert figures.rates == pytest.approx(shares, rel=1e-5)


def layer_output(network: Any, name: str, x: np.ndarray) -> np.ndarray:
    seen: list[np.ndarray] = []
    handle = network.unit_layers()[name].register_forward_hook(lambda m, a, out: seen.append(out.numpy()))
    network(x)
    handle.remove()
    return seen[0]


def test_a_stopped_run_goes_on(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = options(ann=True, steps=None)
    whole = train(given, tmp_path / "whole")
    step = Trainer._step

    def stopping(self: Trainer, x: Any, y: Any) -> None:
        if self.epoch == 1:
            raise KeyboardInterrupt
        step(self, x, y)

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(TrainingInterrupted):
        train(given, tmp_path / "stopped")
    monkeypatch.setattr(Trainer, "_step", step)
    with pytest.raises(CheckpointError, match="ann is True, not False"):
        resume(tmp_path / "stopped", {"ann": False})
    assert resume(tmp_path / "stopped", {"ann": True})["history"] == whole["history"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 4}, "has no steps; leave that out, or leave ann out"),
        ({"neuron": "plif", "surrogate": "erf"}, "has no neuron, surrogate; "),
        ({"encoder": "latency"}, "has no encoder; "),
    ],
)
def test_what_means_nothing_to_relus(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"ann trains a network of ReLUs, which {message}"):
        TrainOptions(ann=True, **changes)


def test_sequences_are_refused(sequences: str, tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match="ann trains a network without time, but the samples of sequences"
    ):
        train(TrainOptions(sequences, "numpy", ann=True), tmp_path / "run")


def test_a_converted_classifier_approaches_the_ann(ann: tuple[TrainOptions, Path]) -> None:
    given, folder = ann
    data = load(given.data, given.seed)
    with selection.using("numpy"):
        network, _ = load_model(folder)
        snn = convert_classifier(network, data.x_train, "max_norm", steps=64)
        assert snn.spiking and (snn.description.neuron, snn.description.steps) == ("if", 64)
        assert np.abs(snn(data.x_test).numpy() - network.eval()(data.x_test).numpy()).max() < 0.5
        found = accuracy_over_time(snn, *data.test, [1, 64], batch_size=4)
        assert found[64] == np.mean(predict(snn, data.x_test) == data.y_test)
        assert abs(found[64] - evaluate(network, *data.test).accuracy) <= 1 / len(data.y_test)
        rates = evaluate(snn, *data.test).rates
        assert len(rates) == 3 and all(0 < rate < 1 for rate in rates.values())


@pytest.mark.parametrize("balanced", [False, True])
def test_a_converted_classifier_survives_its_file(
    ann: tuple[TrainOptions, Path], tmp_path: Path, balanced: bool
) -> None:
    given, folder = ann
    data = load(given.data, given.seed)
    with selection.using("numpy"):
        network, _ = load_model(folder)
        snn = convert_classifier(network, data.x_train, "90%", steps=7)
        if balanced:
            nn.VoltageScaler(snn.layers).scale_thresholds(network.encode(data.x_train)[0])
        save_model(tmp_path / "snn.safetensors", snn, {"seed": 3})
        again, notes = load_model(tmp_path / "snn.safetensors")
        assert notes == {"seed": 3} and again.description == snn.description
        for old, new in zip(snn.spiking_layers().values(), again.spiking_layers().values(), strict=True):
            assert old.v_threshold == new.v_threshold and (old.v_threshold != 1.0) == balanced
        snn.eval(), again.eval()
        np.testing.assert_array_equal(snn(data.x_test).numpy(), again(data.x_test).numpy())


def test_a_spiking_network_is_not_converted(options: Options, tmp_path: Path) -> None:
    train(options(epochs=1), tmp_path / "run")
    with selection.using("numpy"):
        network, _ = load_model(tmp_path / "run")
        with pytest.raises(
            ArgumentError, match=r"of lif neurons, which spikes already; .* grilly train --ann"
        ):
            convert_classifier(network, None)


@pytest.mark.slow
def test_digits_lose_at_most_half_a_point_in_32_steps(tmp_path: Path) -> None:
    train(TrainOptions(backend="numpy", epochs=3, ann=True), tmp_path / "run")
    with selection.using("numpy"):
        network, notes = load_model(tmp_path / "run")
        data = load("digits", notes["seed"])
        wanted = evaluate(network, *data.test).accuracy
        assert wanted > 0.97
        for mode in ("max_norm", "robust_norm"):
            snn = convert_classifier(network, data.x_train, mode)
            assert accuracy_over_time(snn, *data.test, [32])[32] >= wanted - 0.005, mode
