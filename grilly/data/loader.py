"""Batches in an order that a seed and an epoch decide, so that a stopped run can go on exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from grilly.data.checks import FloatArray, IntArray, as_labels, as_samples, check_lengths, scale, whole_number
from grilly.data.datasets import Dataset
from grilly.data.order import permutation
from grilly_core.errors import ArgumentError, DataError

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over ``(x, y)`` batches of NumPy arrays.

    The order of an epoch depends on ``(seed, epoch)`` alone. ``for x, y in loader`` runs the next epoch each
    time; ``loader.epoch(epoch, start_batch)`` runs any epoch from any batch, which resumes an interrupted one
    exactly. Batches are new arrays, which the caller may change.

    Args:
        data: a ``Dataset`` (its training part), or a pair: x ``[N, ...]`` and integer labels y ``[N]``. x
            may be float32 or float64 (finite, kept), bool (0 and 1 in float32) or uint8 (pixels, scaled
            to [0, 1] in float32).
        batch_size: samples in a batch; the last one may be smaller.
        shuffle: a new order every epoch; False keeps the order of the data.
        seed: 0 to 2**64 - 1.
        drop_last: leave out a last batch that is not full.
        time_first: samples are stored ``[N, T, ...]`` and batches come as ``[T, batch, ...]``. None: what the
            ``Dataset`` says; False for a pair.
        classes: labels must be below; None: what the ``Dataset`` says; not checked for a pair.

    Attributes:
        next_epoch: the epoch that the next ``for`` loop runs. Set it to go on where a run stopped.

    Raises:
        DataError: empty, NaN or infinity in x, labels that are not integers from 0 to classes - 1, or another
            number of labels than samples.
        ArgumentError: an option out of range.

    Example:
        >>> x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.array([0, 1, 0, 1, 0])
        >>> loader = DataLoader((x, y), batch_size=2, seed=3)
        >>> len(loader), [batch.shape for batch, labels in loader]
        (3, [(2, 2), (2, 2), (1, 2)])
        >>> whole = [labels.tolist() for _, labels in loader.epoch(7)]
        >>> [labels.tolist() for _, labels in loader.epoch(7, start_batch=2)] == whole[2:]
        True
    """

    def __init__(
        self,
        data: Dataset | tuple[npt.ArrayLike, npt.ArrayLike],
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        time_first: bool | None = None,
        classes: int | None = None,
    ) -> None:
        self.batch_size = whole_number(batch_size, "batch_size", 1)
        self.shuffle = shuffle
        self.seed = whole_number(seed, "seed", 0, 2**64 - 1)
        self.drop_last = drop_last
        self.next_epoch = 0
        x, y, self.name = _unpack(data)
        if isinstance(data, Dataset):
            classes = data.classes if classes is None else classes
            time_first = data.temporal if time_first is None else time_first
        if classes is not None:
            classes = whole_number(classes, "classes", 1)
        self.time_first = bool(time_first)
        self._x = as_samples(x, f"x{self.name}")
        self._y = as_labels(y, f"y{self.name}", classes=classes)
        check_lengths(self._x, self._y, f"x{self.name}", f"y{self.name}")
        if self.time_first and self._x.ndim < 3:
            raise DataError(
                f"time_first needs x{self.name} as [N, T, ...], got shape {self._x.shape}; "
                "leave time_first out for data without time"
            )
        if not len(self):
            raise ArgumentError(
                f"drop_last with batch_size {self.batch_size} leaves no batch of {len(self._y)} samples; "
                f"use drop_last=False or batch_size <= {len(self._y)}"
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self._y), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[FloatArray, IntArray]]:
        """Run epoch ``next_epoch`` and count it, even if the loop is left early."""
        epoch = self.next_epoch
        self.next_epoch += 1
        return self.epoch(epoch)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[tuple[FloatArray, IntArray]]:
        """The batches of one epoch, from ``start_batch`` on; ``next_epoch`` stays.

        Args:
            epoch: counted from 0.
            start_batch: batches to leave out; ``len(loader)`` leaves none over.

        Returns:
            An iterator of ``(x, y)``: x ``[batch, ...]``, or ``[T, batch, ...]`` with time_first,
            C-contiguous; y int32 ``[batch]``.

        Raises:
            ArgumentError: a negative epoch, or a batch outside the epoch.
        """
        epoch = whole_number(epoch, "epoch", 0, 2**64 - 1)
        start_batch = whole_number(start_batch, "start_batch", 0, len(self))
        return self._batches(epoch, start_batch)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Indices of the samples, in the order in which ``epoch`` takes them."""
        epoch = whole_number(epoch, "epoch", 0, 2**64 - 1)
        return permutation(len(self._y), self.seed, epoch) if self.shuffle else np.arange(len(self._y))

    @property
    def samples(self) -> int:
        """Samples that an epoch takes."""
        return min(len(self._y), len(self) * self.batch_size)

    def _batches(self, epoch: int, start_batch: int) -> Iterator[tuple[FloatArray, IntArray]]:
        order = self.order(epoch)
        for batch in range(start_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            x = scale(self._x[chosen])
            yield np.ascontiguousarray(x.swapaxes(0, 1)) if self.time_first else x, self._y[chosen]

    def __repr__(self) -> str:
        layout = "[T, batch, ...]" if self.time_first else "[batch, ...]"
        return (
            f"DataLoader({self.samples} samples{self.name}, {len(self)} batches of {self.batch_size} as "
            f"{layout}, shuffle={self.shuffle}, seed={self.seed})"
        )


def _unpack(data: Any) -> tuple[Any, Any, str]:
    """x, y and how to call their source in an error."""
    if isinstance(data, Dataset):
        return data.x_train, data.y_train, f" of {data.name}"
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1], ""
    raise ArgumentError(f"a DataLoader takes a Dataset or a pair (x, y), got {type(data).__name__}")
