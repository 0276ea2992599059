"""Classifiers, spiking or of ReLUs, built from a description that a file can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from grilly import functional as F
from grilly import nn
from grilly.data import Dataset
from grilly.training.choices import ENCODERS, MODELS, NEURONS, RELU, SURROGATES, choose
from grilly.training.encoders import encode
from grilly.training.options import DEFAULT_STEPS, TrainOptions
from grilly_core.errors import ArgumentError, CheckpointError, ShapeError
from grilly_core.tensor import Tensor, ones, tensor, zeros

__all__ = ["Classifier", "NetworkDescription", "build", "describe"]

_CHANNELS, _HIDDEN = (32, 64), {"mlp": (256, 128), "csnn": (128,)}
_MOMENTUM = 0.2  # of batch norm: small data sets have few batches in which to learn the statistics
_SMALL = 8  # convolution blocks are added until height and width are no larger


@dataclass(frozen=True)
class NetworkDescription:
    """All that is needed to build a classifier again, in plain values.

    Attributes:
        model: ``mlp`` or ``csnn``.
        neuron: ``if``, ``lif`` or ``plif``; ``relu`` for a network without time.
        surrogate: class name of the surrogate gradient.
        steps: time steps T.
        encoder: ``direct``, ``poisson`` or ``latency``.
        classes: number of classes.
        input_shape: shape of one sample: ``(F,)`` or ``(C, H, W)``, with T in front when temporal.
        temporal: samples have a time axis of their own.
        channels: output channels of each convolution block.
        hidden: features of each hidden linear layer.
    """

    model: str
    neuron: str
    surrogate: str
    steps: int
    encoder: str
    classes: int
    input_shape: tuple[int, ...]
    temporal: bool
    channels: tuple[int, ...]
    hidden: tuple[int, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """The shape of a sample at one step."""
        return self.input_shape[1:] if self.temporal else self.input_shape

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Any, path: str) -> NetworkDescription:
        """A description from what ``to_json`` gave.

        Args:
            values: what a file holds.
            path: the file, for errors.

        Raises:
            CheckpointError: not the description of a network this version can build.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or sorted(values) != sorted(names):
            raise CheckpointError(
                f"{path} describes its network in a way this version does not know; use the grilly that wrote it"
            )
        try:
            lists = {name: tuple(values[name]) for name in ("input_shape", "channels", "hidden")}
            description = cls(**{**values, **lists})
            _check(description)
        except (ArgumentError, TypeError) as error:
            raise CheckpointError(f"{path} describes no network: {error}; use another file") from error
        return description


def _check(description: NetworkDescription) -> None:
    for value, known in (
        (description.model, MODELS),
        (description.neuron, (*NEURONS, RELU)),
        (description.surrogate, SURROGATES),
        (description.encoder, ENCODERS),
    ):
        if value not in known:
            raise ArgumentError(f"unknown name {value!r}")
    sizes = (
        *(description.steps, description.classes, *description.input_shape),
        *(*description.channels, *description.hidden),
    )
    if not all(isinstance(size, int) and size >= 1 for size in sizes) or not description.features:
        raise ArgumentError("sizes must be whole numbers of at least 1")


def describe(options: TrainOptions, data: Dataset) -> NetworkDescription:
    """The network that ``options`` ask for on this data set.

    Raises:
        ArgumentError: options that do not fit the data or each other.

    Example:
        >>> x, y = np.zeros((4, 6), "float32"), np.arange(4, dtype="int32")
        >>> describe(TrainOptions(), Dataset(x, y, x, y, 4, "toy")).model
        'mlp'
    """
    shape = data.sample_shape
    images = len(shape) - data.temporal == 3
    model = options.model or ("csnn" if images else "mlp")
    if model == "csnn" and not images:
        raise ArgumentError(
            f"model csnn needs images [N, C, H, W], but the samples of {data.name} have shape {shape}; use model mlp"
        )
    if model == "mlp" and options.batch_size < 2:
        raise ArgumentError(
            "batch_size 1 gives batch norm nothing to normalise over; use at least 2 with model mlp"
        )
    return NetworkDescription(
        model=model,
        neuron=RELU if options.ann else options.neuron,
        surrogate=choose(options.surrogate, SURROGATES, "surrogate"),
        steps=_steps(options, data),
        encoder=options.encoder,
        classes=data.classes,
        input_shape=shape,
        temporal=data.temporal,
        channels=_channels(shape[-2:]) if model == "csnn" else (),
        hidden=_HIDDEN[model],
    )


def _steps(options: TrainOptions, data: Dataset) -> int:
    if options.ann:
        if data.temporal:
            raise ArgumentError(
                f"ann trains a network without time, but the samples of {data.name} are sequences; leave ann out"
            )
        return 1
    if not data.temporal:
        return options.steps or DEFAULT_STEPS[options.encoder]
    steps = data.sample_shape[0]
    if options.encoder != "direct":
        raise ArgumentError(
            f"encoder {options.encoder} makes time steps, but {data.name} has {steps} of its own; use encoder direct"
        )
    if options.steps not in (None, steps):
        raise ArgumentError(
            f"steps is {options.steps}, but {data.name} has {steps} time steps; leave steps out"
        )
    return steps


def _channels(size: tuple[int, ...]) -> tuple[int, ...]:
    blocks = max(len(_CHANNELS), math.ceil(math.log2(max(size) / _SMALL)))
    return _CHANNELS + _CHANNELS[-1:] * (blocks - len(_CHANNELS))


class Classifier(nn.Module):
    """Input scaling, encoder, spiking layers (or ReLUs), and the mean over time of a linear readout.

    Args:
        description: what to build.

    Shapes: ``[N, ...]`` (temporal: ``[T, N, ...]``) -> logits ``[N, classes]``. Call ``F.reset_net`` before
    each batch.

    Attributes:
        description: what was built.
        layers: from input over time to logits over time, in step mode 'm'.
        offset, scale: the input becomes ``(x - offset) * scale``; one number, or one for each feature.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        self.description = description
        shape = description.features if len(description.features) == 1 else (1,)
        self.register_buffer("offset", zeros(shape))
        self.register_buffer("scale", ones(shape))
        self.layers = nn.Sequential(*_layers(description))
        F.set_step_mode(self.layers, "m")

    def fit_scaling(self, x: np.ndarray) -> None:
        """Scale inputs so that the training samples ``x`` lie in [0, 1], feature by feature where x is not images.

        Args:
            x: the training samples, batch first.
        """
        axes = tuple(range(x.ndim - 1)) if len(self.description.features) == 1 else None
        low, high = (np.asarray(f(x, axis=axes), np.float64).reshape(-1) for f in (np.min, np.max))
        spread = high - low
        low, spread = (np.broadcast_to(v, self.offset.shape) for v in (low, spread))
        self.set_buffer("offset", tensor(low, dtype="float32"))
        spread = np.where(spread > np.finfo(np.float32).tiny, spread, 1.0)  # a constant feature stays 0
        self.set_buffer("scale", tensor(1.0 / spread, dtype="float32"))

    def encode(self, x: Any) -> Tensor:
        """What the layers see: ``[T, N, ...]``.

        Raises:
            ShapeError: samples of another shape than the description says.
        """
        x = self._as_tensor(x)
        lead = 2 if self.description.temporal else 1
        if x.shape[lead:] != self.description.features:
            raise ShapeError(
                f"this network takes samples of shape {self.description.features}, got {x.shape[lead:]}"
            )
        scaled = (x - self.offset) * self.scale
        if self.description.temporal:
            return scaled
        return encode(scaled, self.description.encoder, self.description.steps)

    def forward(self, x: Any) -> Tensor:
        out: Tensor = self.layers(self.encode(x)).mean(0)
        return out

    @property
    def spiking(self) -> bool:
        """Whether its units are spiking neurons; else they are ReLUs."""
        return self.description.neuron != RELU

    def unit_layers(self) -> dict[str, nn.Module]:
        """The layers of neurons, or of ReLUs, by dotted name, from input to output."""
        kind = nn.BaseNode if self.spiking else nn.ReLU
        return {name: node for name, node in self.named_modules() if isinstance(node, kind)}

    def spiking_layers(self) -> dict[str, nn.BaseNode]:
        """The neurons by dotted name, from input to output."""
        return {name: node for name, node in self.named_modules() if isinstance(node, nn.BaseNode)}


def _layers(description: NetworkDescription) -> Iterator[nn.Module]:
    def units() -> nn.Module:
        if description.neuron == RELU:
            return nn.ReLU()
        surrogate = SURROGATES[description.surrogate]()
        return NEURONS[description.neuron](surrogate_function=surrogate, detach_reset=True)

    shape = description.features
    for channels in description.channels:
        depth, height, width = shape
        yield nn.Conv2d(depth, channels, 3, padding=1, bias=False)
        yield nn.BatchNorm2d(channels, momentum=_MOMENTUM)
        yield units()
        window = (min(height, 2), min(width, 2))
        yield nn.MaxPool2d(window, window)
        shape = (channels, height // window[0], width // window[1])
    yield nn.Flatten()
    features = math.prod(shape)
    for hidden in description.hidden:
        yield nn.Linear(features, hidden, bias=False)
        yield nn.BatchNorm1d(hidden, momentum=_MOMENTUM)
        yield units()
        features = hidden
    yield nn.Linear(features, description.classes)


def build(description: NetworkDescription) -> Classifier:
    """A new classifier on the active backend, its weights drawn from grilly's random sequence.

    Example:
        >>> build(NetworkDescription("mlp", "lif", "ATan", 4, "direct", 3, (5,), False, (), (8,)))(
        ...     np.zeros((2, 5))
        ... ).shape
        (2, 3)
    """
    return Classifier(description)
