"""Optimiser updates: all parameters in one dispatch, found through a table of addresses.

Tables stay on the device while the arrays stay where they are; what changes from step to step goes by push constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grilly_vulkan.array import DeviceArray

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)
_CHUNK = 1024  # EACH * 256 of multi-tensor.glsl


def _chunks(sizes: tuple[int, ...]) -> np.ndarray:
    """For every workgroup: which array, its first element there, how many."""
    rows = []
    for tensor, size in enumerate(sizes):
        starts = np.arange(0, size, _CHUNK, dtype=np.uint32)
        row = np.empty((len(starts), 3), np.uint32)
        row[:, 0], row[:, 1], row[:, 2] = tensor, starts, np.minimum(_CHUNK, size - starts)
        rows.append(row)
    return np.concatenate(rows)


def _targets(device: Any, arrays: Sequence[DeviceArray], donate: bool) -> list[DeviceArray]:
    """Where the results go: the arrays themselves if donated, else new ones."""
    return list(arrays) if donate else [device.empty(a.shape, a.dtype) for a in arrays]


def _update(
    device: Any,
    shader: str,
    grads: Sequence[DeviceArray],
    states: Sequence[Sequence[DeviceArray]],
    donate: bool,
    numbers: Sequence[float],
    constants: tuple[Any, ...],
) -> tuple[DeviceArray, ...]:
    """Record the update of ``states`` (params first); their new arrays, one state after the other."""
    targets = [_targets(device, arrays, donate) for arrays in states]
    columns = [states[0], targets[0], grads]
    for old, new in zip(states[1:], targets[1:], strict=True):
        columns += [old, new]
    rows = [row for row in zip(*columns, strict=True) if row[0].size]
    if rows:
        sizes = tuple([row[0].size for row in rows])
        addresses = device.tables.addresses([array for row in rows for array in row])
        chunks = device.tables.get(("chunks", sizes), lambda: _chunks(sizes))
        count = sum([-(-size // _CHUNK) for size in sizes])
        with np.errstate(over="ignore"):
            rounded = [float(np.float32(number)) for number in numbers]
        device.tables.run(
            shader,
            count,
            (addresses, chunks),
            [array for arrays in (*states, grads) for array in arrays],
            [array for arrays in targets for array in arrays],
            (count, *rounded),
            constants,
        )
    return tuple([array for arrays in targets for array in arrays])


def sgd_update(
    device: Any,
    params: Sequence[DeviceArray],
    grads: Sequence[DeviceArray],
    momenta: Sequence[DeviceArray],
    /,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    donate: bool,
) -> tuple[DeviceArray, ...]:
    states = (params, momenta) if momentum else (params,)
    constants = (bool(momentum), bool(momentum and nesterov), bool(weight_decay))
    return _update(device, "sgd", grads, states, donate, (lr, momentum, weight_decay), constants)


def adam_update(
    device: Any,
    params: Sequence[DeviceArray],
    grads: Sequence[DeviceArray],
    exp_avgs: Sequence[DeviceArray],
    exp_avg_sqs: Sequence[DeviceArray],
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
) -> tuple[DeviceArray, ...]:
    size = lr / (1.0 - beta1**step)
    correction = 1.0 / (1.0 - beta2**step) ** 0.5
    decay = 1.0 - lr * weight_decay if decoupled else weight_decay
    kind = (2 if decoupled else 1) if weight_decay else 0
    numbers = (size, correction, eps, decay, beta1, 1.0 - beta1, beta2, 1.0 - beta2)
    return _update(device, "adam", grads, (params, exp_avgs, exp_avg_sqs), donate, numbers, (kind,))


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (sgd_update, adam_update)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
