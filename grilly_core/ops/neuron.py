"""Spiking neurons: charge, fire, reset; one step or all of them.

The order of operations written here is the one every backend follows, without contraction, so that all of
them emit the same spikes. ``r`` is ``v_reset``, or 0 when it is None.

==========  =================================================================
charge      ``H``
==========  =================================================================
if          ``V + X``
lif, plif   ``V + (X - (V - r)) k`` with ``decay_input``, else ``V - (V - r) k + X``
==========  =================================================================

A neuron fires, ``S = 1``, where ``H >= v_threshold``. Hard reset (``v_reset`` a number):
``V = (1 - S) H + S v_reset``; soft reset (None): ``V = H - S v_threshold``.
"""

from __future__ import annotations

import math
from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite, primitive
from grilly_core.ops.infer import float_unary
from grilly_core.ops.shape import stack
from grilly_core.spec import Spec
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor

__all__ = [
    "if_multi_step", "if_step", "lif_multi_step", "lif_step", "plif_multi_step", "plif_step", "spike",
]  # fmt: skip


def _spike(u: Spec, *, surrogate: Surrogate) -> Spec:
    if not isinstance(surrogate, Surrogate):
        raise ArgumentError(f"the surrogate must be a Surrogate such as nn.ATan(), got {surrogate!r}")
    return float_unary(u)


@primitive(infer=_spike)
def spike(u: Tensor, /, *, surrogate: Surrogate) -> Tensor:
    """1 where ``u >= 0``, else 0 (also for NaN), as a float; the gradient is the surrogate's derivative."""


@spike.defvjp(inputs=(0,))
def _(ctx: Context, g: Tensor) -> Any:
    return g * ctx.attrs["surrogate"].derivative(ctx.inputs[0])


def reset(h: Tensor, s: Tensor, v_threshold: float, v_reset: float | None) -> Tensor:
    """The potential after the reset."""
    return h - s * v_threshold if v_reset is None else (1.0 - s) * h + s * v_reset


def fire(
    h: Tensor, v_threshold: float, v_reset: float | None, detach_reset: bool, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes and the potential after the reset."""
    s = spike(h - v_threshold, surrogate=surrogate)
    return s, reset(h, s.detach() if detach_reset else s, v_threshold, v_reset)


def charge(x: Tensor, v: Tensor, k: Any, v_reset: float | None, decay_input: bool) -> Tensor:
    """The potential before firing; ``k`` None is a neuron that does not leak."""
    if k is None:
        return v + x
    leak = v - v_reset if v_reset is not None else v - 0.0
    return v + (x - leak) * k if decay_input else (v - leak * k) + x


def check_neuron(
    x: Tensor, v: Tensor, state: tuple[int, ...], v_threshold: float, v_reset: float | None, k: Any = None
) -> None:
    """Refuse shapes and constants that no neuron has."""
    if v.shape != state:
        raise ShapeError(f"the state v has shape {v.shape}, the input needs {state} (input {x.shape})")
    if not math.isfinite(v_threshold) or not (v_reset is None or math.isfinite(v_reset)):
        raise ArgumentError(f"v_threshold and v_reset must be finite, got {v_threshold} and {v_reset}")
    if isinstance(k, Tensor):
        if k.shape != ():
            raise ShapeError(f"k must be a 0-d tensor, got shape {k.shape}")
    elif k is not None and not 0 < k <= 1:
        raise ArgumentError(f"k = 1/tau must lie in (0, 1], so tau must be at least 1; got k = {k}")


def _one_step(
    x: Tensor,
    v: Tensor,
    k: Any,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    check_neuron(x, v, x.shape, v_threshold, v_reset, k)
    h = charge(x, v, k, v_reset, decay_input)
    return fire(h, v_threshold, v_reset, detach_reset, surrogate)


def _all_steps(
    x: Tensor,
    v: Tensor,
    k: Any,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
    save_h: bool,
) -> tuple[Tensor, ...]:
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got input {x.shape}")
    check_neuron(x, v, x.shape[1:], v_threshold, v_reset, k)
    spikes, potentials = [], []
    for t in range(x.shape[0]):
        h = charge(x[t], v, k, v_reset, decay_input)
        s, v = fire(h, v_threshold, v_reset, detach_reset, surrogate)
        spikes.append(s)
        potentials.append(h)
    return (stack(spikes), v, stack(potentials)) if save_h else (stack(spikes), v)


@composite()
def if_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """One step of integrate-and-fire neurons. Shapes: x and v alike; returns spikes and v, shaped like x."""
    return _one_step(x, v, None, v_threshold, v_reset, True, detach_reset, surrogate)


@composite()
def lif_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    k: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """One step of leaky integrate-and-fire neurons, ``k = 1/tau`` (tau in steps).

    Shapes: x and v alike; returns spikes and v, shaped like x.
    """
    return _one_step(x, v, k, v_threshold, v_reset, decay_input, detach_reset, surrogate)


@composite()
def plif_step(
    x: Tensor,
    v: Tensor,
    k: Tensor,
    /,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """``lif_step`` with a 0-d tensor ``k`` that has a gradient (Fang et al. 2021, arXiv 2007.05785)."""
    return _one_step(x, v, k, v_threshold, v_reset, decay_input, detach_reset, surrogate)


@composite()
def if_multi_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_h: bool = False,
) -> tuple[Tensor, ...]:
    """All steps of ``if_step``: x ``[T, ...]``, v ``[...]``.

    Returns the spikes ``[T, ...]``, the last v ``[...]`` and, with ``save_h``, H ``[T, ...]`` for backward.
    """
    return _all_steps(x, v, None, v_threshold, v_reset, True, detach_reset, surrogate, save_h)


@composite()
def lif_multi_step(
    x: Tensor,
    v: Tensor,
    /,
    *,
    k: float,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_h: bool = False,
) -> tuple[Tensor, ...]:
    """All steps of ``lif_step``; results as ``if_multi_step``."""
    return _all_steps(x, v, k, v_threshold, v_reset, decay_input, detach_reset, surrogate, save_h)


@composite()
def plif_multi_step(
    x: Tensor,
    v: Tensor,
    k: Tensor,
    /,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = False,
    surrogate: Surrogate,
    save_h: bool = False,
) -> tuple[Tensor, ...]:
    """All steps of ``plif_step``; results as ``if_multi_step``."""
    return _all_steps(x, v, k, v_threshold, v_reset, decay_input, detach_reset, surrogate, save_h)
