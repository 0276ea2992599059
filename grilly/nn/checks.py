"""What layers check of their input: kind, dtype, rank. Errors name the layer and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grilly_core.autograd import graph_is_freed
from grilly_core.errors import ArgumentError, DTypeError, ShapeError, StateError
from grilly_core.spec import FLOATS
from grilly_core.tensor import Tensor

if TYPE_CHECKING:
    from grilly.nn.module import Module

__all__ = ["check_input", "check_kept", "check_rank"]


def check_input(layer: Module, x: Any, like: Tensor | None = None) -> None:
    """Refuse an input that is no float Tensor, or of another width than the layer's parameters.

    Args:
        layer: for the message.
        x: the input.
        like: a parameter whose dtype the input must have.
    """
    name = type(layer).__name__
    if not isinstance(x, Tensor):
        raise ArgumentError(f"{name} takes an array or a Tensor, got {type(x).__name__}")
    wanted = FLOATS if like is None else (like.spec.dtype,)
    if x.spec.dtype in wanted:
        return
    cure = f"convert the input with x.astype('{wanted[0]}')"
    if x.spec.dtype in FLOATS:
        cure += f" or the network with net.to(dtype='{x.spec.dtype}')"
    raise DTypeError(f"{name} takes {' or '.join(wanted)}, got a Tensor of {x.spec.dtype}; {cure}")


def check_rank(layer: Module, x: Tensor, single: str | None, multi: str, step_mode: str) -> None:
    """Refuse an input whose number of axes does not fit the layer's step mode.

    Args:
        layer: for the message.
        x: the input.
        single: the layout of single-step mode, e.g. ``"[N, C, H, W]"``; None for a layer that has no such mode.
        multi: the layout of multi-step mode.
        step_mode: the layer's mode.
    """
    wanted = multi if step_mode == "m" or single is None else single
    if x.ndim == wanted.count(",") + 1:
        return
    other = single if step_mode == "m" else multi
    cure = ""
    if other is None:
        cure = "; it needs a sequence, with time on the first axis"
    elif x.ndim == other.count(",") + 1:
        cure = (
            "; for one step set step_mode='s'"
            if step_mode == "m"
            else "; for a sequence set step_mode='m' or wrap the layer in SeqToANNContainer"
        )
    raise ShapeError(
        f"{type(layer).__name__} in step_mode={step_mode!r} takes {wanted}, got shape {x.shape}{cure}"
    )


def check_kept(layer: Module, state: Tensor, shape: tuple[int, ...], x: Tensor) -> None:
    """Refuse a state kept from an earlier call that does not fit this one.

    Args:
        layer: for the message.
        state: what was kept.
        shape: what the input needs.
        x: the input.

    Raises:
        StateError: another shape, dtype or backend, or a state whose graph backward has used.
    """
    name = type(layer).__name__
    if state.shape != shape:
        raise StateError(
            f"{name}: the input needs a state of shape {shape} but the state kept from before is {state.shape}. Call "
            "grilly.functional.reset_net(net) before a batch of another shape"
        )
    if state.spec.dtype != x.spec.dtype or state._backend is not x._backend:
        raise StateError(
            f"{name}: the state kept from before is {state.spec.dtype} on {state.backend}, the input {x.spec.dtype} on "
            f"{x.backend}. Call grilly.functional.reset_net(net)"
        )
    if graph_is_freed(state):
        raise StateError(
            f"{name}: forward after backward with the old state. Call grilly.functional.reset_net(net) after each "
            "backward, or detach_net(net) to carry the state over on purpose"
        )
