"""Names that users choose from, and what is said of one that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grilly._suggest import closest
from grilly.nn import BaseNode, IFNode, LIFNode, ParametricLIFNode
from grilly_core import surrogate
from grilly_core.errors import ArgumentError

__all__ = ["ENCODERS", "MODELS", "NEURONS", "RELU", "SURROGATES", "choose"]

MODELS = ("mlp", "csnn")
ENCODERS = ("direct", "poisson", "latency")
NEURONS: dict[str, type[BaseNode]] = {"if": IFNode, "lif": LIFNode, "plif": ParametricLIFNode}
RELU = "relu"
"""What a description says instead of a neuron where there are ReLUs and no time."""

SURROGATES: dict[str, type[surrogate.Surrogate]] = {
    name: getattr(surrogate, name) for name in surrogate.__all__ if name != "Surrogate"
}
"""Surrogate gradients by class name."""


def choose(value: Any, known: Iterable[str], what: str) -> str:
    """The name in ``known`` that ``value`` means, whatever its case, ``-`` and ``_``.

    Args:
        value: what the user wrote.
        known: the names there are.
        what: the option, for the error.

    Raises:
        ArgumentError: there is no such name; says what was probably meant and what there is.

    Example:
        >>> choose("fast-sigmoid", SURROGATES, "surrogate")
        'FastSigmoid'
    """
    names = {_plain(name): name for name in known}
    if isinstance(value, str) and _plain(value) in names:
        return names[_plain(value)]
    hint = closest(_plain(str(value)), names)
    meant = f"did you mean {names[hint]!r}? There" if hint else "there"
    raise ArgumentError(f"unknown {what} {value!r}; {meant} are {', '.join(names.values())}")


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
