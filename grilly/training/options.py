"""What a training run is asked to do."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from grilly._checks import whole_number
from grilly.training.choices import ENCODERS, MODELS, NEURONS, SURROGATES, choose
from grilly_core.errors import ArgumentError

__all__ = ["DEFAULT_STEPS", "TrainOptions"]

DEFAULT_STEPS = {"direct": 4, "poisson": 16, "latency": 8}
"""Time steps where the user names none: spikes carry less per step than values."""


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``grilly train`` that decide what is learnt, checked.

    Attributes:
        data: ``digits``, an ``.npz`` file or a folder of IDX files.
        backend: ``name`` or ``name:device``; None: ``GRILLY_BACKEND`` or automatic.
        model: ``mlp`` or ``csnn`` (convolutional); None: csnn for images, else mlp.
        neuron: ``if``, ``lif`` or ``plif``.
        surrogate: class name of a surrogate gradient, in any case.
        steps: time steps T; None: 4, 16 or 8 for the encoders in the order below, or what temporal data have.
        encoder: ``direct``, ``poisson`` or ``latency``.
        epochs: passes over the training set.
        batch_size: samples in a batch.
        lr: learning rate of Adam at the start; it falls along half a cosine.
        ann: a network of ReLUs of the same shape, without time: to compare with, or to convert.
        seed: decides initial weights, order, encoder spikes, and which samples are set aside for the test.

    Raises:
        ArgumentError: a value no run can use.

    Example:
        >>> TrainOptions(surrogate="atan", epochs=3).surrogate
        'ATan'
    """

    data: str = "digits"
    backend: str | None = None
    model: str | None = None
    neuron: str = "lif"
    surrogate: str = "ATan"
    steps: int | None = None
    encoder: str = "direct"
    epochs: int = 12
    batch_size: int = 64
    lr: float = 2e-3
    seed: int = 0
    ann: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "data": os.fspath(self.data),
            "model": None if self.model is None else choose(self.model, MODELS, "model"),
            "neuron": choose(self.neuron, NEURONS, "neuron"),
            "surrogate": choose(self.surrogate, SURROGATES, "surrogate"),
            "encoder": choose(self.encoder, ENCODERS, "encoder"),
            "steps": None if self.steps is None else whole_number(self.steps, "steps", 1),
            "epochs": whole_number(self.epochs, "epochs", 1),
            "batch_size": whole_number(self.batch_size, "batch_size", 1),
            "lr": _rate(self.lr),
            "seed": whole_number(self.seed, "seed", 0, 2**64 - 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.ann:
            self._check_ann()

    def _check_ann(self) -> None:
        """Refuse what means nothing to a network without time and spikes."""
        usual = {field.name: field.default for field in fields(self)}
        spiking = [
            name for name in ("neuron", "surrogate", "steps", "encoder") if getattr(self, name) != usual[name]
        ]
        if spiking:
            raise ArgumentError(
                f"ann trains a network of ReLUs, which has no {', '.join(spiking)}; leave that out, or leave ann out"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values by name; a data file or folder by its full path, so that a run resumes from anywhere."""
        return {**asdict(self), "data": _source(self.data)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainOptions:
        """Options from what ``to_json`` gave."""
        return cls(**values)

    def contradictions(self, given: Mapping[str, Any]) -> list[str]:
        """How options given for a resumed run differ from these, which it was started with.

        Args:
            given: options by name. ``backend`` may differ: a checkpoint fits every backend.

        Example:
            >>> TrainOptions(epochs=3).contradictions({"epochs": 4, "lr": 2e-3})
            ['epochs is 3, not 4']
        """
        asked = TrainOptions(**given).to_json()
        own = self.to_json()
        return [
            f"{field.name} is {'not set' if own[field.name] is None else own[field.name]}, not {asked[field.name]}"
            for field in fields(self)
            if field.name in given and field.name != "backend" and asked[field.name] != own[field.name]
        ]


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentError(f"lr must be a number above 0 (0.001 to 0.01 is usual), got {value!r}")
    return float(value)


def _source(data: str) -> str:
    return data if data == "digits" else os.path.realpath(os.path.expanduser(data))
