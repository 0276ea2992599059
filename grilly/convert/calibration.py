"""Calibration data, and what a network's activations are on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from grilly.nn.module import Module
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, DataError
from grilly_core.tensor import Tensor, tensor

__all__ = ["Statistic", "as_batches", "measure", "to_input"]

_CHUNK = 256
"""Samples at once where the data come as one array."""


@dataclass(frozen=True)
class Statistic:
    """What of many activations counts as their maximum.

    Attributes:
        percentile: 0 to 100; 100 is the largest.
        factor: multiplied with it.

    Example:
        >>> Statistic.of_mode("robust_norm"), Statistic.of_mode(0.5).of(np.array([1.0, 8.0]))
        (Statistic(percentile=99.9, factor=1.0), 4.0)
    """

    percentile: float = 100.0
    factor: float = 1.0

    @classmethod
    def of_mode(cls, mode: Any) -> Statistic:
        """The statistic that a mode of the converter names.

        Raises:
            ArgumentError: no such mode.
        """
        if isinstance(mode, int | float) and not isinstance(mode, bool) and 0 < mode <= 1:
            return cls(factor=float(mode))
        named = {"max_norm": 100.0, "robust_norm": 99.9}
        if isinstance(mode, str) and mode in named:
            return cls(percentile=named[mode])
        if isinstance(mode, str) and mode.endswith("%"):
            try:
                percentile = float(mode[:-1])
            except ValueError:
                percentile = math.nan
            if 0 < percentile <= 100:
                return cls(percentile=percentile)
        raise ArgumentError(
            "Converter: mode must be 'max_norm', 'robust_norm', a percentile such as '99.5%' (above 0, at most 100), or a "
            f"number in (0, 1] to multiply the maximum with, got {mode!r}"
        )

    def of(self, values: np.ndarray) -> float:
        """The statistic of an array; not finite if one of its values is not."""
        if not np.isfinite(values).all():
            return float(values.max())
        return self.factor * float(np.percentile(values, self.percentile))


def as_batches(data: Any, owner: str) -> list[np.ndarray]:
    """Calibration data as batches on the host.

    Args:
        data: an array or Tensor ``[N, ...]``; a list of those; or a loader of batches. A batch that is a tuple, such
            as ``(x, y)``, counts with its first element.
        owner: whose argument it is, for errors.

    Raises:
        ArgumentError: something else.
        DataError: no samples, not numbers, NaN or infinity, or nothing but zeros.

    Example:
        >>> [batch.shape for batch in as_batches([np.ones((4, 3)), (np.ones((2, 3)), [0, 1])], "Converter")]
        [(4, 3), (2, 3)]
    """
    whole = _is_array(data) or (isinstance(data, list) and _is_numbers(data))
    if whole or isinstance(data, tuple):
        array = _array(data, owner)
        batches = [array[i : i + _CHUNK] for i in range(0, len(array), _CHUNK)]
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping | Module):
        batches = [array for array in (_array(batch, owner) for batch in data) if len(array)]
    else:
        raise ArgumentError(
            f"{owner}: calibration data must be an array or Tensor [N, ...], a list of those or a loader of batches, got "
            f"{type(data).__name__}"
        )
    if not any(batch.size for batch in batches):
        raise DataError(
            f"{owner}: the calibration data are empty; give some tens of samples of what the network will see (a loader "
            "that was used up must be made again)"
        )
    if not any(batch.any() for batch in batches):
        raise DataError(
            f"{owner}: the calibration data hold nothing but zeros, which say nothing about activations; give samples of "
            "what the network will see"
        )
    return batches


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def _is_numbers(value: Any) -> bool:
    """Whether nested lists hold numbers (or nothing), not arrays."""
    if isinstance(value, list):
        return not value or _is_numbers(value[0])
    return isinstance(value, Real)


def _array(batch: Any, owner: str) -> np.ndarray:
    x = batch[0] if isinstance(batch, tuple) and batch else batch
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{owner}: a batch of calibration data is no array: {error}") from error
    if array.dtype.kind not in "biuf" or array.ndim < 1:
        raise DataError(
            f"{owner}: calibration data must be numbers [N, ...], got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{owner}: the calibration data hold NaN or infinity; remove those samples")
    return array


def to_input(net: Module, batch: np.ndarray) -> Tensor:
    """A batch as ``net`` takes it: of its dtype and on its backend."""
    like = next(net.parameters(), None)
    if like is None:
        return tensor(batch, dtype=net.dtype)
    return tensor(batch, dtype=like.dtype, backend=like._backend)


class _Top:
    """The largest values of a stream, and how many there were in all.

    Args:
        keep: how many to keep.
    """

    def __init__(self, keep: int) -> None:
        self.keep, self.count = keep, 0
        self.values = np.empty(0)

    def add(self, values: np.ndarray) -> None:
        self.count += values.size
        merged = np.concatenate([self.values, values.reshape(-1)])
        if merged.size > self.keep:
            merged = np.partition(merged, merged.size - self.keep)[merged.size - self.keep :]
        self.values = merged

    def percentile(self, percentile: float) -> float:
        """As ``numpy.percentile`` of the whole stream, whose upper part must have been kept."""
        place = percentile / 100 * (self.count - 1)
        low, high = np.sort(self.values)[[0, min(1, self.values.size - 1)]].tolist()
        return float(low + (place - math.floor(place)) * (high - low))


def measure(
    net: Module, layers: Mapping[str, Module], batches: Sequence[np.ndarray], statistic: Statistic
) -> dict[str, float]:
    """The statistic of all outputs of some layers over all batches, zeros included.

    Args:
        net: run on every batch, once for maxima and twice for percentiles: the first run counts, so that the second
            need only keep the values above the percentile.
        layers: those to look at, by name.
        batches: inputs.
        statistic: what to find.

    Example:
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.ReLU())
        >>> measure(net, {"0": net[0]}, [np.array([[1.0, -2.0, 3.0]])], Statistic(50.0))
        {'0': 1.0}
    """
    tops = {name: _Top(1) for name in layers}
    for name, values in _outputs(net, layers, batches):
        tops[name].add(values)
    if statistic.percentile < 100 and all(np.isfinite(top.values).all() for top in tops.values()):
        share = statistic.percentile / 100
        tops = {name: _Top(top.count - math.floor(share * (top.count - 1))) for name, top in tops.items()}
        for name, values in _outputs(net, layers, batches):
            tops[name].add(values)
    return {name: statistic.factor * top.percentile(statistic.percentile) for name, top in tops.items()}


def _outputs(
    net: Module, layers: Mapping[str, Module], batches: Sequence[np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and outputs of each layer, batch by batch."""
    seen: list[tuple[str, np.ndarray]] = []

    def note(name: str) -> Any:
        return lambda module, args, output: seen.append((name, output.numpy()))

    handles = [module.register_forward_hook(note(name)) for name, module in layers.items()]
    try:
        for batch in batches:
            with no_grad():
                net(to_input(net, batch))
            yield from seen
            seen.clear()
    finally:
        for handle in handles:
            handle.remove()
