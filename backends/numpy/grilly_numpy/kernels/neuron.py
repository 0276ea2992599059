"""Spiking neurons, forward: blocks of neurons run through all time steps while their state stays in cache.

Every value is computed in the order the semantics fix, one rounding per operation, so spikes agree bit for
bit with every other backend.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from grilly_numpy.memory import empty
from grilly_numpy.threads import parallel_for

__all__ = [
    "KERNELS",
    "block_bounds",
    "hard_reset",
    "if_multi_step",
    "if_step",
    "leak",
    "lif_multi_step",
    "lif_step",
    "over_blocks",
    "plif_multi_step",
    "plif_step",
    "soft_reset",
]

_BLOCK_BYTES = 1 << 19  # a row of one block: less waits for the interpreter lock, more leaves the cache
_Charge = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], object]


def block_bounds(neurons: int, itemsize: int) -> list[tuple[int, int]]:
    """Even blocks ``(first, last)`` of neurons, the same for any number of threads.

    One block would leave threads idle, and blocks under half the usual size spend their time passing the
    interpreter lock around: layers of at least one usual block get two blocks or more.
    """
    usual = _BLOCK_BYTES // itemsize
    count = 1 if neurons < usual else max(2, -(-neurons // usual))
    width = -(-neurons // (count * 16)) * 16
    return [(a, min(a + width, neurons)) for a in range(0, neurons, max(width, 1))]


def over_blocks(neurons: int, dtype: np.dtype[Any], run: Callable[[slice], Any]) -> list[Any]:
    """``run`` on every block of neurons; its results in the order of the blocks."""
    blocks = block_bounds(neurons, dtype.itemsize)
    results: list[Any] = [None] * len(blocks)

    def one(block: int) -> None:
        results[block] = run(slice(*blocks[block]))

    parallel_for(len(blocks), one)
    return results


def _forward(
    x: np.ndarray, v: np.ndarray, charge: _Charge, v_threshold: float, v_reset: float | None, save_h: bool
) -> tuple[np.ndarray, ...]:
    steps, neurons, dtype = x.shape[0], v.size, x.dtype
    threshold = np.array(v_threshold, dtype)
    reset = soft_reset(threshold) if v_reset is None else hard_reset(v_reset, dtype)
    spikes, last = empty(x.shape, dtype), empty(v.shape, dtype)
    saved = empty(x.shape, dtype) if save_h else None
    x_all, v_all = x.reshape(steps, neurons), v.reshape(neurons)
    s_all, last_all = spikes.reshape(steps, neurons), last.reshape(neurons)
    h_all = None if saved is None else saved.reshape(steps, neurons)
    blocks = block_bounds(neurons, dtype.itemsize)

    def run(block: int) -> None:
        a, b = blocks[block]
        fired, tmp, state = np.empty(b - a, bool), empty((b - a,), dtype), last_all[a:b]
        np.copyto(state, v_all[a:b])
        h_rows: Iterable[np.ndarray] = itertools.repeat(empty((b - a,), dtype))
        if h_all is not None:
            h_rows = h_all[:, a:b]
        for x_t, s_t, h_t in zip(x_all[:, a:b], s_all[:, a:b], h_rows, strict=False):
            charge(x_t, state, h_t, tmp)
            np.greater_equal(h_t, threshold, out=fired)
            np.copyto(s_t, fired)
            reset(h_t, s_t, state, tmp)

    parallel_for(len(blocks), run)
    return (spikes, last) if saved is None else (spikes, last, saved)


def hard_reset(v_reset: float, dtype: np.dtype[Any]) -> _Charge:
    """``f(h, s, v, tmp)`` writes the potential after a reset to ``v_reset``."""
    one, value = np.array(1, dtype), np.array(v_reset, dtype)

    def to_zero(h: np.ndarray, s: np.ndarray, v: np.ndarray, tmp: np.ndarray) -> None:
        np.subtract(one, s, out=tmp)
        np.multiply(tmp, h, out=v)

    def to_value(h: np.ndarray, s: np.ndarray, v: np.ndarray, tmp: np.ndarray) -> None:
        to_zero(h, s, v, tmp)
        np.multiply(s, value, out=tmp)
        np.add(v, tmp, out=v)

    return to_value if value else to_zero


def soft_reset(threshold: np.ndarray) -> _Charge:
    """``f(h, s, v, tmp)`` writes the potential after a reset by the threshold."""

    def subtract(h: np.ndarray, s: np.ndarray, v: np.ndarray, tmp: np.ndarray) -> None:
        np.multiply(s, threshold, out=tmp)
        np.subtract(h, tmp, out=v)

    return subtract


def _integrate(x: np.ndarray, v: np.ndarray, h: np.ndarray, tmp: np.ndarray) -> None:
    np.add(v, x, out=h)


def leak(k: np.ndarray, v_reset: float | None, decay_input: bool) -> _Charge:
    """``f(x, v, h, tmp)`` writes the charged potential of a leaky neuron."""
    rest = np.array(v_reset or 0.0, k.dtype)

    def decayed(x: np.ndarray, v: np.ndarray, h: np.ndarray, tmp: np.ndarray) -> None:
        np.subtract(x, np.subtract(v, rest, out=tmp) if rest else v, out=h)
        np.multiply(h, k, out=h)
        np.add(v, h, out=h)

    def plain(x: np.ndarray, v: np.ndarray, h: np.ndarray, tmp: np.ndarray) -> None:
        np.multiply(np.subtract(v, rest, out=tmp) if rest else v, k, out=tmp)
        np.subtract(v, tmp, out=tmp)
        np.add(tmp, x, out=h)

    return decayed if decay_input else plain


def if_multi_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[np.ndarray, ...]:
    """Integrate and fire: ``x [T, ...], v [...] -> s [T, ...], v_last [...], h [T, ...] if save_h``."""
    return _forward(x, v, _integrate, v_threshold, v_reset, save_h)


def lif_multi_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[np.ndarray, ...]:
    """Leaky integrate and fire, ``k = 1 / tau``: shapes as :func:`if_multi_step`."""
    charge = leak(np.array(k, x.dtype), v_reset, decay_input)
    return _forward(x, v, charge, v_threshold, v_reset, save_h)


def plif_multi_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    k: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_h: bool,
) -> tuple[np.ndarray, ...]:
    """Leaky integrate and fire whose ``k`` is a 0-d array: shapes as :func:`if_multi_step`."""
    return _forward(x, v, leak(k, v_reset, decay_input), v_threshold, v_reset, save_h)


def _one_step(results: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    spikes, last = results
    return spikes[0, ...], last


def if_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, ...]:
    """One step of :func:`if_multi_step`: ``x, v [...] -> s [...], v_next [...]``."""
    return _one_step(_forward(x[None], v, _integrate, v_threshold, v_reset, False))


def lif_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, ...]:
    """One step of :func:`lif_multi_step`: ``x, v [...] -> s [...], v_next [...]``."""
    charge = leak(np.array(k, x.dtype), v_reset, decay_input)
    return _one_step(_forward(x[None], v, charge, v_threshold, v_reset, False))


def plif_step(
    device: Any,
    x: np.ndarray,
    v: np.ndarray,
    k: np.ndarray,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[np.ndarray, ...]:
    """One step of :func:`plif_multi_step`: ``x, v [...] -> s [...], v_next [...]``."""
    return _one_step(_forward(x[None], v, leak(k, v_reset, decay_input), v_threshold, v_reset, False))


KERNELS = {
    "if_multi_step": if_multi_step,
    "if_step": if_step,
    "lif_multi_step": lif_multi_step,
    "lif_step": lif_step,
    "plif_multi_step": plif_multi_step,
    "plif_step": plif_step,
}
