"""Step mode: whether a layer's input is one time step or all of them; layers that keep state between steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly.nn.checks import check_kept
from grilly.nn.module import Module
from grilly_core import autograd, ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor, scalar

__all__ = [
    "MultiStepModule",
    "StatefulModule",
    "StepModule",
    "check_step_mode",
    "fold_time",
    "kept",
    "together",
]


def check_step_mode(step_mode: str, owner: str) -> str:
    """``step_mode`` if it is one of the two there are."""
    if step_mode not in ("s", "m"):
        raise ArgumentError(
            f"{owner}: step_mode must be 's' (one step, [N, ...]) or 'm' (all steps, [T, N, ...]), got {step_mode!r}"
        )
    return step_mode


class StepModule(Module):
    """A module with a step mode.

    Args:
        step_mode: ``'s'``: inputs are ``[N, ...]``; ``'m'``: inputs are ``[T, N, ...]``.
    """

    def __init__(self, step_mode: str = "s") -> None:
        super().__init__()
        self.step_mode = step_mode

    @property
    def step_mode(self) -> str:
        """``'s'`` or ``'m'``."""
        return self._step_mode

    @step_mode.setter
    def step_mode(self, value: str) -> None:
        self._step_mode = check_step_mode(value, type(self).__name__)


class MultiStepModule(StepModule):
    """A module that needs to see all steps at once: its step mode is ``'m'``, and asking for ``'s'`` raises.

    Args:
        step_mode: ``'m'``.
    """

    def __init__(self, step_mode: str = "m") -> None:
        super().__init__(step_mode)

    @property
    def step_mode(self) -> str:
        """``'m'``."""
        return self._step_mode

    @step_mode.setter
    def step_mode(self, value: str) -> None:
        owner = type(self).__name__
        if check_step_mode(value, owner) == "s":
            raise ArgumentError(
                f"{owner} works on all steps at once, [T, N, ...]: it has no step_mode='s'; set the rest of the network to "
                "'m' with F.set_step_mode(net, 'm')"
            )
        self._step_mode = value


def kept(owner: Module, value: Any, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """A memory of a layer as a tensor for this input: made of a number on first use, checked later.

    Args:
        owner: the layer, for the message.
        value: what the memory holds.
        shape: the shape that the input needs.
        x: the input.

    Raises:
        StateError: state of another shape, dtype or backend, or of a graph already used by backward.
    """
    if not isinstance(value, Tensor):
        # The constant is kept: nothing is filled for each new sequence.
        state: Tensor = ops.broadcast_to(scalar(value, x.spec.dtype, x._backend), shape=shape)
        return state
    check_kept(owner, value, shape, x)
    return value


def together(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The same tensors, made by one node of the tape, as a fused op makes them.

    Once backward has used one of them all count as used, so that a forgotten reset is seen however the state was made.

    Example:
        >>> import grilly
        >>> x = grilly.tensor([1.0], requires_grad=True)
        >>> y, state = together(x * 2, x * 3)
        >>> y.sum().backward()
        >>> autograd.graph_is_freed(state), x.grad.tolist()
        (True, [2.0])
    """
    if not (autograd.grad_enabled() and any(x.requires_grad for x in tensors)):
        return tensors
    edges, specs = tuple([autograd.edge_of(x) for x in tensors]), tuple([x.spec for x in tensors])
    nothing = (None,) * len(tensors)
    backend = tensors[0]._backend
    node = autograd.Node(None, _as_they_come, backend, {}, edges, specs, nothing, specs, nothing)
    return tuple([Tensor(x._data, backend, x.spec, True, node, i) for i, x in enumerate(tensors)])


def _as_they_come(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    return grads


class StatefulModule(StepModule):
    """A layer with memories that takes all steps at once in step mode 'm', in one fused kernel where there is one."""

    def multi_step(self, x: Tensor) -> Any:
        """All steps at once, whatever the step mode, through the module's hooks."""
        mode, self.step_mode = self.step_mode, "m"
        try:
            return self(x)
        finally:
            self.step_mode = mode

    def check_steps(self, x: Tensor) -> None:
        """Refuse an input without a time step in step mode 'm'."""
        if self.step_mode == "m" and (x.ndim < 1 or x.shape[0] == 0):
            raise ShapeError(
                f"{type(self).__name__} in step_mode='m' takes [T, N, ...] with T >= 1, got {x.shape}"
            )


def fold_time(x: Tensor, step_mode: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    """``function`` on ``x``; in multi-step mode on ``[T*N, ...]``, with the result folded back to ``[T, N, ...]``."""
    if step_mode == "s":
        return function(x)
    lead = x.shape[:2]
    out = function(x.reshape(math.prod(lead), *x.shape[2:]))
    return out.reshape(*lead, *out.shape[1:])
