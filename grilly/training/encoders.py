"""The encoders that the command line offers, by name."""

from __future__ import annotations

from grilly import functional as F
from grilly._checks import whole_number
from grilly.training.choices import ENCODERS
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor

__all__ = ["encode"]


def encode(x: Tensor, encoder: str, steps: int) -> Tensor:
    """Input over time for one batch.

    Args:
        x: values ``[N, ...]``; for ``poisson`` and ``latency`` in [0, 1], values outside are clipped.
        encoder: ``direct``: the values themselves at every step; ``poisson``: ``F.poisson_encode``; ``latency``:
            ``F.latency_encode``.
        steps: their number T.

    Returns:
        ``[T, N, ...]``.

    Raises:
        ArgumentError: an unknown encoder or no steps.
        ShapeError: x without a batch axis.

    Example:
        >>> import grilly
        >>> encode(grilly.tensor([[1.0, 0.5]]), "direct", 2).tolist()
        [[[1.0, 0.5]], [[1.0, 0.5]]]
    """
    whole_number(steps, "steps", 1)
    if x.ndim < 1:
        raise ShapeError("encode takes [N, ...], got a single number")
    if encoder == "direct":
        return x.expand_dims(0).broadcast_to((steps, *x.shape))
    if encoder == "poisson":
        return F.poisson_encode(x, T=steps)
    if encoder == "latency":
        return F.latency_encode(x, T=steps)
    raise ArgumentError(f"unknown encoder {encoder!r}; there are {', '.join(ENCODERS)}")
