"""What an op costs in Python: the time of a tiny op, recorded on the tape, less that of the bare array call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import grilly
from grilly import nn
from grilly_core.tensor import Tensor

if TYPE_CHECKING:
    from grilly.bench.workloads import Bench

__all__ = ["overhead"]

_BATCH = 100


def _microseconds(
    call: Callable[[], Any], repeats: int, rounds: int, synchronize: Callable[[], None] = lambda: None
) -> list[float]:
    """Time per call of each round, sorted. What a device still has to do is waited for between batches, untimed."""
    figures = []
    for _ in range(rounds):
        spent = 0.0
        for _ in range(max(1, repeats // _BATCH)):
            start = time.perf_counter()
            for _ in range(_BATCH):
                call()
            spent += time.perf_counter() - start
            synchronize()
        figures.append(spent / (max(1, repeats // _BATCH) * _BATCH) * 1e6)
    return sorted(figures)


def overhead(bench: Bench) -> Iterator[dict[str, Any]]:
    """Host time per op with gradients recorded, on tensors of 64 elements; the NumPy call beside it."""
    repeats, rounds = (100, 3) if bench.quick else (5000, 9)
    plain = np.full(64, 0.5, np.float32)
    x = grilly.tensor(plain, requires_grad=True)
    y = grilly.tensor(plain)
    node = nn.LIFNode(step_mode="m")
    steps = grilly.tensor(np.full((4, 16), 0.75, np.float32), requires_grad=True)

    def lif() -> Tensor:
        node.reset()
        spikes: Tensor = node(steps)
        return spikes

    pairs: list[tuple[str, Callable[[], Any], Callable[[], Any] | None]] = [
        ("mul", lambda: x * y, lambda: plain * plain),
        ("mul_scalar", lambda: x * 0.5, lambda: plain * np.float32(0.5)),
        ("exp", lambda: x.exp(), lambda: np.exp(plain)),
        ("sum", lambda: x.sum(), lambda: plain.sum()),
        ("reshape", lambda: x.reshape(8, 8), lambda: plain.reshape(8, 8)),
        ("lif_node", lif, None),
    ]
    for name, ours, bare in pairs:
        times = _microseconds(ours, repeats, rounds, bench.backend.synchronize)
        base = _microseconds(bare, repeats, rounds)[0] if bare is not None else None
        median = times[len(times) // 2]
        yield {
            **dict(
                workload=f"overhead_{name}",
                library="grilly",
                backend=bench.backend.name,
                device=bench.backend.device,
            ),
            **dict(
                shapes=[64], check=None, ms_median=median / 1e3, ms_min=times[0] / 1e3, ms_max=times[-1] / 1e3
            ),
            **dict(
                runs=rounds,
                peak_bytes=None,
                us_numpy=base,
                us_over_numpy=None if base is None else median - base,
            ),
        }
