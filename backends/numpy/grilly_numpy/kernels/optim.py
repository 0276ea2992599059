"""Optimiser updates: every parameter in chunks that stay in cache, several chunks at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = ["KERNELS", "adam_update", "sgd_update"]

_CHUNK = 1 << 17  # elements: smaller chunks pass the interpreter lock around, larger ones leave the cache

_Flat = list[np.ndarray]


class _Constants:
    """Attributes rounded once to a dtype, as 0-d arrays: those are the cheapest operands."""

    def __init__(self, **values: float) -> None:
        self._values = values
        self._made: dict[np.dtype[Any], tuple[np.ndarray, ...]] = {}

    def __call__(self, dtype: np.dtype[Any]) -> tuple[np.ndarray, ...]:
        if dtype not in self._made:
            with np.errstate(all="ignore"):
                self._made[dtype] = tuple(np.array(value, dtype) for value in self._values.values())
        return self._made[dtype]


def _targets(arrays: Sequence[np.ndarray], donate: bool) -> list[np.ndarray]:
    """Where the results go: the arrays themselves if donated and fit to be written flat, else new ones."""

    def in_place(a: np.ndarray) -> bool:
        return donate and a.flags.c_contiguous and a.flags.writeable

    return [a if in_place(a) else empty(a.shape, a.dtype) for a in arrays]


def _flat(arrays: Sequence[np.ndarray]) -> _Flat:
    return [a.reshape(-1) for a in arrays]


def _tasks(sizes: Sequence[int]) -> list[list[tuple[int, slice]]]:
    """Pieces ``(array, range)`` of at most a chunk each, gathered into tasks of about a chunk."""
    tasks: list[list[tuple[int, slice]]] = []
    room = 0
    for i, size in enumerate(sizes):
        for first in range(0, size, _CHUNK):
            last = min(first + _CHUNK, size)
            if room < last - first:
                tasks.append([])
                room = _CHUNK
            tasks[-1].append((i, slice(first, last)))
            room -= last - first
    return tasks


def _update(
    sources: Sequence[Sequence[np.ndarray]],
    targets: Sequence[Sequence[np.ndarray]],
    step: Callable[..., object],
) -> None:
    """Call ``step(tmp, tmp, *pieces of the sources, *pieces of the targets)`` for every piece."""
    columns = list(zip(*map(_flat, sources), *map(_flat, targets), strict=True))
    tasks = _tasks([arrays[0].size for arrays in columns])

    def run(task: int) -> None:
        scratch: dict[np.dtype[Any], np.ndarray] = {}
        for i, piece in tasks[task]:
            arrays = columns[i]
            dtype = arrays[0].dtype
            if dtype not in scratch:
                scratch[dtype] = empty((2, max(at.stop - at.start for _, at in tasks[task])), dtype)
            first, second = scratch[dtype][:, : piece.stop - piece.start]
            step(first, second, *[a[piece] for a in arrays])

    parallel_for(len(tasks), run)


def sgd_update(
    device: Any,
    params: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    momenta: Sequence[np.ndarray],
    /,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    donate: bool,
) -> tuple[np.ndarray, ...]:
    """Stochastic gradient descent: ``params, grads, momenta -> params' + momenta'`` (or no momenta)."""
    constants = _Constants(lr=lr, momentum=momentum, weight_decay=weight_decay)

    def gradient(tmp: np.ndarray, p: np.ndarray, g: np.ndarray, decay: np.ndarray) -> np.ndarray:
        if not weight_decay:
            return g
        np.multiply(p, decay, out=tmp)
        return np.add(g, tmp, out=tmp)

    def plain(tmp: np.ndarray, spare: np.ndarray, p: np.ndarray, g: np.ndarray, new_p: np.ndarray) -> None:
        rate, _, decay = constants(p.dtype)
        np.multiply(gradient(tmp, p, g, decay), rate, out=tmp)
        np.subtract(p, tmp, out=new_p)

    def heavy(
        tmp: np.ndarray,
        spare: np.ndarray,
        p: np.ndarray,
        g: np.ndarray,
        m: np.ndarray,
        new_p: np.ndarray,
        new_m: np.ndarray,
    ) -> None:
        rate, inertia, decay = constants(p.dtype)
        g = gradient(tmp, p, g, decay)
        np.multiply(m, inertia, out=new_m)
        np.add(new_m, g, out=new_m)
        if nesterov:
            np.multiply(new_m, inertia, out=spare)
            np.add(g, spare, out=tmp)
            np.multiply(tmp, rate, out=tmp)
        else:
            np.multiply(new_m, rate, out=tmp)
        np.subtract(p, tmp, out=new_p)

    new_params, new_momenta = _targets(params, donate), _targets(momenta, donate)
    if momenta:
        _update((params, grads, momenta), (new_params, new_momenta), heavy)
    else:
        _update((params, grads), (new_params,), plain)
    return (*new_params, *new_momenta)


def adam_update(
    device: Any,
    params: Sequence[np.ndarray],
    grads: Sequence[np.ndarray],
    exp_avgs: Sequence[np.ndarray],
    exp_avg_sqs: Sequence[np.ndarray],
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
) -> tuple[np.ndarray, ...]:
    """Adam, or AdamW if decoupled: ``params, grads, m, v -> params' + m' + v'``; ``step`` counts from 1."""
    constants = _Constants(
        beta1=beta1,
        rest1=1 - beta1,
        beta2=beta2,
        rest2=1 - beta2,
        root=math.sqrt(1 - beta2**step),
        eps=eps,
        rate=lr / (1 - beta1**step),
        decay=1 - lr * weight_decay if decoupled else weight_decay,
    )

    def chunk(
        tmp: np.ndarray,
        spare: np.ndarray,
        p: np.ndarray,
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        new_p: np.ndarray,
        new_m: np.ndarray,
        new_v: np.ndarray,
    ) -> None:
        b1, rest1, b2, rest2, root, epsilon, rate, decay = constants(p.dtype)
        if weight_decay and decoupled:
            p = np.multiply(p, decay, out=new_p)
        elif weight_decay:
            np.multiply(p, decay, out=spare)
            g = np.add(g, spare, out=spare)
        np.multiply(g, rest1, out=tmp)
        np.multiply(m, b1, out=new_m)
        np.add(new_m, tmp, out=new_m)
        np.square(g, out=tmp)
        np.multiply(tmp, rest2, out=tmp)
        np.multiply(v, b2, out=new_v)
        np.add(new_v, tmp, out=new_v)
        np.sqrt(new_v, out=tmp)
        np.divide(tmp, root, out=tmp)
        np.add(tmp, epsilon, out=tmp)
        np.divide(new_m, tmp, out=tmp)
        np.multiply(tmp, rate, out=tmp)
        np.subtract(p, tmp, out=new_p)

    states = (params, exp_avgs, exp_avg_sqs)
    targets = [_targets(arrays, donate) for arrays in states]
    _update((params, grads, exp_avgs, exp_avg_sqs), targets, chunk)
    return tuple(array for arrays in targets for array in arrays)


KERNELS = {"adam_update": adam_update, "sgd_update": sgd_update}
