"""From values to input over time: what a network sees at each step."""

from __future__ import annotations

import numpy as np

from grilly.random import next_stream
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.ops.random import uniform
from grilly_core.tensor import Tensor, tensor

__all__ = ["encode"]


def encode(x: Tensor, encoder: str, steps: int) -> Tensor:
    """Input over time for one batch.

    Args:
        x: values ``[N, ...]``; for ``poisson`` and ``latency`` in [0, 1], values outside are clipped.
        encoder: ``direct``: the values themselves at every step; ``poisson``: spikes, at each step with
            probability x, drawn from grilly's random sequence; ``latency``: one spike, the earlier the
            larger x, at step ``round((T - 1) (1 - x))`` with halves rounded to even.
        steps: their number T.

    Returns:
        ``[T, N, ...]``.

    Raises:
        ArgumentError: an unknown encoder or no steps.
        ShapeError: x without a batch axis.

    Example:
        >>> import grilly
        >>> encode(grilly.tensor([[1.0, 0.5, 0.0]]), "latency", 3).tolist()
        [[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    if steps < 1:
        raise ArgumentError(f"steps must be at least 1, got {steps}")
    if x.ndim < 1:
        raise ShapeError("encode takes [N, ...], got a single number")
    shape = (steps, *x.shape)
    if encoder == "direct":
        return x.expand_dims(0).broadcast_to(shape)
    if encoder == "poisson":
        drawn = uniform(shape, *next_stream(), x.spec.dtype, x._backend)
        return (drawn < x).astype(x.dtype)
    if encoder == "latency":
        return _latency(x, steps)
    raise ArgumentError(f"unknown encoder {encoder!r}; there are direct, poisson and latency")


def _latency(x: Tensor, steps: int) -> Tensor:
    times = np.arange(steps).reshape(-1, *(1,) * x.ndim)
    # Halfway between two steps the even one fires: distance 0.5 counts for even steps only.
    reach = np.where(times % 2 == 0, 0.5, np.nextafter(np.float32(0.5), np.float32(0)))
    due = (1.0 - ops.clip(x, low=0.0, high=1.0)) * (steps - 1)
    distance = (due - tensor(times, dtype=x.dtype, backend=x._backend)).abs()
    return (distance <= tensor(reach, dtype=x.dtype, backend=x._backend)).astype(x.dtype)
