"""Synapses as functions over all steps, with their state as arguments and results."""

from __future__ import annotations

import math
from typing import Any

from grilly._checks import finite_number, positive_number, whole_number
from grilly.functional.tensors import float_tensor
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.ops.synapse import delay_line
from grilly_core.tensor import Tensor, scalar, tensor

__all__ = ["dual_timescale", "stp_synapse", "synapse_filter"]


def _steps(x: Any, owner: str) -> Tensor:
    x = float_tensor(x, owner)
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"{owner} takes [T, ...] with T >= 1, got {x.shape}")
    return x


def _state(value: Any, x: Tensor, start: float, shape: tuple[int, ...] | None = None) -> Tensor:
    """A state as a tensor; None is ``start`` everywhere, a number that number."""
    value = start if value is None else value
    if isinstance(value, int | float):
        number = scalar(float(value), x.spec.dtype, x._backend)
        out: Tensor = ops.broadcast_to(number, shape=x.shape[1:] if shape is None else shape)
        return out
    return value if isinstance(value, Tensor) else tensor(value, dtype=x.dtype, backend=x._backend)


def _decay(tau: float, x: Tensor, name: str) -> Tensor:
    return scalar(math.exp(-1.0 / positive_number(tau, f"{name} (time steps)")), x.spec.dtype, x._backend)


def _weight(w: Any, x: Tensor, name: str) -> Tensor:
    return w if isinstance(w, Tensor) else scalar(finite_number(w, name), x.spec.dtype, x._backend)


def synapse_filter(
    x: Any, y: Any = None, line: Any = None, *, tau_syn: float = 5.0, delay: int = 0
) -> tuple[Tensor, ...]:
    """A trace over all steps: ``y[t] = e^(-1/tau_syn) y[t-1] + x[t - delay]``.

    Args:
        x: input, ``[T, ...]``.
        y: the trace before the first step, ``[...]`` or a number; None: 0.
        line: the inputs of the ``delay`` steps before x, ``[delay, ...]`` or a number; None: 0.
        tau_syn: time constant in steps, above 0.
        delay: steps from an input to its effect.

    Returns:
        The trace after each step ``[T, ...]``, after the last ``[...]``, and with a delay the next ``line``.

    Raises:
        ArgumentError, ShapeError, DTypeError: settings, shapes or dtypes that do not fit.

    Example:
        >>> from grilly import functional as F
        >>> traces, y = F.synapse_filter([[1.0], [0.0], [1.0]], tau_syn=1.0)
        >>> [round(value, 3) for value in traces.reshape(3).tolist()]
        [1.0, 0.368, 1.135]
    """
    x = _steps(x, "synapse_filter")
    delay = whole_number(delay, "synapse_filter: delay (time steps)", 0)
    if line is not None and not delay:
        raise ArgumentError("synapse_filter: a line is given but delay is 0; give the delay that made it")
    held = _state(line, x, 0.0, (delay, *x.shape[1:])) if delay else None
    if held is not None and held.shape[:1] != (delay,):
        raise ShapeError(f"synapse_filter: a delay of {delay} does not fit a line of shape {held.shape}")
    decay = _decay(tau_syn, x, "synapse_filter: tau_syn")
    traces, last = ops.synapse_filter(x, _state(y, x, 0.0), decay, held)
    return (traces, last) if held is None else (traces, last, delay_line(held, x))


def dual_timescale(
    x: Any,
    fast: Any = None,
    slow: Any = None,
    *,
    tau_fast: float = 5.0,
    tau_slow: float = 50.0,
    w_fast: Any = 0.5,
    w_slow: Any = 0.5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Two traces weighed over all steps: ``w_fast y_fast + w_slow y_slow``, each as :func:`synapse_filter`.

    Args:
        x: input, ``[T, ...]``.
        fast, slow: the traces before the first step, ``[...]`` or a number; None: 0.
        tau_fast, tau_slow: time constants in steps, above 0.
        w_fast, w_slow: numbers, or 0-d Tensors, which may require a gradient.

    Returns:
        The sum after each step ``[T, ...]`` and both traces after the last ``[...]``.

    Raises:
        ArgumentError, ShapeError, DTypeError: settings, shapes or dtypes that do not fit.

    Example:
        >>> from grilly import functional as F
        >>> y, fast, slow = F.dual_timescale([[1.0], [0.0]], tau_fast=1.0, tau_slow=50.0)
        >>> [round(value, 3) for value in y.reshape(2).tolist()]
        [1.0, 0.674]
    """
    x = _steps(x, "dual_timescale")
    results: tuple[Tensor, Tensor, Tensor] = ops.dual_timescale(
        x,
        _state(fast, x, 0.0),
        _state(slow, x, 0.0),
        _decay(tau_fast, x, "dual_timescale: tau_fast"),
        _decay(tau_slow, x, "dual_timescale: tau_slow"),
        _weight(w_fast, x, "dual_timescale: w_fast"),
        _weight(w_slow, x, "dual_timescale: w_slow"),
    )
    return results


def stp_synapse(
    x: Any,
    u: Any = None,
    R: Any = None,  # noqa: N803
    *,
    tau_d: float = 200.0,
    tau_f: float = 20.0,
    U: float = 0.2,  # noqa: N803
) -> tuple[Tensor, Tensor, Tensor]:
    """Short-term plasticity over all steps, see ``nn.STPSynapse`` (Tsodyks, Pawelzik & Markram 1998).

    Args:
        x: input, ``[T, ...]``; above 0 is a spike.
        u, R: facilitation and resources before the first step, ``[...]`` or a number; None: 0 and 1.
        tau_d, tau_f: time constants of recovery and of facilitation in steps, above 0.
        U: share that a first spike uses, above 0 and at most 1.

    Returns:
        What is released in each step ``[T, ...]``, and u and R after the last ``[...]``. Gradients flow to x alone.

    Raises:
        ArgumentError, ShapeError, DTypeError: settings, shapes or dtypes that do not fit.

    Example:
        >>> from grilly import functional as F
        >>> y, u, R = F.stp_synapse([[1.0], [0.0]], U=0.5)
        >>> y.tolist(), round(R.item(), 4)
        ([[0.5], [0.0]], 0.5025)
    """
    x = _steps(x, "stp_synapse")
    use = positive_number(U, "stp_synapse: U")
    if use > 1.0:
        raise ArgumentError(f"stp_synapse: U is the share that a first spike uses, so at most 1, got {use:g}")
    results: tuple[Tensor, Tensor, Tensor] = ops.stp_synapse(
        x,
        _state(u, x, 0.0),
        _state(R, x, 1.0),
        decay_u=math.exp(-1.0 / positive_number(tau_f, "stp_synapse: tau_f (time steps)")),
        decay_r=math.exp(-1.0 / positive_number(tau_d, "stp_synapse: tau_d (time steps)")),
        use=use,
    )
    return results
