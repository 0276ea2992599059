"""Optimiser updates of all parameters in one launch for each dtype."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, launch, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any
_CHUNK = 16 * BLOCK  # elements that a block updates
_TABLES = 64  # kept on a device: addresses are mostly those of the step before


class _Tables:
    """Tables on the devices; those used last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Array] = OrderedDict()

    def get(self, kind: str, key: tuple[int, ...], make: Callable[[tuple[int, ...]], np.ndarray]) -> Array:
        """The table ``make(key)`` on the current device."""
        place = (kind, cp.cuda.runtime.getDevice(), key)
        table = self._kept.pop(place, None)  # another thread may do the same: then both make one
        if table is None:
            table = cp.array(make(key))
        self._kept[place] = table
        while len(self._kept) > _TABLES:
            self._kept.popitem(last=False)
        return table


def _chunks(sizes: tuple[int, ...]) -> np.ndarray:
    """For each block the number of its array, its first element and the one after its last.

    Example:
        >>> _chunks((3, 0, 5000)).tolist()
        [[0, 0, 3], [2, 0, 4096], [2, 4096, 5000]]
    """
    blocks = [-(-size // _CHUNK) for size in sizes]
    which = np.repeat(np.arange(len(sizes), dtype=np.int64), blocks)
    starts = np.repeat(np.cumsum([0, *blocks[:-1]]), blocks)
    first = (np.arange(len(which), dtype=np.int64) - starts) * _CHUNK
    return np.stack([which, first, np.minimum(first + _CHUNK, np.array(sizes, np.int64)[which])], axis=1)


def _addresses(words: tuple[int, ...]) -> np.ndarray:
    return np.array(words, np.uint64).view(np.int64)


_tables = _Tables()


def _targets(arrays: Sequence[Array], donate: bool) -> list[Array]:
    """Where the results go: the arrays themselves if donated and in row-major order, else new ones."""
    return [a if donate and a.flags.c_contiguous else cp.empty(a.shape, a.dtype) for a in arrays]


def _update(
    function: str, columns: list[tuple[Array | None, ...]], values: tuple[float, ...], flags: tuple[bool, ...]
) -> None:
    """Launch for the columns of each dtype; a column is what the kernel reads and writes of one parameter."""
    for dtype in dict.fromkeys([arrays[0].dtype for arrays in columns if arrays[0] is not None]):
        same = [
            tuple([row_major(array) for array in arrays])
            for arrays in columns
            if arrays[0] is not None and arrays[0].dtype == dtype
        ]
        places = tuple([array.data.ptr if array is not None else 0 for arrays in same for array in arrays])
        table = _tables.get("chunks", tuple([arrays[0].size for arrays in same]), _chunks)
        at = _tables.get("addresses", places, _addresses)
        args = (table, at, *map(float, values), *map(bool, flags))
        launch(f"optim/{function}", dtype, (table.shape[0],), (BLOCK,), args)


def sgd_update(
    device: Any,
    params: Sequence[Array],
    grads: Sequence[Array],
    momenta: Sequence[Array],
    /,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    donate: bool,
) -> tuple[Array, ...]:
    new_params, new_momenta = _targets(params, donate), _targets(momenta, donate)
    none = (None,) * len(params)
    columns: list[tuple[Array | None, ...]] = list(
        zip(params, grads, momenta or none, new_params, new_momenta or none, strict=True)
    )
    flags = (bool(weight_decay), bool(momenta), nesterov)
    _update("sgd", columns, (lr, momentum, weight_decay), flags)
    return (*new_params, *new_momenta)


def adam_update(
    device: Any,
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    /,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
    donate: bool,
) -> tuple[Array, ...]:
    targets = [_targets(arrays, donate) for arrays in (params, exp_avgs, exp_avg_sqs)]
    columns: list[tuple[Array | None, ...]] = list(
        zip(params, grads, exp_avgs, exp_avg_sqs, *targets, strict=True)
    )
    root, rate = math.sqrt(1 - beta2**step), lr / (1 - beta1**step)
    decay = 1 - lr * weight_decay if decoupled else weight_decay
    values = (beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate, decay)
    _update("adam", columns, values, (bool(weight_decay), decoupled))
    return tuple([array for arrays in targets for array in arrays])


KERNELS: dict[str, Callable[..., Any]] = {"adam_update": adam_update, "sgd_update": sgd_update}
DECLINES: dict[str, Callable[..., str | None]] = {}
