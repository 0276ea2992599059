"""Which layers a converted network keeps, which it replaces, and which it cannot have."""

from __future__ import annotations

from typing import Any

from grilly.convert.layers import RateMaxPool1d, RateMaxPool2d
from grilly.nn.conv import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    MaxPool1d,
    MaxPool2d,
)
from grilly.nn.linear import Dropout, Flatten, Identity, LeakyReLU, Linear, ReLU, Softmax, Tanh
from grilly.nn.module import Module
from grilly.nn.norm import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm

__all__ = ["BATCH_NORMS", "PASSING", "REFUSED", "REPLACED", "WEIGHTED", "kind"]

WEIGHTED: tuple[type[Module], ...] = (Linear, Conv1d, Conv2d)
"""Layers with weights, which a batch norm can be fused into."""

BATCH_NORMS: tuple[type[Module], ...] = (BatchNorm1d, BatchNorm2d)

PASSING: tuple[type[Module], ...] = (
    *(AvgPool1d, AvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool2d, Flatten, Identity, Dropout),
    *(MaxPool1d, MaxPool2d),
)
"""Layers whose results lie between their smallest and largest input (or 0)."""

REPLACED: dict[type[Module], type[Module]] = {MaxPool1d: RateMaxPool1d, MaxPool2d: RateMaxPool2d}

_TRAIN_RELU = "train the network with nn.ReLU instead"
_TRAIN_NORM = "its scale changes with every sample; train the network with batch norm instead"
REFUSED: dict[type[Module], str] = {
    Softmax: "leave it out of the network: the largest output stays the largest",
    Tanh: _TRAIN_RELU,
    LeakyReLU: _TRAIN_RELU,
    LayerNorm: _TRAIN_NORM,
    RMSNorm: _TRAIN_NORM,
}
"""Layers without a spiking counterpart, and the cure."""


def kind(module: Module) -> type[Module] | None:
    """The known class that ``module`` computes the same as; None for others, also those with a ``forward`` of their own.

    Example:
        >>> from grilly import nn
        >>> kind(nn.Linear(2, 2)).__name__
        'Linear'
    """
    known: Any
    for known in (ReLU, *WEIGHTED, *BATCH_NORMS, *PASSING, *REFUSED):
        if isinstance(module, known) and type(module).forward is known.forward:
            found: type[Module] = known
            return found
    return None
