"""Encoders, descriptions, networks and the sums kept on the device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import grilly
from grilly import nn
from grilly.data import Dataset
from grilly.training import NetworkDescription, TrainOptions, build, describe, encode
from grilly.training.monitor import FiringMonitor, Totals
from grilly.training.trainer import Trainer
from grilly_core import selection
from grilly_core.errors import ArgumentError, CheckpointError, ShapeError
from grilly_core.tensor import tensor
from grilly_numpy.backend import NumpyBackend


@pytest.fixture(autouse=True)
def on_numpy() -> Any:
    with selection.using("numpy"):
        yield


def dataset(shape: tuple[int, ...], temporal: bool = False, samples: int = 12) -> Dataset:
    x = np.random.default_rng(3).random((samples, *shape), dtype=np.float32)
    y = (np.arange(samples) % 3).astype(np.int32)
    return Dataset(x, y, x, y, 3, "toy", temporal)


# --- encoders ---


def test_direct_repeats() -> None:
    x = np.random.default_rng(0).random((2, 3), dtype=np.float32)
    np.testing.assert_array_equal(encode(tensor(x), "direct", 4).numpy(), np.stack([x] * 4))


def test_poisson_fires_as_often_as_its_input() -> None:
    grilly.seed(4)
    x = np.array([0.0, 0.25, 0.75, 1.0], np.float32)
    spikes = encode(tensor(np.tile(x, (500, 1))), "poisson", 20).numpy()
    assert set(np.unique(spikes)) == {0.0, 1.0}
    np.testing.assert_allclose(spikes.mean((0, 1)), x, atol=0.02)
    assert not spikes[..., 0].any() and spikes[..., 3].all()


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 9])
def test_latency_fires_once_at_the_rounded_step(steps: int) -> None:
    # All halves between steps, where rounding goes to the even step, and values beyond the range.
    x = np.unique(
        np.concatenate([np.linspace(0, 1, 101), (np.arange(2 * steps) + 0.5) / (2 * steps), [-1, 2]])
    )
    x = x.astype(np.float32)
    spikes = encode(tensor(x[None]), "latency", steps).numpy()[:, 0]
    np.testing.assert_array_equal(spikes.sum(0), 1)
    due = np.rint((1 - np.clip(x, 0, 1)) * np.float32(steps - 1))
    np.testing.assert_array_equal(spikes.argmax(0), due)


# --- descriptions ---


def test_a_description_survives_json() -> None:
    import json

    description = describe(TrainOptions(neuron="plif", surrogate="erf"), dataset((2, 9, 17)))
    assert (description.model, description.channels, description.hidden) == ("csnn", (32, 64), (128,))
    assert NetworkDescription.from_json(json.loads(json.dumps(description.to_json())), "x") == description


@pytest.mark.parametrize(
    "shape, blocks", [((1, 8, 8), 2), ((1, 28, 28), 2), ((3, 64, 40), 3), ((1, 224, 1), 5), ((2, 1, 3), 2)]
)
def test_a_convolutional_network_fits_every_image(shape: tuple[int, ...], blocks: int) -> None:
    description = describe(TrainOptions(steps=1), dataset(shape, samples=3))
    assert len(description.channels) == blocks
    network = build(replace(description, channels=(2,) * blocks, hidden=(4,))).eval()
    assert network(dataset(shape, samples=3).x_train).shape == (3, 3)


@pytest.mark.parametrize(
    "options, data, message",
    [
        (TrainOptions(model="csnn"), dataset((7,)), r"needs images .* shape \(7,\); use model mlp"),
        (TrainOptions(steps=4), dataset((5, 7), True), "steps is 4, but toy has 5 time steps"),
        (TrainOptions(encoder="poisson"), dataset((5, 7), True), "encoder poisson makes time steps"),
        (TrainOptions(batch_size=1), dataset((7,)), "batch_size 1"),
    ],
)
def test_options_that_do_not_fit_the_data(options: TrainOptions, data: Dataset, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        describe(options, data)


@pytest.mark.parametrize(
    "changes",
    [{"model": "rnn"}, {"steps": 0}, {"steps": 2.5}, {"input_shape": []}, {"hidden": 3}, {"classes": None}],
)
def test_descriptions_that_are_none(changes: dict[str, Any]) -> None:
    plain = describe(TrainOptions(), dataset((7,))).to_json()
    with pytest.raises(CheckpointError, match="x describes no network"):
        NetworkDescription.from_json({**plain, **changes}, "x")


@pytest.mark.parametrize("changes", [{"steps": True}, {"lr": "fast"}, {"lr": float("inf")}, {"seed": 2**64}])
def test_options_no_run_can_use(changes: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(changes))} must be"):
        TrainOptions(**changes)


# --- networks ---


@pytest.mark.parametrize(
    "neuron, kind", [("if", nn.IFNode), ("lif", nn.LIFNode), ("plif", nn.ParametricLIFNode)]
)
def test_neurons_and_surrogates_are_those_asked_for(neuron: str, kind: type[nn.BaseNode]) -> None:
    network = build(describe(TrainOptions(neuron=neuron, surrogate="super_spike"), dataset((7,))))
    nodes = list(network.spiking_layers().values())
    assert len(nodes) == 2
    assert all(type(node) is kind and node.surrogate_function == nn.SuperSpike() for node in nodes)


def test_features_are_scaled_one_by_one_and_images_as_a_whole() -> None:
    flat = np.array([[0, -4, 7], [10, 4, 7]], np.float32)
    network = build(describe(TrainOptions(), dataset((3,))))
    network.fit_scaling(flat)
    np.testing.assert_allclose(network.encode(flat).numpy()[0], [[0, 0, 0], [1, 1, 0]], atol=1e-6)
    images = np.arange(16, dtype=np.float32).reshape(2, 1, 4, 2)
    network = build(describe(TrainOptions(), dataset((1, 4, 2))))
    network.fit_scaling(images)
    np.testing.assert_allclose(network.encode(images).numpy()[0], images / 15, atol=1e-6)


def test_samples_of_another_shape_are_refused() -> None:
    network = build(describe(TrainOptions(), dataset((7,))))
    with pytest.raises(ShapeError, match=r"samples of shape \(7,\), got \(6,\)"):
        network(np.zeros((2, 6), np.float32))


# --- sums ---


def test_totals_are_means_over_samples() -> None:
    totals = Totals(("a", "b"))
    for count, loss, right, rates in ((3, 2.0, 1, (0.1, 0.5)), (1, 6.0, 1, (0.3, 0.1))):
        logits = np.eye(2, dtype=np.float32)[np.r_[np.zeros(right, int), np.ones(count - right, int)]]
        labels = tensor(np.zeros(count, np.int32))
        totals.add(tensor(np.float32(loss)), tensor(logits), labels, [tensor(np.float32(r)) for r in rates])
    figures = totals.figures()
    assert (figures.loss, figures.accuracy) == (3.0, 0.5)
    assert figures.rates == pytest.approx({"a": 0.15, "b": 0.4}) and figures.rate == pytest.approx(0.275)
    assert totals.first_bad_batch() is None
    other = Totals(("a", "b"))
    other.load(*totals.state())
    assert other.figures() == figures


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_batch_is_found_later(bad: float) -> None:
    totals = Totals(())
    for loss in (1.0, bad, 1.0, bad):
        totals.add(
            tensor(np.float32(loss)), tensor(np.eye(2, dtype=np.float32)), tensor(np.zeros(2, np.int32)), []
        )
    assert totals.first_bad_batch() == 1


def test_firing_rates_are_those_of_the_spikes() -> None:
    network = build(describe(TrainOptions(), dataset((7,))))
    seen: list[float] = []
    handles = [
        node.register_forward_hook(lambda node, args, out: seen.append(float(out.numpy().mean())))
        for node in network.spiking_layers().values()
    ]
    with FiringMonitor(network) as monitor:
        network(3 * dataset((7,)).x_train)
    assert [rate.item() for rate in monitor.rates] == pytest.approx(seen) and max(seen) > 0
    for handle in handles:
        handle.remove()
    network.spiking_layers()[monitor.layers[0]].reset()


def test_a_training_step_reads_nothing_from_the_device() -> None:
    class Device(NumpyBackend):
        name = "device"
        features = NumpyBackend.features - {"host_memory"}
        reads = 0

        def to_numpy(self, array: np.ndarray) -> np.ndarray:
            type(self).reads += 1
            return super().to_numpy(array)

    data = dataset((1, 8, 8))
    options = TrainOptions(batch_size=6, steps=2)
    with selection.using(Device(None)):
        trainer = Trainer(options, build(describe(options, data)), data)
        with trainer.monitor:
            trainer._step(data.x_train[:6], data.y_train[:6])
            Device.reads = 0
            for start in (0, 6):
                trainer._step(data.x_train[start : start + 6], data.y_train[start : start + 6])
        assert Device.reads == 0
        assert trainer.totals.figures().loss > 0 and Device.reads > 0
