"""Networks over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grilly._checks import whole_number
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor

if TYPE_CHECKING:
    from grilly.nn.module import Module

__all__ = ["detach_net", "multi_step_forward", "reset_net", "seq_to_ann_forward", "set_step_mode"]


def reset_net(net: Module) -> None:
    """Return every memory in ``net`` to its default: call it before each new batch."""
    for module in net.modules():
        module.reset()


def detach_net(net: Module) -> None:
    """Keep every memory in ``net`` but cut it from its graph: carries state over on purpose."""
    for module in net.modules():
        module.detach()


def set_step_mode(net: Module, step_mode: str) -> None:
    """Give every module below ``net`` that has a step mode this one.

    ``MultiStepContainer``, ``SeqToANNContainer`` and the recurrent containers run single-step modules; what is inside them
    is left alone.
    """
    from grilly.nn.container import MultiStepContainer, SeqToANNContainer
    from grilly.nn.recurrent import RecurrentContainer
    from grilly.nn.step import StepModule, check_step_mode

    check_step_mode(step_mode, "set_step_mode")
    if isinstance(net, MultiStepContainer | SeqToANNContainer):
        return
    if isinstance(net, StepModule):
        net.step_mode = step_mode
    if not isinstance(net, RecurrentContainer):
        for child in net.children():
            set_step_mode(child, step_mode)


def multi_step_forward(model: Module, x: Any, T: int | None = None, repeat: bool | None = None) -> Any:  # noqa: N803
    """Run ``model`` over time.

    Args:
        model: a network of single-step modules (run step by step, its neurons fused where possible), or one in
            step mode 'm' (called once).
        x: ``[T, N, ...]``, or ``[N, ...]`` to be repeated T times.
        T: number of steps. Without it x is ``[T, N, ...]``. With it x is temporal if ``x.shape[0] == T``, else it
            is repeated.
        repeat: True: x is ``[N, ...]`` whatever its shape; False: x is ``[T, N, ...]``.

    Returns:
        Output of every step, ``[T, N, ...]``.

    Raises:
        ArgumentError: layers in step mode 's' beside others in 'm'; ``repeat=True`` without T.
        ShapeError: x has no time axis, or another number of steps than T.

    Example:
        >>> import numpy as np
        >>> from grilly import nn, functional as F
        >>> F.multi_step_forward(nn.Sequential(nn.Linear(3, 2), nn.LIFNode()), np.ones((4, 3)), T=10).shape
        (10, 4, 2)
    """
    from grilly.nn.container import run_steps
    from grilly.nn.module import Module

    if not isinstance(model, Module):
        raise ArgumentError(f"multi_step_forward runs a module, got {type(model).__name__}")
    steps = _over_time(model._as_tensor(x), T, repeat)
    modes, containers = _modes(model)
    if modes == {"s", "m"}:
        raise ArgumentError(
            "multi_step_forward: the model mixes step modes; call F.set_step_mode(model, 's') or 'm' first"
        )
    whole = modes == {"m"} or (containers and not modes)
    return model(steps) if whole else run_steps(model, steps)


def _over_time(x: Any, T: int | None, repeat: bool | None) -> Tensor:  # noqa: N803
    """``x`` as ``[T, N, ...]``: as it is, or repeated."""
    if not isinstance(x, Tensor):
        raise ArgumentError(f"multi_step_forward takes an array or a Tensor, got {type(x).__name__}")
    if T is None:
        if repeat:
            raise ArgumentError("multi_step_forward: repeat=True needs the number of steps T")
    else:
        whole_number(T, "multi_step_forward: T", 1)
    lead = x.shape[0] if x.ndim else 0
    if T is None or repeat is False or (repeat is None and lead == T):
        if lead < 1 or (T is not None and lead != T):
            raise ShapeError(
                f"multi_step_forward: x must be [T, N, ...]{f' with T={T}' if T else ''}, got {x.shape}"
            )
        return x
    return x.expand_dims(0).broadcast_to((T, *x.shape))


def _modes(module: Module) -> tuple[set[str], bool]:
    """Step modes outside the time containers, and whether there is such a container."""
    from grilly.nn.container import MultiStepContainer, SeqToANNContainer
    from grilly.nn.recurrent import RecurrentContainer

    if isinstance(module, MultiStepContainer | SeqToANNContainer):
        return set(), True
    modes, containers = ({module.step_mode} if hasattr(module, "step_mode") else set()), False
    for child in () if isinstance(module, RecurrentContainer) else module.children():
        below, inside = _modes(child)
        modes, containers = modes | below, containers or inside
    return modes, containers


def seq_to_ann_forward(x: Any, *modules: Module) -> Tensor:
    """Stateless modules on a sequence: ``[T, N, ...] -> [T*N, ...]``, each in turn, and back."""
    from grilly.nn.container import SeqToANNContainer

    out: Tensor = SeqToANNContainer(*modules)(x)
    return out
