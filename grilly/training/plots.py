"""Pictures of a run: learning curves and a raster of spikes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grilly import functional as F
from grilly._extras import import_extra
from grilly.data import Dataset
from grilly.io import write_bytes_atomic
from grilly.monitor import OutputMonitor
from grilly.training.evaluation import inference
from grilly.training.network import Classifier
from grilly.viz import raster
from grilly.viz.axes import GREY, RED

__all__ = ["plot_curves", "plot_raster"]

_TRAIN, _TEST, _RATE = "#4c78a8", RED, "#54a24b"
_SAMPLES, _NEURONS = 10, 64


def plot_curves(path: Path, history: Sequence[Mapping[str, Any]], spiking: bool = True) -> None:
    """Loss, accuracy and firing rates over the epochs, as a PNG.

    Args:
        path: the file.
        history: one record per epoch, as ``metrics.json`` holds.
        spiking: whether its rates are of spikes; else of ReLUs above 0.
    """
    figure = _figure((12.0, 3.6))
    loss, accuracy, rates = figure.subplots(1, 3)
    epochs = [record["epoch"] for record in history]
    style = {"marker": "o", "markersize": 3, "linewidth": 1.5}
    for axes, key, factor, label in (
        (loss, "loss", 1.0, "cross entropy (nats)"),
        (accuracy, "accuracy", 100.0, "accuracy (%)"),
    ):
        for name, prefix, colour in (("training", "", _TRAIN), ("test", "test_", _TEST)):
            values = [factor * record[prefix + key] for record in history]
            axes.plot(epochs, values, label=name, color=colour, **style)
        axes.set_ylabel(label)
        axes.legend(frameon=False)
    loss.set_yscale("log")
    shades = np.linspace(0.35, 1.0, len(history[0]["firing_rates"]))
    for layer, shade in zip(history[0]["firing_rates"], shades, strict=True):
        values = [100 * record["firing_rates"][layer] for record in history]
        rates.plot(epochs, values, label=layer, color=_RATE, alpha=float(shade), **style)
    rates.set_ylabel("firing rate (% of neurons per step)" if spiking else "ReLUs above 0 (%)")
    rates.set_ylim(bottom=0)
    rates.legend(frameon=False)
    for axes in (loss, accuracy, rates):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    last = history[-1]
    figure.suptitle(f"test accuracy {last['test_accuracy']:.2%} after {last['epoch']} epochs", fontsize=11)
    _write(path, figure)


def plot_raster(path: Path, network: Classifier, data: Dataset) -> None:
    """Spikes of every layer for one test sample of each class, one after the other, as a PNG.

    Args:
        path: the file.
        network: the trained network.
        data: whose test samples are shown.
    """
    chosen = _one_of_each_class(data.y_test)
    spikes, predicted = _record(network, data.x_test[chosen])
    labels = data.y_test[chosen]
    images = data.x_test.ndim == 4
    heights = ([1.0] if images else []) + [2.2] * len(spikes)
    figure = _figure((12.0, 1.4 + sum(heights)))
    rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    steps = next(iter(spikes.values())).shape[0]
    if images:
        _thumbnails(rows[0], data.x_test[chosen])
    for axes, (name, trains) in zip(rows[images:], spikes.items(), strict=True):
        _layer(axes, f"{name}\n{type(network.spiking_layers()[name]).__name__}", trains)
    rows[0].set_title(f"{data.name}: spikes of a test sample of each class, {steps} steps each", fontsize=11)
    rows[-1].set_xlim(-0.5, steps * len(chosen) - 0.5)
    rows[-1].set_xticks([steps * (i + 0.5) - 0.5 for i in range(len(chosen))])
    texts = [f"class {label}\npredicted {said}" for label, said in zip(labels, predicted, strict=True)]
    rows[-1].set_xticklabels(texts)
    for text, label, said in zip(rows[-1].get_xticklabels(), labels, predicted, strict=True):
        text.set_color("black" if label == said else _TEST)
    for axes in rows:
        axes.tick_params(axis="x", length=0)
    _write(path, figure)


def _figure(size: tuple[float, float]) -> Any:
    # Not pyplot: it keeps figures and picks a window system.
    return import_extra("matplotlib.figure", "drawing plots").Figure(figsize=size, layout="constrained")


def _write(path: Path, figure: Any) -> None:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    write_bytes_atomic(path, png.getvalue())


def _one_of_each_class(y: np.ndarray) -> np.ndarray:
    """Index of the first sample of each class, of at most ten classes."""
    return np.unique(y, return_index=True)[1][:_SAMPLES]


def _record(network: Classifier, x: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spikes ``[T, N, neurons]`` of each layer, and the classes predicted."""
    with OutputMonitor(network, max_steps=None) as monitor, inference(network):
        F.reset_net(network)
        batch = np.ascontiguousarray(x.swapaxes(0, 1)) if network.description.temporal else x
        predicted = network(batch).argmax(1).numpy()
    spikes = {name: monitor.sequence(name).flatten(2).numpy() for name in monitor.layers}
    return spikes, predicted


def _layer(axes: Any, name: str, trains: np.ndarray) -> None:
    """A panel: one row per neuron, a tick per spike, samples side by side."""
    steps, samples, neurons = trains.shape
    raster(trains.swapaxes(0, 1).reshape(samples * steps, neurons), axes, max_neurons=_NEURONS)
    for boundary in range(1, samples):
        axes.axvline(boundary * steps - 0.5, color=GREY, linewidth=0.8)
    axes.set_yticks([])
    axes.set_xlabel("")
    of = f"{neurons} neurons" if neurons <= _NEURONS else f"{_NEURONS} of {neurons} neurons"
    axes.set_ylabel(f"{name}\n{of}", fontsize=8)
    axes.text(1.005, 0.5, f"{trains.mean():.1%}\nfiring", transform=axes.transAxes, va="center", fontsize=8)


def _thumbnails(axes: Any, images: np.ndarray) -> None:
    """The input images above their stretch of time."""
    axes.set_ylim(0, 1)
    axes.axis("off")
    for i, image in enumerate(images):
        box = axes.inset_axes(((i + 0.1) / len(images), 0.0, 0.8 / len(images), 1.0))
        pixels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
        low, high = float(pixels.min()), float(pixels.max())
        scaled = (pixels - low) / (high - low) if high > low else np.zeros_like(pixels)
        box.imshow(scaled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        box.axis("off")
