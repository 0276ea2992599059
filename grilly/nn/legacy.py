"""Flat spiking layers: arrays in, arrays out, state inside, no gradients."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number, whole_number
from grilly.nn.checks import check_input
from grilly.nn.linear import Linear
from grilly.nn.module import Module
from grilly.nn.step import kept
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.tensor import Tensor

__all__ = ["LIFNeuron", "SNNLayer"]


class LIFNeuron(Module):
    """Leaky neurons with an absolute refractory period: ``v = decay v + x``, spike and reset to 0 at ``v >= threshold``.

    Each call is one step of an array of any shape. For ``refractory`` steps after a spike ``v`` stays 0 and nothing
    fires. Memories: ``v`` and ``wait``, the steps left to be silent.

    Args:
        threshold: fires where the potential reaches it.
        decay: share of the potential that a step keeps, in [0, 1].
        refractory: steps of silence after a spike.

    Raises:
        StateError: an input of another shape before a reset.

    Example:
        >>> from grilly import nn
        >>> neuron = nn.LIFNeuron(threshold=1.0, decay=0.5, refractory=1)
        >>> [neuron([0.8]).item() for _ in range(6)]
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    """

    v: Any
    wait: Any

    def __init__(self, threshold: float = 1.0, decay: float = 0.9, refractory: int = 0) -> None:
        super().__init__()
        self.threshold = finite_number(threshold, "LIFNeuron: threshold")
        self.decay = finite_number(decay, "LIFNeuron: decay (of the potential, in [0, 1])", 0.0, 1.0 + 1e-12)
        self.refractory = whole_number(refractory, "LIFNeuron: refractory (time steps)", 0)
        self.register_memory("v", 0.0)
        self.register_memory("wait", 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The spikes of one step."""
        check_input(self, x)
        v, wait = kept(self, self.v, x.shape, x), kept(self, self.wait, x.shape, x)
        attrs: dict[str, Any] = dict(threshold=self.threshold, decay=self.decay, refractory=self.refractory)
        spikes, self.v, self.wait = ops.lif_neuron(x.detach(), v, wait, **attrs)
        return spikes

    def extra_repr(self) -> str:
        return f"threshold={self.threshold:g}, decay={self.decay:g}, refractory={self.refractory}"


class SNNLayer(Module):
    """``Linear`` then ``LIFNeuron``: one step of ``[..., in_features]`` in, spikes ``[..., out_features]`` out.

    Args:
        in_features, out_features: extents of the last axis.
        threshold, decay, refractory: see :class:`LIFNeuron`.
        bias: whether the linear part has one.

    Example:
        >>> from grilly import nn
        >>> nn.SNNLayer(in_features=4, out_features=2)([1.0, 0.0, 0.0, 1.0]).shape
        (2,)
    """

    linear: Linear
    neuron: LIFNeuron

    def __init__(
        self,
        in_features: int,
        out_features: int,
        threshold: float = 1.0,
        decay: float = 0.9,
        refractory: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features, bias)
        self.neuron = LIFNeuron(threshold, decay, refractory)

    def forward(self, x: Tensor) -> Tensor:
        """The spikes of one step."""
        with no_grad():
            spikes: Tensor = self.neuron(self.linear(x))
        return spikes
