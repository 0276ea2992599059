"""A network in words, which can be built on any backend, in any form, as often as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import grilly
import grilly.functional as F
from grilly import nn
from grilly_core.backend import Backend
from grilly_core.selection import using
from grilly_core.testing.strategies import on_grid

__all__ = ["FORMS", "Layer", "Plan"]

FORMS = ("m", "s", "container", "seq_to_ann", "forward")
"""How a network is run over time: its layers take all steps; one step after the other; in a ``MultiStepContainer``; what has
no state in a ``SeqToANNContainer``; through ``F.multi_step_forward``."""

_COARSE = 4.0  # weights and inputs are multiples of 1/4, so that sums of their products leave room for decays


@dataclass(frozen=True)
class Layer:
    """A class of ``grilly.nn`` and its arguments, which may be layers."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The module on the active backend."""
        settings = {
            name: value.build() if isinstance(value, Layer) else value
            for name, value in self.settings.items()
        }
        made: nn.Module = getattr(nn, self.kind)(**settings)
        return made

    def __repr__(self) -> str:
        return f"nn.{self.kind}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


@dataclass(frozen=True)
class Plan:
    """A network, its weights and its input.

    Attributes:
        layers: one after the other.
        shape: of one sample at one time step.
        steps: T.
        batch: N.
        seed: of weights, input and what arrives backwards.
        exact: everything lies on the dyadic grid, and every result is exact in float32.
        training: whether the network trains (dropout draws masks, norms take statistics of the batch).
    """

    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    steps: int
    batch: int
    seed: int
    exact: bool
    training: bool = False

    def build(self, backend: Backend, form: str = "m") -> nn.Module:
        """The network on ``backend``, with the weights of this plan; one of :data:`FORMS`."""
        with using(backend):
            grilly.seed(self.seed)
            net = self._assemble([layer.build() for layer in self.layers], form)
            self._fill(net)
        net.train(self.training)
        return net

    def _assemble(self, modules: list[nn.Module], form: str) -> nn.Module:
        if form == "container":
            return nn.MultiStepContainer(*modules)
        if form == "seq_to_ann":
            modules = _grouped(modules)
        net = nn.Sequential(*modules)
        if form in ("m", "seq_to_ann"):
            F.set_step_mode(net, "m")
        return net

    def _fill(self, net: nn.Module) -> None:
        rng = np.random.default_rng([self.seed, 1])
        for parameter in net.parameters():
            if parameter.ndim:  # scalars are decays and slopes, which the plan has chosen
                parameter.assign(self._values(rng, parameter.numpy()).astype("float32"))
        for module in net.modules():
            for name, buffer in list(module._buffers.items()):
                if name.startswith("running"):
                    module.set_buffer(name, buffer.numpy() + rng.random(buffer.shape))

    def _values(self, rng: np.random.Generator, initial: np.ndarray) -> np.ndarray:
        if self.exact:
            return rng.integers(-4, 4, initial.shape, endpoint=True) / _COARSE
        if initial.ndim < 2:
            return initial + 0.5 * rng.standard_normal(initial.shape)
        return rng.standard_normal(initial.shape) * (2.5 / math.sqrt(math.prod(initial.shape[1:])))

    def inputs(self) -> np.ndarray:
        """``[T, N, ...]``; on the grid multiples of 1/4 up to 2."""
        rng, shape = np.random.default_rng([self.seed, 2]), (self.steps, self.batch, *self.shape)
        if self.exact:
            return rng.integers(-8, 8, shape, endpoint=True).astype("float32") / np.float32(_COARSE)
        return (0.3 + 1.5 * rng.standard_normal(shape)).astype("float32")

    def cotangents(self, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """What arrives at results of these shapes: on the grid, never 0, so that every path counts."""
        rng = np.random.default_rng([self.seed, 3])
        signs = [rng.choice([-1.0, 1.0], shape) for shape in shapes]
        return [(sign + on_grid(rng, sign.shape, low=-0.5, high=0.5)).astype("float32") for sign in signs]


def _grouped(modules: list[nn.Module]) -> list[nn.Module]:
    """Neighbours without state in one ``SeqToANNContainer`` each."""
    groups: list[list[nn.Module]] = []
    for module in modules:
        stateless = not module._memory_defaults
        if stateless and groups and not groups[-1][0]._memory_defaults:
            groups[-1].append(module)
        else:
            groups.append([module])
    return [group[0] if group[0]._memory_defaults else nn.SeqToANNContainer(*group) for group in groups]
