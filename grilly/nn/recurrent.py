"""Containers whose output comes back as input one step later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly._checks import whole_number
from grilly.nn.checks import check_input
from grilly.nn.container import MultiStepContainer, SeqToANNContainer
from grilly.nn.linear import Linear
from grilly.nn.module import Module
from grilly.nn.step import StatefulModule, kept
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor

__all__ = ["ElementWiseRecurrentContainer", "LinearRecurrentContainer", "RecurrentContainer"]


class RecurrentContainer(StatefulModule):
    """A single-step module whose output ``y`` is kept for the next step; 0 before the first.

    Whatever the step mode, the module inside is called once per step and stays in ``'s'``; ``F.set_step_mode`` does not
    descend into it.
    """

    y: Any

    def __init__(self, sub_module: Module, step_mode: str) -> None:
        super().__init__(step_mode)
        if not isinstance(sub_module, Module):
            raise ArgumentError(f"{type(self).__name__} holds a module, got {sub_module!r}")
        self.sub_module = sub_module
        self._check_child()
        self.register_memory("y", 0.0)

    def _check_child(self) -> None:
        owner = type(self).__name__
        for name, module in self.sub_module.named_modules():
            place = f"{name or 'the module inside'} ({type(module).__name__})"
            if getattr(module, "step_mode", "s") == "m":
                raise ArgumentError(
                    f"{owner} calls its module once per step, but {place} has step_mode='m'; use 's' inside and give the "
                    "container step_mode='m'"
                )
            if isinstance(module, MultiStepContainer | SeqToANNContainer):
                raise ArgumentError(
                    f"{owner} calls its module once per step, but {place} takes all steps itself"
                )

    def _fed_back(self, x: Tensor) -> tuple[int, ...]:
        """The shape of y for an input of one step."""
        raise NotImplementedError

    def _into(self, x: Tensor, y: Tensor) -> Any:
        """What the module inside gets."""
        raise NotImplementedError

    def _one(self, x: Tensor, y: Tensor) -> Tensor:
        after = self.sub_module(self._into(x, y))
        wanted = self._fed_back(x)
        if not isinstance(after, Tensor) or after.shape != wanted:
            got = after.shape if isinstance(after, Tensor) else type(after).__name__
            raise ShapeError(
                f"{type(self).__name__}: {type(self.sub_module).__name__} made {got} of an input {x.shape}, but what is fed "
                f"back must be {wanted}"
            )
        return after

    def forward(self, x: Tensor) -> Tensor:
        """The output of one step or of each of all steps."""
        check_input(self, x)
        self.check_steps(x)
        self._check_child()
        steps = [x[t] for t in range(x.shape[0])] if self.step_mode == "m" else [x]
        y = kept(self, self.y, self._fed_back(steps[0]), x)
        out = []
        for now in steps:
            y = self._one(now, y)
            out.append(y)
        self.y = y
        return ops.stack(out) if self.step_mode == "m" else y

    def extra_repr(self) -> str:
        return f"step_mode={self.step_mode!r}"


class ElementWiseRecurrentContainer(RecurrentContainer):
    """``y[t] = sub_module(f(y[t-1], x[t]))`` with an elementwise function of two tensors.

    Shapes: ``[N, ...]`` in step mode 's', ``[T, N, ...]`` in 'm'; the module inside must keep the shape. Memory: ``y``.

    Args:
        sub_module: a single-step module.
        element_wise_function: ``f(y, x)``.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: a module in step mode 'm' or a time container inside, a function that is none.
        ShapeError: the module inside does not keep the shape.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn
        >>> net = nn.ElementWiseRecurrentContainer(nn.IFNode(v_reset=None), lambda y, x: x + y, step_mode="m")
        >>> net([[1.5], [0.0], [0.0]]).tolist()
        [[1.0], [1.0], [1.0]]
    """

    def __init__(
        self,
        sub_module: Module,
        element_wise_function: Callable[[Tensor, Tensor], Tensor],
        step_mode: str = "s",
    ) -> None:
        super().__init__(sub_module, step_mode)
        if not callable(element_wise_function):
            raise ArgumentError(
                f"ElementWiseRecurrentContainer takes a function f(y, x), got {element_wise_function!r}"
            )
        self.element_wise_function = element_wise_function

    def _fed_back(self, x: Tensor) -> tuple[int, ...]:
        return x.shape

    def _into(self, x: Tensor, y: Tensor) -> Any:
        return self.element_wise_function(y, x)


class LinearRecurrentContainer(RecurrentContainer):
    """``y[t] = sub_module(W [x[t], y[t-1]] + b)`` with a learned linear layer ``rc``.

    Shapes: x ``[N, ..., in]`` in step mode 's', ``[T, N, ..., in]`` in 'm'; y likewise with ``out``; ``rc.weight``
    ``[in, in + out]``, ``rc.bias`` ``[in]``. The module inside maps ``in`` features to ``out``. Memory: ``y``.

    Args:
        sub_module: a single-step module.
        in_features: features of x, and of what the module inside gets.
        out_features: features of y.
        bias: whether to add one.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Raises:
        ArgumentError: a module in step mode 'm' or a time container inside, a number of features below 1.
        ShapeError: x or the output of the module inside has other features.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> net = nn.LinearRecurrentContainer(nn.Sequential(nn.Linear(4, 2), nn.LIFNode()), 4, 2, step_mode="m")
        >>> net(np.ones((8, 3, 4))).shape, net.rc.weight.shape
        ((8, 3, 2), (4, 6))
    """

    def __init__(
        self,
        sub_module: Module,
        in_features: int,
        out_features: int,
        bias: bool = True,
        step_mode: str = "s",
    ) -> None:
        super().__init__(sub_module, step_mode)
        self.in_features = whole_number(in_features, "LinearRecurrentContainer: in_features", 1)
        self.out_features = whole_number(out_features, "LinearRecurrentContainer: out_features", 1)
        self.rc = Linear(self.in_features + self.out_features, self.in_features, bias)

    def _fed_back(self, x: Tensor) -> tuple[int, ...]:
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"LinearRecurrentContainer takes steps [N, ..., {self.in_features}], got one of shape {x.shape}"
            )
        return (*x.shape[:-1], self.out_features)

    def _into(self, x: Tensor, y: Tensor) -> Any:
        return self.rc(ops.concat([x, y], axis=x.ndim - 1))
