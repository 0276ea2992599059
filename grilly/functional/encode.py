"""Encoders: from values to spikes over time. No gradient passes through any of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import positive_number, whole_number
from grilly.functional.tensors import float_tensor
from grilly.random import next_stream
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.ops.random import uniform
from grilly_core.tensor import Tensor, tensor, zeros_like

__all__ = ["delta_encode", "latency_encode", "poisson_encode"]


@no_grad()
def poisson_encode(x: Any, *, T: int | None = None) -> Tensor:  # noqa: N803
    """Spikes at random: at each step with probability ``x``, independently (a Bernoulli draw per step).

    The draw comes from grilly's random sequence, whose generator counts: the same ``grilly.seed`` gives the same
    spikes on every backend.

    Args:
        x: probability of a spike per step, ``[N, ...]`` of float32 or float64; below 0 never fires, above 1 always.
        T: number of steps. None: one draw for each element of x, for an x that changes over time (``[T, N, ...]``)
            or a loop over single steps.

    Returns:
        0 and 1 in the dtype of x: ``[T, N, ...]``, or the shape of x without T.

    Raises:
        ArgumentError: T below 1.
        DTypeError: x is not of floats (bring images to [0, 1] first).

    Example:
        >>> import grilly
        >>> from grilly import functional as F
        >>> grilly.seed(0)
        >>> F.poisson_encode([[0.0, 0.5, 1.0]], T=4)[:, 0].tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    x = float_tensor(x, "poisson_encode")
    shape = x.shape if T is None else (whole_number(T, "poisson_encode: T", 1), *x.shape)
    drawn = uniform(shape, *next_stream(), x.spec.dtype, x._backend)
    return (drawn < x).astype(x.dtype)


@no_grad()
def latency_encode(x: Any, *, T: int, mode: str = "linear") -> Tensor:  # noqa: N803
    """One spike each, the earlier the larger the value (time to first spike).

    The step is ``(T - 1) (1 - x)`` in mode 'linear' and ``(T - 1) - ln(a x + 1)`` with ``a = e^(T - 1) - 1`` in mode
    'log', rounded to the nearest, halves to even. Steps count from 0; 1 fires at step 0 and 0 at the last one.

    Args:
        x: values in [0, 1], ``[N, ...]`` of float32 or float64; those outside are clipped.
        T: number of steps.
        mode: 'linear' or 'log' (the spikes of most values then lie in the first few steps).

    Returns:
        0 and 1 in the dtype of x, ``[T, N, ...]``. NaN never fires.

    Raises:
        ArgumentError: T below 1, or another mode.
        DTypeError: x is not of floats (bring images to [0, 1] first).

    Example:
        >>> from grilly import functional as F
        >>> F.latency_encode([1.0, 0.5, 0.0], T=3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x = float_tensor(x, "latency_encode")
    steps = whole_number(T, "latency_encode: T", 1)
    if mode not in ("linear", "log"):
        raise ArgumentError(f"latency_encode: mode must be 'linear' or 'log', got {mode!r}")
    column = (steps, *(1,) * x.ndim)
    if mode == "linear":
        due = ops.round((1.0 - ops.clip(x, low=0.0, high=1.0)) * (steps - 1.0))
        times = np.arange(steps).reshape(column)
        return (due == tensor(times, dtype=x.dtype, backend=x._backend)).astype(x.dtype)
    low = _smallest_log(steps, x.dtype).reshape(column)
    # No logarithm on the device: backends round it differently, comparisons they do not.
    after = x >= tensor(low, backend=x._backend)
    return after.astype(x.dtype) - ops.concat(
        [zeros_like(x).expand_dims(0), after[:-1].astype(x.dtype)], axis=0
    )


def _smallest_log(steps: int, dtype: np.dtype[Any]) -> np.ndarray:
    """For each step the smallest number of the dtype that fires at it or before, in mode 'log'.

    That is where ``(T - 1) - ln(a x + 1)`` is t + 1/2, written so that nothing overflows. No float but 0 and 1 lies
    there exactly, so halves need no rule.
    """
    t = np.arange(steps - 1)
    exact = np.exp(-(t + 0.5)) * np.expm1(t + 1.5 - steps) / np.expm1(1.0 - steps)
    rounded = exact.astype(dtype)
    up = np.where(rounded < exact, np.nextafter(rounded, dtype.type(np.inf)), rounded)
    # Subnormal numbers are zero on some devices, and zero fires last.
    return np.append(np.maximum(up, np.finfo(dtype).tiny), -np.inf).astype(dtype)


@no_grad()
def delta_encode(x: Any, *, threshold: float, padding: bool = False, off_spike: bool = False) -> Tensor:
    """A spike where a value has risen by ``threshold`` or more since the step before.

    Args:
        x: values over time, ``[T, ...]`` of float32 or float64.
        threshold: the smallest rise that fires, above 0.
        padding: the first step is compared with itself, so it never fires, instead of with 0.
        off_spike: give -1 where a value has fallen by ``threshold`` or more.

    Returns:
        0, 1 and, with ``off_spike``, -1 in the dtype and shape of x.

    Raises:
        ArgumentError: a threshold that is not above 0.
        DTypeError: x is not of floats.
        ShapeError: x has no steps.

    Example:
        >>> from grilly import functional as F
        >>> F.delta_encode([0.25, 1.0, 1.0, 0.0], threshold=0.5, off_spike=True).tolist()
        [0.0, 1.0, 0.0, -1.0]
    """
    x = float_tensor(x, "delta_encode")
    threshold = positive_number(threshold, "delta_encode: threshold")
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"delta_encode takes [T, ...] with T >= 1, got {x.shape}")
    first = x[:1] if padding else zeros_like(x[:1])
    change = x - ops.concat([first, x[:-1]], axis=0)
    on = (change >= threshold).astype(x.dtype)
    return on - (change <= -threshold).astype(x.dtype) if off_spike else on
