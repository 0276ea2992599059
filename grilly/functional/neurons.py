"""Neurons as functions: one step or all of them, with the potential as an argument."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number
from grilly.functional.tensors import float_tensor
from grilly_core import ops
from grilly_core.autograd import grad_enabled
from grilly_core.errors import ShapeError
from grilly_core.ops.neuron import reset as _reset_potential
from grilly_core.ops.neuron_rules import keeps_potentials
from grilly_core.surrogate import ATan, Surrogate
from grilly_core.tensor import Tensor, scalar, tensor

__all__ = ["if_multi_step", "if_step", "lif_multi_step", "lif_step", "plif_multi_step", "plif_step", "spike"]


def _potential(v: Any, x: Tensor, shape: tuple[int, ...], v_reset: float | None) -> Tensor:
    if v is None:
        v = 0.0 if v_reset is None else v_reset
    if isinstance(v, int | float):
        start: Tensor = ops.broadcast_to(scalar(float(v), x.spec.dtype, x._backend), shape=shape)
        return start
    return v if isinstance(v, Tensor) else tensor(v, dtype=x.dtype, backend=x._backend)


def _leak(tau: float, owner: str) -> float:
    return 1.0 / finite_number(tau, f"{owner}: tau (time steps)", low=1.0)


def spike(u: Any, surrogate_function: Surrogate = ATan()) -> Tensor:
    """1 where ``u >= 0``, else 0; backward sees the surrogate's derivative.

    Args:
        u: potential minus threshold, any shape.
        surrogate_function: such as ``nn.ATan()``.

    Returns:
        Spikes as floats, shaped like u.

    Example:
        >>> from grilly import functional as F
        >>> F.spike([-0.5, 0.0, 2.0]).tolist()
        [0.0, 1.0, 1.0]
    """
    out: Tensor = ops.spike(float_tensor(u, "spike"), surrogate=surrogate_function)
    return out


def if_step(
    x: Any,
    v: Any = None,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """One step of integrate-and-fire neurons.

    Args:
        x: input of this step.
        v: potential, shaped like x, or a number; None: ``v_reset``, or 0 when that is None.
        v_threshold, v_reset, surrogate_function, detach_reset: see ``nn.IFNode``.

    Returns:
        Spikes and the potential after the reset, shaped like x.
    """
    x = float_tensor(x, "if_step")
    pair: tuple[Tensor, Tensor] = ops.if_step(
        x,
        _potential(v, x, x.shape, v_reset),
        v_threshold=v_threshold,
        v_reset=v_reset,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def lif_step(
    x: Any,
    v: Any = None,
    *,
    tau: float = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """One step of leaky integrate-and-fire neurons.

    Args:
        x: input of this step.
        v: potential, shaped like x, or a number; None: ``v_reset``, or 0 when that is None.
        tau: time constant in steps, at least 1.
        v_threshold, v_reset, decay_input, surrogate_function, detach_reset: see ``nn.LIFNode``.

    Returns:
        Spikes and the potential after the reset, shaped like x.

    Example:
        >>> from grilly import functional as F
        >>> spike, v = F.lif_step([1.0, 2.0], 0.0, tau=2.0, v_threshold=1.0)
        >>> spike.tolist(), v.tolist()
        ([0.0, 1.0], [0.5, 0.0])
    """
    x = float_tensor(x, "lif_step")
    pair: tuple[Tensor, Tensor] = ops.lif_step(
        x,
        _potential(v, x, x.shape, v_reset),
        k=_leak(tau, "lif_step"),
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def plif_step(
    x: Any,
    v: Any,
    w: Any,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """``lif_step`` with ``1 / tau = sigmoid(w)``, ``w`` a scalar Tensor that may require a gradient."""
    x = float_tensor(x, "plif_step")
    pair: tuple[Tensor, Tensor] = ops.plif_step(
        x,
        _potential(v, x, x.shape, v_reset),
        _rate(w, x),
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def _rate(w: Any, x: Tensor) -> Tensor:
    given = w if isinstance(w, Tensor) else tensor(w, dtype=x.dtype, backend=x._backend)
    if given.size != 1:
        raise ShapeError(f"w must be one number, got shape {given.shape}")
    return given.reshape(()).sigmoid()


def _steps(
    op: Any, x: Tensor, v: Any, rest: tuple[Any, ...], return_v_seq: bool, attrs: dict[str, Any]
) -> Any:
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"{op.name} takes [T, ...] with T >= 1, got {x.shape}")
    start = _potential(v, x, x.shape[1:], attrs["v_reset"])
    recorded = grad_enabled() and any(t.requires_grad for t in (x, start, *rest))
    save_h = return_v_seq or (recorded and keeps_potentials(op, x._backend))
    spikes, last, *h = op(x, start, *rest, save_h=save_h, **attrs)
    if not return_v_seq:
        return spikes, last
    s = spikes.detach() if attrs["detach_reset"] else spikes
    return spikes, last, _reset_potential(h[0], s, attrs["v_threshold"], attrs["v_reset"])


def if_multi_step(
    x: Any,
    v: Any = None,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """All steps of ``if_step``: x ``[T, ...]``, v ``[...]``, a number or None (``v_reset`` or 0).

    Returns:
        ``(spikes, v_last)``, and with ``return_v_seq`` the potentials after every step too.
    """
    attrs = {
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.if_multi_step, float_tensor(x, "if_multi_step"), v, (), return_v_seq, attrs)


def lif_multi_step(
    x: Any,
    v: Any = None,
    *,
    tau: float = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """All steps of ``lif_step``: x ``[T, ...]``, v ``[...]``, a number or None (``v_reset`` or 0).

    Returns:
        ``(spikes, v_last)``, and with ``return_v_seq`` the potentials after every step too.

    Example:
        >>> from grilly import functional as F
        >>> spikes, v, v_seq = F.lif_multi_step([[1.5], [1.5], [1.5]], return_v_seq=True)
        >>> spikes.tolist(), v_seq.tolist()
        ([[0.0], [1.0], [0.0]], [[0.75], [0.0], [0.75]])
    """
    attrs = {
        "k": _leak(tau, "lif_multi_step"),
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "decay_input": decay_input,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.lif_multi_step, float_tensor(x, "lif_multi_step"), v, (), return_v_seq, attrs)


def plif_multi_step(
    x: Any,
    v: Any,
    w: Any,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """``lif_multi_step`` with ``1 / tau = sigmoid(w)``, ``w`` a scalar Tensor that may require a gradient."""
    given = float_tensor(x, "plif_multi_step")
    attrs = {
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "decay_input": decay_input,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.plif_multi_step, given, v, (_rate(w, given),), return_v_seq, attrs)
