"""The kinds of monitors: outputs, inputs, attributes, gradients at outputs."""

from __future__ import annotations

from typing import Any

from grilly.monitor.base import Function, Layers, Monitor
from grilly.nn import BaseNode, HookHandle, Module, MultiStepContainer, SeqToANNContainer
from grilly_core.errors import ArgumentError, StateError
from grilly_core.tensor import Tensor

__all__ = ["AttributeMonitor", "GradOutputMonitor", "InputMonitor", "OutputMonitor"]


def _timed(layer: Module) -> bool:
    """Whether a call of the layer takes all time steps."""
    containers = isinstance(layer, MultiStepContainer | SeqToANNContainer)
    return containers or getattr(layer, "step_mode", "s") == "m"


class OutputMonitor(Monitor):
    """Records what layers put out: spikes, currents, logits.

    Args:
        net, layers, function, every, max_steps: see :class:`Monitor`.

    Example:
        >>> from grilly import monitor, nn
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.IFNode())
        >>> spikes = monitor.OutputMonitor(net, every=2)  # all spiking neurons
        >>> for _ in range(5):
        ...     _ = net([[0.0, 1.0, 2.0]])
        >>> len(spikes["1"]), spikes["1"][0].shape
        (3, (1, 2))
    """

    def _attach(self, name: str, layer: Module) -> HookHandle:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> None:
            call = self._call(name, output, _timed(module))
            if call is not None:
                self._keep(name, call, output)

        return layer.register_forward_hook(hook)


class InputMonitor(Monitor):
    """Records what layers take in: a Tensor, or a tuple of them where a layer takes several.

    Args:
        net, layers, function, every, max_steps: see :class:`Monitor`.

    Example:
        >>> from grilly import monitor, nn
        >>> net = nn.Sequential(nn.ReLU(), nn.IFNode())
        >>> with monitor.InputMonitor(net, "1") as currents:
        ...     _ = net([-1.0, 2.0])
        >>> currents["1"][0].tolist()
        [0.0, 2.0]
    """

    def _attach(self, name: str, layer: Module) -> HookHandle:
        def hook(module: Module, args: tuple[Any, ...]) -> None:
            value = args[0] if len(args) == 1 else args
            call = self._call(name, value, _timed(module))
            if call is not None:
                self._keep(name, call, value)

        return layer.register_forward_pre_hook(hook)


class AttributeMonitor(Monitor):
    """Records an attribute of layers after (or before) each call: potentials ``v``, a running statistic, a weight.

    Attributes whose name ends in ``_seq`` hold all steps of a call in step mode 'm' and are recorded step by step;
    any other attribute gives one record a call, which counts as one step.

    Args:
        attribute: its name, e.g. ``"v"``, or ``"v_seq"`` of neurons with ``store_v_seq=True``.
        pre_forward: record before the call instead of after it.
        net, layers, function, every, max_steps: see :class:`Monitor`.

    Raises:
        ArgumentError: a layer without this attribute.
        StateError: the attribute is None when it is to be recorded (raised in the network's forward).

    Example:
        >>> from grilly import monitor, nn
        >>> node = nn.LIFNode(tau=2.0, step_mode="m", store_v_seq=True)
        >>> with monitor.AttributeMonitor("v_seq", False, node, nn.LIFNode) as potentials:
        ...     _ = node([[1.5], [1.5], [1.5]])
        >>> potentials.sequence("").tolist()
        [[0.75], [0.0], [0.75]]
    """

    def __init__(
        self,
        attribute: str,
        pre_forward: bool,
        net: Module,
        layers: Layers = BaseNode,
        function: Function | None = None,
        *,
        every: int = 1,
        max_steps: int | None = 1000,
    ) -> None:
        self.attribute, self.pre_forward = attribute, bool(pre_forward)
        super().__init__(net, layers, function, every=every, max_steps=max_steps)

    def _check(self, name: str, layer: Module) -> None:
        if not (isinstance(self.attribute, str) and hasattr(layer, self.attribute)):
            raise ArgumentError(
                f"AttributeMonitor: layer {name!r} ({type(layer).__name__}) has no attribute {self.attribute!r}"
            )

    def _attach(self, name: str, layer: Module) -> HookHandle:
        def hook(module: Module, *_: Any) -> None:
            value = getattr(module, self.attribute)
            timed = self.attribute.endswith("_seq") and _timed(module)
            if self._enabled and value is None:
                cure = (
                    "; it is stored in step_mode='m' with store_v_seq=True"
                    if self.attribute == "v_seq"
                    else ""
                )
                raise StateError(
                    f"AttributeMonitor: {self.attribute} of layer {name!r} ({type(module).__name__}) is None{cure}"
                )
            call = self._call(name, value, timed)
            if call is not None:
                self._keep(name, call, value)

        return (
            layer.register_forward_pre_hook(hook) if self.pre_forward else layer.register_forward_hook(hook)
        )


class GradOutputMonitor(Monitor):
    """Records the gradient that arrives at the output of layers in ``backward``.

    The steps that are recorded, and their order, are those of the forward calls, although backward takes them from
    the last to the first.

    Args:
        net, layers, function, every, max_steps: see :class:`Monitor`.

    Raises:
        ArgumentError: a layer whose output is not one Tensor (raised in the network's forward).

    Example:
        >>> from grilly import monitor, nn
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.IFNode())
        >>> with monitor.GradOutputMonitor(net, nn.IFNode) as gradients:
        ...     (net([[0.0, 1.0, 2.0]]) * 3).sum().backward()
        >>> gradients["1"][0].tolist()
        [[3.0, 3.0]]
    """

    def _attach(self, name: str, layer: Module) -> HookHandle:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
            if not isinstance(output, Tensor):
                raise ArgumentError(
                    f"GradOutputMonitor: the output of layer {name!r} ({type(module).__name__}) is a "
                    f"{type(output).__name__}; monitor layers that put out one Tensor"
                )
            if not output.requires_grad:
                return None
            call = self._call(name, output, _timed(module))
            return None if call is None else output.register_hook(lambda grad: self._keep(name, call, grad))

        return layer.register_forward_hook(hook)
