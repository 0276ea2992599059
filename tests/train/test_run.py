"""What a run writes, and that the same seed gives the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.random
from grilly.data import load
from grilly.io import load_arrays
from grilly.training import TrainOptions, evaluate, load_model, predict, train
from grilly_core import selection
from grilly_core.errors import DivergenceError
from grilly_core.tensor import Tensor

Options = Callable[..., TrainOptions]
FILES = {"checkpoint.safetensors", "curves.png", "metrics.json", "model.safetensors", "raster.png"}


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in metrics.items() if k not in ("train_seconds", "samples_per_second")}


def test_a_run_writes_its_files_and_metrics(options: Options, tmp_path: Path) -> None:
    metrics = train(options(epochs=6), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    assert metrics["backend"] == "numpy" and "CPU" in metrics["device"]
    assert metrics["test_accuracy"] > 0.7, "three clear patterns"
    assert metrics["train_seconds"] > 0 and metrics["samples_per_second"] > 0
    assert (metrics["epochs"], metrics["seed"], metrics["version"]) == (6, 0, grilly.__version__)
    assert list(metrics["firing_rates"]) == ["layers.2", "layers.6", "layers.11"]
    assert all(0 < rate < 1 for rate in metrics["firing_rates"].values())
    assert [record["epoch"] for record in metrics["history"]] == [1, 2, 3, 4, 5, 6]
    assert metrics["history"][-1]["loss"] < metrics["history"][0]["loss"]
    assert metrics["history"][-1]["lr"] < metrics["history"][0]["lr"] == metrics["lr"]
    assert metrics["history"][-1]["test_accuracy"] == metrics["test_accuracy"]


def test_pictures_are_png_and_not_blank(options: Options, tmp_path: Path) -> None:
    from matplotlib.image import imread

    train(options(), tmp_path / "run")
    for name in ("curves.png", "raster.png"):
        path = tmp_path / "run" / name
        assert path.read_bytes().startswith(b"\x89PNG\r\n")
        pixels = imread(path)
        assert pixels.shape[0] > 200 and pixels.shape[1] > 800
        assert 0.001 < (pixels[..., :3].min(axis=-1) < 0.5).mean() < 0.5, name


@pytest.mark.parametrize("changes", [{}, {"encoder": "poisson", "neuron": "plif"}], ids=["direct", "poisson"])
def test_one_seed_gives_one_result(options: Options, tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = (train(options(epochs=2, **changes), tmp_path / name) for name in ("a", "b"))
    assert without_times(first) == without_times(second)
    for name in ("model.safetensors", "curves.png", "raster.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = train(options(epochs=2, seed=1, **changes), tmp_path / "c")
    assert other["history"] != first["history"]


def test_the_state_outside_does_not_matter_and_is_not_left_changed(options: Options, tmp_path: Path) -> None:
    first = train(options(epochs=1, encoder="poisson"), tmp_path / "a")
    grilly.seed(99)
    with grilly.backend("numpy"):
        grilly.rand(7)
    assert without_times(train(options(epochs=1, encoder="poisson"), tmp_path / "b")) == without_times(first)


@pytest.mark.parametrize("encoder", ["direct", "poisson", "latency"])
def test_a_model_file_rebuilds_the_network(options: Options, tmp_path: Path, encoder: str) -> None:
    asked = options(encoder=encoder, epochs=2)
    metrics = train(asked, tmp_path / "run")
    data = load(asked.data, asked.seed)
    with selection.using("numpy"):
        network, notes = load_model(tmp_path / "run")
        again = evaluate(network, *data.test)
        classes = predict(network, data.x_test)
    assert again.accuracy == metrics["test_accuracy"] == np.mean(classes == data.y_test)
    assert again.loss == metrics["test_loss"] and again.rates == metrics["firing_rates"]
    assert notes["seed"] == 0 and network.description.to_json()["encoder"] == encoder
    arrays, _ = load_arrays(tmp_path / "run" / "model.safetensors")
    assert {"offset", "scale", "layers.0.weight", "layers.1.running_mean"} <= set(arrays)


def test_evaluation_changes_nothing_and_samples_do_not_see_each_other(
    options: Options, tmp_path: Path
) -> None:
    asked = options(epochs=2)
    train(asked, tmp_path / "run")
    data = load(asked.data, asked.seed)
    with selection.using("numpy"):
        network, _ = load_model(tmp_path / "run")
        network.train()
        before, draws = network.state_dict(), grilly.random.get_state()
        together = evaluate(network, *data.test)
        alone = evaluate(network, *data.test, batch_size=1)
    assert alone.loss == pytest.approx(together.loss, rel=1e-5) and alone.accuracy == together.accuracy
    assert network.training and grilly.random.get_state() == draws
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_models_for_every_shape_of_data(vectors: str, sequences: str, tmp_path: Path) -> None:
    flat = train(TrainOptions(vectors, "numpy", epochs=15, batch_size=8), tmp_path / "flat")
    assert flat["network"]["model"] == "mlp" and flat["network"]["input_shape"] == [7]
    assert flat["test_accuracy"] > 0.7, "features of all sizes are brought to one scale"
    over_time = train(TrainOptions(sequences, "numpy", epochs=15, batch_size=8), tmp_path / "time")
    assert over_time["network"]["steps"] == 5 and over_time["network"]["temporal"]
    assert over_time["test_accuracy"] > 0.7


def test_a_loss_that_is_nan_stops_training(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grilly.training import trainer

    train(options(epochs=1), tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    cross_entropy, calls = trainer.F.cross_entropy, []

    def failing(logits: Tensor, labels: Tensor) -> Tensor:
        calls.append(1)
        return cross_entropy(logits, labels) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(trainer.F, "cross_entropy", failing)
    with pytest.raises(
        DivergenceError, match=r"NaN or infinite in epoch 1, batch 3 of 4; use a smaller learning rate"
    ):
        train(options(epochs=2), tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_weights_that_are_nan_are_not_saved(images: str, tmp_path: Path) -> None:
    # The range overflows float32, the input becomes NaN, NaN never fires: only the gradients show it.
    x = np.repeat(np.float32([[-3e38, 3e38]]), 12, axis=0)
    np.savez(tmp_path / "huge.npz", x=x * np.float32([1, -1])[np.arange(12) % 2, None], y=np.arange(12) % 2)
    with pytest.raises(DivergenceError, match="became NaN or infinite by the last batch of epoch 1"):
        train(TrainOptions(str(tmp_path / "huge.npz"), "numpy", epochs=2, batch_size=4), tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.slow
def test_digits_are_learnt_in_a_few_epochs(tmp_path: Path) -> None:
    metrics = train(TrainOptions(backend="numpy", epochs=4), tmp_path / "run")
    assert metrics["test_accuracy"] > 0.95
    assert metrics["network"]["model"] == "csnn"
