"""Containers: sequences of modules, and modules over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from grilly.nn.module import Module
from grilly.nn.step import StatefulModule
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor

__all__ = ["ModuleList", "MultiStepContainer", "SeqToANNContainer", "Sequential", "run_steps"]


class _Numbered(Module):
    """Children named 0, 1, 2, ..."""

    def __init__(self, modules: Iterable[Module]) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        if not isinstance(module, Module):
            raise ArgumentError(f"{type(self).__name__} holds modules, got {module!r}")
        setattr(self, str(len(self._modules)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self._modules.values())[index]
        return type(self)(*found) if isinstance(found, list) and not isinstance(self, ModuleList) else found


class Sequential(_Numbered):
    """Modules one after the other.

    Example:
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> len(net), net([[0.0] * 4]).shape
        (3, (1, 2))
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules that registers them; it has no forward of its own.

    Example:
        >>> from grilly import nn
        >>> len(nn.ModuleList([nn.ReLU(), nn.Tanh()]))
        2
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)


def run_steps(module: Module, x: Tensor) -> Any:
    """A single-step module over all steps of ``[T, N, ...]``.

    Sequences go layer by layer, so that neurons and synapses inside run their fused multi-step kernels and a time
    container all steps at once; anything else is called once per step.

    Raises:
        ArgumentError: a module that has to be called once per step has a time container inside.
    """
    if isinstance(module, StatefulModule):
        return module.multi_step(x)
    if isinstance(module, MultiStepContainer | SeqToANNContainer):
        return module(x)
    if type(module) is Sequential and not (
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    ):
        for child in module:
            x = run_steps(child, x)
        return x
    for name, below in module.named_modules():
        if isinstance(below, MultiStepContainer | SeqToANNContainer):
            raise ArgumentError(
                f"{type(module).__name__} would be called once per step, but {name} ({type(below).__name__}) in it takes "
                "all steps [T, N, ...]; give its other layers step_mode='m' with F.set_step_mode(net, 'm')"
            )
    return ops.stack([module(x[t]) for t in range(x.shape[0])])


def _check_time(x: Tensor, owner: Module) -> None:
    if x.ndim < 2 or x.shape[0] < 1:
        raise ShapeError(f"{type(owner).__name__} takes [T, N, ...] with T >= 1, got {x.shape}")


class MultiStepContainer(Sequential):
    """Single-step modules run over time: ``[T, N, ...] -> [T, N, ...]``.

    Args:
        modules: applied in order at every step; neurons among them run all steps in one fused kernel.

    Raises:
        ArgumentError: a child in step mode 'm', or another time container.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.MultiStepContainer(nn.Linear(3, 2), nn.LIFNode())(np.ones((5, 4, 3))).shape
        (5, 4, 2)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(*modules)
        self._check_children()

    def _check_children(self) -> None:
        for name, module in self.named_modules():
            if getattr(module, "step_mode", "s") == "m":
                raise ArgumentError(
                    f"MultiStepContainer runs single-step modules, but {name} ({type(module).__name__}) has step_mode='m'; "
                    "use 's' inside, or leave the container out"
                )
            if name and isinstance(module, MultiStepContainer | SeqToANNContainer):
                raise ArgumentError(
                    f"MultiStepContainer runs single-step modules, but {name} ({type(module).__name__}) takes all steps "
                    "itself; put it beside the container, not inside"
                )

    def forward(self, x: Tensor) -> Any:
        _check_time(x, self)
        self._check_children()
        for module in self:
            x = run_steps(module, x)
        return x


class SeqToANNContainer(Sequential):
    """Stateless modules on sequences: ``[T, N, ...] -> [T*N, ...]``, one call, and back.

    Raises:
        ArgumentError: a child that keeps state (it would mix up time and batch), is in step mode 'm', or is
            another time container.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.SeqToANNContainer(nn.Conv2d(3, 8, 3, padding=1))(np.zeros((4, 2, 3, 8, 8))).shape
        (4, 2, 8, 8, 8)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(*modules)
        self._check_children()

    def _check_children(self) -> None:
        for name, module in self.named_modules():
            if module._memory_defaults:
                raise ArgumentError(
                    f"SeqToANNContainer merges time and batch, so {name} ({type(module).__name__}), which keeps state over "
                    "time, cannot be inside; put it after the container, in step_mode='m'"
                )
            if getattr(module, "step_mode", "s") == "m":
                raise ArgumentError(
                    f"SeqToANNContainer: {name} ({type(module).__name__}) has step_mode='m'; inside it sees [T*N, ...], "
                    "so use 's'"
                )
            if name and isinstance(module, MultiStepContainer | SeqToANNContainer):
                raise ArgumentError(
                    f"SeqToANNContainer: {name} ({type(module).__name__}) takes [T, N, ...], but inside it would see "
                    "[T*N, ...]; put it beside the container, not inside"
                )

    def forward(self, x: Tensor) -> Any:
        _check_time(x, self)
        self._check_children()
        lead = x.shape[:2]
        out = super().forward(x.reshape(math.prod(lead), *x.shape[2:]))
        return out.reshape(*lead, *out.shape[1:])
