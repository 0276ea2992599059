"""Firing rates, loss and accuracy of a running network, added up on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from grilly.nn import Module
from grilly.training.network import Classifier
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import CheckpointError
from grilly_core.tensor import Tensor, tensor, zeros

__all__ = ["Figures", "FiringMonitor", "Totals"]

_LARGEST = float(np.finfo(np.float32).max)


class FiringMonitor:
    """Notes the mean firing rate of every spiking layer in each forward pass, while it is open.

    Of a layer of ReLUs it notes the share of outputs above 0.

    Args:
        network: whose layers are watched.

    Attributes:
        layers: their dotted names, from input to output.

    Example:
        >>> from grilly.training import NetworkDescription, build
        >>> network = build(NetworkDescription("mlp", "lif", "ATan", 2, "direct", 2, (3,), False, (), (4,)))
        >>> with FiringMonitor(network) as monitor:
        ...     _ = network(np.ones((5, 3)))
        >>> len(monitor.rates), monitor.layers
        (1, ('layers.3',))
    """

    def __init__(self, network: Classifier) -> None:
        nodes = network.unit_layers()
        self.layers = tuple(nodes)
        self.rates: list[Tensor] = []
        self._nodes = list(nodes.values())
        self._spiking = network.spiking
        self._handles: list[Any] = []

    def __enter__(self) -> FiringMonitor:
        self._handles = [node.register_forward_hook(self._note) for node in self._nodes]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, node: Module, args: tuple[Any, ...], spikes: Tensor) -> None:
        if len(self.rates) == len(self._nodes):
            self.rates = []
        with no_grad():
            active = spikes if self._spiking else (spikes > 0).astype(spikes.dtype)
            self.rates.append(active.detach().mean())


@dataclass(frozen=True)
class Figures:
    """What a pass over samples gave.

    Attributes:
        loss: mean cross entropy in nats.
        accuracy: share of samples that were right.
        rates: mean firing rate (spikes per neuron and step) of each spiking layer.
    """

    loss: float
    accuracy: float
    rates: dict[str, float]

    @property
    def rate(self) -> float:
        """The mean of the layers' firing rates."""
        return sum(self.rates.values()) / len(self.rates)


class Totals:
    """Sums of loss, right answers and firing rates over batches; nothing is read from the device until asked for.

    Args:
        layers: names of the spiking layers, in the order of the rates.

    Attributes:
        samples: how many were added.
        batches: how many were added.
    """

    def __init__(self, layers: tuple[str, ...]) -> None:
        self.layers = layers
        self.samples = self.batches = 0
        self._sums = zeros(3 + len(layers))
        self._sound: Any = 1.0

    @no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, rates: list[Tensor]) -> None:
        """Add a batch.

        Args:
            loss: its mean loss, 0-d.
            logits: ``[N, classes]``.
            labels: int32 ``[N]``.
            rates: firing rate of each layer, 0-d.
        """
        count = float(len(labels))
        loss = loss.detach()
        right = (logits.detach().argmax(1) == labels).astype(loss.dtype).sum()
        # Batches before the first loss that is not finite: so a late look still finds which one it was.
        self._sound = (loss.abs() <= _LARGEST).astype(loss.dtype) * self._sound
        self._sums = self._sums + ops.stack(
            [loss * count, right, self._sound, *(rate * count for rate in rates)]
        )
        self.samples += len(labels)
        self.batches += 1

    def first_bad_batch(self) -> int | None:
        """Number, from 0, of the first batch whose loss was NaN or infinite; None if there was none."""
        total, _, sound = self._sums.numpy()[:3].tolist()
        if sound < self.batches:
            return int(sound)
        return None if math.isfinite(total) else self.batches - 1

    def figures(self) -> Figures:
        """The means so far; at least one batch must have been added."""
        loss, right, _, *rates = (self._sums.numpy().astype(np.float64) / self.samples).tolist()
        return Figures(loss, right, dict(zip(self.layers, rates, strict=True)))

    def state(self) -> tuple[np.ndarray, int, int]:
        """Sums, samples and batches, for a checkpoint."""
        return self._sums.numpy(), self.samples, self.batches

    def load(self, sums: np.ndarray, samples: int, batches: int) -> None:
        """Go on from what ``state`` gave."""
        if np.shape(sums) != self._sums.shape:
            raise CheckpointError(f"sums of shape {np.shape(sums)} are not of {len(self.layers)} layers")
        self._sums = tensor(sums, dtype="float32")
        self.samples, self.batches = samples, batches
