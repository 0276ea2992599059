"""Classifiers of ReLUs made spiking, and how right they are after so many steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grilly import functional as F
from grilly import nn
from grilly.convert.layers import spiking_relus
from grilly.convert.structure import rebuild
from grilly.data.checks import FloatArray, IntArray
from grilly.training.choices import RELU
from grilly.training.evaluation import EVALUATION_BATCH, inference
from grilly.training.network import Classifier
from grilly_core.errors import ArgumentError

__all__ = ["accuracy_over_time", "conversion_of", "convert_classifier", "restore_conversion"]

_NEURON = "if"


def convert_classifier(
    network: Classifier, x: FloatArray | None, mode: str | float = "max_norm", steps: int = 64
) -> Classifier:
    """A spiking classifier from one of ReLUs, which is left as it is.

    Args:
        network: trained with ``ann=True``.
        x: calibration samples ``[N, ...]``, as the network takes them; None: lambda from the weights alone.
        mode: of ``nn.Converter``.
        steps: T that each sample is shown for.

    Returns:
        A classifier of IF neurons; its ``layers.report()`` says what became what.

    Raises:
        ArgumentError: it spikes already.
        DataError: samples that calibrate nothing.

    Example:
        >>> from grilly.training import NetworkDescription, build
        >>> ann = build(NetworkDescription("mlp", "relu", "ATan", 1, "direct", 2, (3,), False, (), (4,)))
        >>> snn = convert_classifier(ann, np.ones((5, 3), "float32"), steps=8)
        >>> snn.description.neuron, snn(np.ones((2, 3))).shape
        ('if', (2, 2))
    """
    if network.spiking:
        raise ArgumentError(
            f"this is a network of {network.description.neuron} neurons, which spikes already; train one of ReLUs with: "
            "grilly train --ann"
        )
    batches = None
    if x is not None:
        parts = range(0, len(x), EVALUATION_BATCH)
        with inference(network):
            batches = [network.encode(x[start : start + EVALUATION_BATCH])[0] for start in parts]
    return _with_layers(network, nn.Converter(mode)(network.layers, batches), steps)


def _with_layers(network: Classifier, layers: Any, steps: int) -> Classifier:
    """A classifier like ``network``, with spiking layers over ``steps``."""
    snn = Classifier(replace(network.description, neuron=_NEURON, steps=steps))
    for name in ("offset", "scale"):
        snn.set_buffer(name, getattr(network, name))
    F.set_step_mode(layers, "m")
    snn.layers = layers
    return snn.eval()  # type: ignore[return-value]


def conversion_of(network: Classifier) -> dict[str, str]:
    """Metadata for the file of a converted network: what its layers cannot say of themselves; else nothing."""
    found = {
        name: [relu[0].factor, relu[1].v_threshold, relu[2].factor]
        for name, relu in spiking_relus(network.layers).items()
    }
    return {"conversion": json.dumps(found)} if found else {}


def restore_conversion(network: Classifier, conversion: Any) -> Classifier:
    """A classifier with the layers of a converted one, its weights still to be filled in.

    Args:
        network: of the description in the file.
        conversion: what ``conversion_of`` noted, decoded.

    Raises:
        ArgumentError: it does not fit the network.
    """
    ann = Classifier(replace(network.description, neuron=RELU, steps=1))
    if not isinstance(conversion, Mapping) or not all(map(_is_triple, conversion.values())):
        raise ArgumentError("the notes of its conversion are not factor, threshold and gain of each ReLU")
    layers = rebuild(ann.layers, dict.fromkeys(conversion, 1.0))
    for name, relu in spiking_relus(layers).items():
        relu[0].factor, relu[1].v_threshold, relu[2].factor = conversion[name]
    return _with_layers(network, layers, network.description.steps)


def _is_triple(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(number, float) and 0 < number < np.inf for number in value)
    )


def accuracy_over_time(
    network: Classifier,
    x: FloatArray,
    y: IntArray,
    steps: Sequence[int],
    *,
    batch_size: int = EVALUATION_BATCH,
) -> dict[int, float]:
    """The share of samples that are right when a converted network has run for 1, 2, ... steps.

    Args:
        network: a converted one. It runs step by step, so memory does not grow with T.
        x: samples ``[N, ...]``, float32.
        y: labels ``[N]``, int32.
        steps: numbers of steps, ascending.
        batch_size: samples at once.
    """
    right = dict.fromkeys(steps, 0)
    F.set_step_mode(network.layers, "s")
    try:
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            with inference(network):
                F.reset_net(network)
                seen = network.encode(x[part])[0]
                total: Any = 0.0
                for t in range(1, steps[-1] + 1):
                    total = network.layers(seen) + total
                    if t in right:
                        right[t] += int((total.argmax(1).numpy() == y[part]).sum())
    finally:
        F.set_step_mode(network.layers, "m")
    return {t: count / len(y) for t, count in right.items()}
