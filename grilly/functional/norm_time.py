"""Normalisation over time: a batch norm for every step, and NeuNorm with its state as an argument."""

from __future__ import annotations

import math
from typing import Any

from grilly.functional.tensors import float_tensor
from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.tensor import Tensor, scalar, tensor

__all__ = ["bn_through_time", "neunorm_multi_step", "neunorm_step"]


def bn_through_time(x: Any, weight: Any = None, eps: float = 1e-5) -> Tensor:
    """Each channel of each step brought to mean 0 and variance 1 by the step's own statistics, then scaled.

    Args:
        x: ``[T, N, C, ...]``.
        weight: ``[T, C]``, or None for 1.
        eps: added to the variance.

    Raises:
        ShapeError: fewer than three axes, fewer than two values per channel and step, or a weight that does not fit.

    Example:
        >>> from grilly import functional as F
        >>> F.bn_through_time([[[1.0], [3.0]], [[5.0], [9.0]]]).numpy().round(3).tolist()
        [[[-1.0], [1.0]], [[-1.0], [1.0]]]
    """
    x = float_tensor(x, "bn_through_time")
    if x.ndim < 3 or x.size < 2 * x.shape[0] * x.shape[2]:
        raise ShapeError(
            f"bn_through_time takes [T, N, C, ...] with two values or more per channel and step, got {x.shape}"
        )
    rows = x.reshape(*x.shape[:3], math.prod(x.shape[3:]))
    out: Tensor = ops.bn_through_time(rows, weight, eps=eps)[0]
    return out.reshape(x.shape)


def _like(value: Any, x: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else tensor(value, dtype=x.dtype, backend=x._backend)


def neunorm_multi_step(s: Any, x: Any, w: Any, *, k: float = 0.9) -> tuple[Tensor, Tensor]:
    """All steps of :func:`neunorm_step`.

    Args:
        s: spikes ``[T, N, C, H, W]``, T at least 1.
        x: state before the first step ``[N, 1, H, W]``; None for zeros.
        w: ``[C, H, W]`` or ``[1, H, W]``.
        k: what a step leaves of the state.

    Returns:
        The normalised spikes ``[T, N, C, H, W]`` and the last state ``[N, 1, H, W]``.
    """
    s = float_tensor(s, "neunorm_multi_step")
    if s.ndim != 5:
        raise ShapeError(f"neunorm_multi_step takes [T, N, C, H, W], got {s.shape}")
    steps, n, channels, height, width = s.shape
    state, area = (n, 1, height, width), height * width
    x = ops.broadcast_to(scalar(0.0, s.spec.dtype, s._backend), shape=state) if x is None else _like(x, s)
    w = _like(w, s)
    if x.shape != state:
        raise ShapeError(f"neunorm_multi_step: the state x has shape {x.shape}, the input needs {state}")
    if w.ndim != 3 or w.shape[1:] != (height, width):
        raise ShapeError(f"neunorm_multi_step: w must be [C, H, W] or [1, H, W], got {w.shape} for {s.shape}")
    y, states = ops.neunorm_multi_step(
        s.reshape(steps, n, channels, area), x.reshape(n, 1, area), w.reshape(w.shape[0], area), k=k
    )
    return y.reshape(s.shape), states[steps - 1].reshape(state)


def neunorm_step(s: Any, x: Any, w: Any, *, k: float = 0.9) -> tuple[Tensor, Tensor]:
    """Spikes less a learnt multiple of how active their place has been over all channels (Wu et al. 2019).

    ``x <- k x + (1 - k) / C^2 sum_c s_c``, and the result is ``s - w x`` (arXiv 1809.05793).

    Args:
        s: spikes of this step ``[N, C, H, W]``.
        x: state ``[N, 1, H, W]``; None for zeros.
        w: ``[C, H, W]`` or ``[1, H, W]``.
        k: what a step leaves of the state.

    Returns:
        The normalised spikes, shaped like s, and the new state.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> y, x = F.neunorm_step(np.ones((1, 2, 1, 1)), None, np.ones((1, 1, 1)), k=0.5)
        >>> x.item(), y.reshape(2).tolist()
        (0.25, [0.75, 0.75])
    """
    s = float_tensor(s, "neunorm_step")
    if s.ndim != 4:
        raise ShapeError(f"neunorm_step takes [N, C, H, W], got {s.shape}")
    y, x = neunorm_multi_step(s.expand_dims(0), x, w, k=k)
    return y.squeeze(0), x
