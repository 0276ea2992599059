"""Spike-timing-dependent plasticity of a layer inside a network: a learner that listens to the layer and its neuron."""

from __future__ import annotations

import math
from typing import Any

from grilly._checks import finite_number
from grilly.functional.plasticity import stdp_update
from grilly.nn.conv import Conv1d, Conv2d
from grilly.nn.linear import Linear
from grilly.nn.module import HookHandle, Module
from grilly.nn.parameter import Parameter
from grilly_core import ops
from grilly_core.errors import ArgumentError, GrillyError, ShapeError, StateError
from grilly_core.tensor import Tensor

__all__ = ["STDPLearner"]


class STDPLearner:
    """Records what goes into a layer and what its neuron emits, and changes the layer's weight by ``F.stdp_update``.

    It listens through forward hooks while the layer is in training mode, in single-step and multi-step networks and inside
    time containers. :meth:`step` uses what was recorded since the last one and keeps both traces; :meth:`reset` forgets
    everything and belongs beside ``F.reset_net``. Gradients play no part: weights of the layer may be trained by an
    optimiser as well, or be frozen.

    Args:
        layer: ``Linear``, ``Conv1d`` or ``Conv2d`` (a bias is left as it is).
        neuron: the module whose output are the spikes after that layer.
        tau_pre, tau_post: time constants of the traces in steps, at least 1.
        a_pre, a_post: how much a spike in lowers, and a spike out raises, a weight.
        w_min, w_max: limits of the weights; None: none.

    Attributes:
        enabled: False stops recording.
        trace_pre, trace_post: traces after the last :meth:`step`, None before.

    Raises:
        ArgumentError: a layer without a weight of such a kind, a neuron that is no module.

    Example:
        >>> import grilly.functional as F
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Linear(4, 2, bias=False), nn.IFNode(v_threshold=0.1))
        >>> learner = nn.STDPLearner(net[0], net[1], a_pre=0.0, a_post=0.1)
        >>> net[0].weight.assign([[0.2] * 4, [0.0] * 4])
        >>> spikes = F.multi_step_forward(net, [[[1.0, 0.0, 0.0, 1.0]]] * 3)
        >>> learner.step()
        >>> [[round(w, 3) for w in row] for row in net[0].weight.tolist()]
        [[0.78, 0.2, 0.2, 0.78], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        layer: Module,
        neuron: Module,
        tau_pre: float = 20.0,
        tau_post: float = 20.0,
        a_pre: float = 0.012,
        a_post: float = 0.01,
        w_min: float | None = None,
        w_max: float | None = None,
    ) -> None:
        if not isinstance(layer, Linear | Conv1d | Conv2d):
            raise ArgumentError(f"STDPLearner: layer must be a Linear, Conv1d or Conv2d, got {layer!r}")
        if not isinstance(neuron, Module) or neuron is layer:
            raise ArgumentError(
                f"STDPLearner: neuron must be the module that emits the spikes, got {neuron!r}"
            )
        self.layer, self.neuron = layer, neuron
        self.tau_pre = finite_number(tau_pre, "STDPLearner: tau_pre (time steps)", 1.0)
        self.tau_post = finite_number(tau_post, "STDPLearner: tau_post (time steps)", 1.0)
        self.a_pre = finite_number(a_pre, "STDPLearner: a_pre")
        self.a_post = finite_number(a_post, "STDPLearner: a_post")
        self.w_min = None if w_min is None else finite_number(w_min, "STDPLearner: w_min (or None)")
        self.w_max = None if w_max is None else finite_number(w_max, "STDPLearner: w_max (or None)")
        self.enabled = True
        self.trace_pre: Tensor | None = None
        self.trace_post: Tensor | None = None
        self._pre: list[Tensor] = []
        self._post: list[Tensor] = []
        self._hooks: list[HookHandle] = [
            layer.register_forward_hook(self._came_in),
            neuron.register_forward_hook(self._went_out),
        ]

    # What the hooks record

    def _listening(self) -> bool:
        return self.enabled and self.layer.training

    def _came_in(self, layer: Module, args: tuple[Any, ...], output: Any) -> None:
        if self._listening():
            self._pre.append(args[0].detach())

    def _went_out(self, neuron: Module, args: tuple[Any, ...], output: Any) -> None:
        if self._listening():
            spikes = output.detach()
            self._post.append(spikes if getattr(neuron, "step_mode", "s") == "m" else spikes.expand_dims(0))

    @property
    def recorded(self) -> int:
        """How many steps of the neuron wait for :meth:`step`."""
        return sum(spikes.shape[0] for spikes in self._post)

    # Learning

    def step(self, scale: float = 1.0) -> None:
        """Change the layer's weight by all that was recorded since the last step; then forget it, but for the traces.

        Args:
            scale: factor on ``a_pre`` and ``a_post`` of this step (a learning rate that falls).

        Raises:
            StateError: nothing was recorded, the layer or the neuron was never called (it was replaced in the network), a
                batch of another size than the traces are of.
            ShapeError: what was recorded does not fit the layer: something stands between it and the neuron.
        """
        scale = finite_number(scale, "STDPLearner.step: scale")
        weight = self.layer.weight
        if not isinstance(weight, Parameter):
            raise StateError(f"{self._name()}: the layer's weight is {weight!r}, not a Parameter any more")
        self._check_recorded()
        pre, post = self._sides()
        self._check_traces(pre, post)
        try:
            following, self.trace_pre, self.trace_post = stdp_update(
                weight.detach(),
                pre,
                post,
                self.trace_pre,
                self.trace_post,
                tau_pre=self.tau_pre,
                tau_post=self.tau_post,
                a_pre=self.a_pre * scale,
                a_post=self.a_post * scale,
                w_min=self.w_min,
                w_max=self.w_max,
                **self._window(),
            )
        except GrillyError as error:
            raise type(error)(f"{self._name()}: {error}") from error
        weight.assign(following)
        self._pre, self._post = [], []

    def reset(self) -> None:
        """Forget what was recorded, and the traces."""
        self._pre, self._post = [], []
        self.trace_pre = self.trace_post = None

    def remove(self) -> None:
        """Stop listening for good."""
        for hook in self._hooks:
            hook.remove()
        self.reset()

    def _name(self) -> str:
        return f"STDPLearner of {type(self.layer).__name__} and {type(self.neuron).__name__}"

    def _check_recorded(self) -> None:
        if self._pre and self._post:
            return
        if not self._pre and not self._post:
            raise StateError(
                f"{self._name()}: nothing was recorded since the last step. Run the network in training mode (net.train(), "
                "learner.enabled) before step()"
            )
        silent, heard = ("layer", "neuron") if self._post else ("neuron", "layer")
        raise StateError(
            f"{self._name()}: the {heard} was called, the {silent} never: was it replaced in the network, or is it not part "
            f"of it? Call remove() and make a learner of the {silent} that is used"
        )

    def _sides(self) -> tuple[Tensor, Tensor]:
        """What was recorded as ``[T, N, ...]`` on both sides, whatever pieces it came in."""
        axes = self.layer.weight.ndim - 1  # of one sample: channels and space
        post = ops.concat(self._post, axis=0) if len(self._post) > 1 else self._post[0]
        rows = [x.reshape(math.prod(x.shape[: x.ndim - axes]), *x.shape[x.ndim - axes :]) for x in self._pre]
        pre = ops.concat(rows, axis=0) if len(rows) > 1 else rows[0]
        steps = post.shape[0]
        after = post.shape[post.ndim - axes :]
        samples = math.prod(post.shape[: post.ndim - axes])
        if post.ndim <= axes or samples != pre.shape[0]:
            raise ShapeError(
                f"{self._name()}: recorded {pre.shape[0]} samples of {pre.shape[1:]} before the layer and spikes "
                f"{post.shape} after {steps} steps of the neuron; these do not pair. Both must see the same steps and "
                "batch: was one of them replaced in the network, or does something else stand between them?"
            )
        each = samples // steps
        return pre.reshape(steps, each, *pre.shape[1:]), post.reshape(steps, each, *after)

    def _check_traces(self, pre: Tensor, post: Tensor) -> None:
        for trace, side in ((self.trace_pre, pre), (self.trace_post, post)):
            if trace is None:
                continue
            if trace.shape != side.shape[1:] or trace.spec.dtype != side.spec.dtype:
                raise StateError(
                    f"{self._name()}: the trace kept from before is {trace.spec}, the spikes of a step are now of shape "
                    f"{side.shape[1:]} and {side.spec.dtype}. Call learner.reset() before a batch of another shape"
                )
            if trace._backend is not side._backend:
                raise StateError(
                    f"{self._name()}: the trace kept from before is on {trace.backend}, the spikes on {side.backend}. Call "
                    "learner.reset() after moving the network"
                )

    def _window(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {} if isinstance(self.layer, Linear) else {name: getattr(self.layer, name) for name in names}

    def __repr__(self) -> str:
        return (
            f"STDPLearner({self.layer!r}, {self.neuron!r}, tau_pre={self.tau_pre:g}, tau_post={self.tau_post:g}, "
            f"a_pre={self.a_pre:g}, a_post={self.a_post:g})"
        )
