"""Layers that learn from activity on both sides, without gradients. For layers inside a network see ``nn.STDPLearner``."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number, whole_number
from grilly.functional.plasticity import hebbian_update, stdp_update
from grilly.nn import init
from grilly.nn.checks import check_input
from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly.nn.step import kept
from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.tensor import Tensor, tensor, zeros

__all__ = ["HebbianLayer", "STDPLayer"]


class _Plastic(Module):
    """A weight without gradient, and how activities of one step or several reach its rule."""

    weight: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        owner = type(self).__name__
        self.in_features = whole_number(in_features, f"{owner}: in_features", 1)
        self.out_features = whole_number(out_features, f"{owner}: out_features", 1)
        start = Parameter(zeros((self.out_features, self.in_features)), requires_grad=False)
        self.register_buffer("weight", init.kaiming_uniform_(start, gain=3.0**-0.5).detach())

    def forward(self, x: Tensor) -> Tensor:
        """``x W^T`` over the last axis."""
        check_input(self, x, self.weight)
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"{type(self).__name__}({self.in_features}, {self.out_features}) takes [..., {self.in_features}], got "
                f"{x.shape}"
            )
        out: Tensor = ops.linear(x.detach(), self.weight, None)
        return out

    def _steps(self, activity: Any, features: int, name: str) -> Tensor:
        """``[features]``, ``[N, features]`` or ``[T, N, features]`` as the last of these."""
        given = activity
        if not isinstance(given, Tensor):
            given = tensor(given, dtype=self.weight.dtype, backend=self.weight._backend)
        check_input(self, given, self.weight)
        if not 1 <= given.ndim <= 3 or given.shape[-1] != features:
            raise ShapeError(
                f"{type(self).__name__}({self.in_features}, {self.out_features}): {name} must be [{features}], "
                f"[N, {features}] or [T, N, {features}], got {given.shape}"
            )
        return given.reshape(*(1,) * (3 - given.ndim), *given.shape)

    def _sides(self, pre: Any, post: Any) -> tuple[Tensor, Tensor]:
        before = self._steps(pre, self.in_features, "pre")
        after = self._steps(post, self.out_features, "post")
        if before.shape[:2] != after.shape[:2]:
            raise ShapeError(
                f"{type(self).__name__}: pre has {before.shape[:2]} time steps and samples, post {after.shape[:2]}"
            )
        return before, after

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class HebbianLayer(_Plastic):
    """A linear layer that learns what fires together: ``w + lr mean(post pre) - decay w``.

    Args:
        in_features, out_features: extents of the last axis.
        lr: learning rate.
        decay: share of the weight that an update forgets.

    Shapes: weight ``[out, in]``, a buffer (no gradient), uniform in ``+-1 / sqrt(in)`` at first.

    Example:
        >>> from grilly import nn
        >>> layer = nn.HebbianLayer(2, 1, lr=0.5)
        >>> before = layer.weight.numpy()
        >>> [round(float(change), 5) for change in (layer.update_weights([1.0, 0.0], [1.0]).numpy() - before)[0]]
        [0.5, 0.0]
    """

    def __init__(self, in_features: int, out_features: int, lr: float = 0.01, decay: float = 0.0) -> None:
        super().__init__(in_features, out_features)
        self.lr = finite_number(lr, "HebbianLayer: lr")
        self.decay = finite_number(decay, "HebbianLayer: decay")

    def update_weights(
        self, pre: Any, post: Any, *, lr: float | None = None, decay: float | None = None
    ) -> Tensor:
        """Learn from activities on both sides.

        Args:
            pre: what came in: ``[in]``, ``[N, in]`` or ``[T, N, in]``.
            post: what went out, likewise.
            lr, decay: for this update; None: the layer's own.

        Returns:
            The new weight, also in ``weight``.
        """
        before, after = self._sides(pre, post)
        self.weight = hebbian_update(
            self.weight,
            before,
            after,
            lr=self.lr if lr is None else lr,
            decay=self.decay if decay is None else decay,
        )
        return self.weight

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, lr={self.lr:g}, decay={self.decay:g}"


class STDPLayer(_Plastic):
    """A linear layer that learns from the order of spikes; see ``F.stdp_update``.

    Traces stay from update to update in the memories ``trace_pre [N, in]`` and ``trace_post [N, out]``, until ``reset()``.

    Args:
        in_features, out_features: extents of the last axis.
        tau_pre, tau_post: time constants of the traces in steps, at least 1.
        a_pre, a_post: how much a spike in lowers, and a spike out raises, a weight.
        w_min, w_max: limits of the weights; None: none.

    Shapes: weight ``[out, in]``, a buffer (no gradient), uniform in ``+-1 / sqrt(in)`` at first.

    Raises:
        StateError: a batch of another size before a reset.

    Example:
        >>> from grilly import nn
        >>> layer = nn.STDPLayer(2, 1)
        >>> before = layer.weight.numpy()
        >>> [round(float(change), 5) for change in (layer.update_weights([1.0, 0.0], [1.0]).numpy() - before)[0]]
        [-0.002, 0.0]
    """

    trace_pre: Any
    trace_post: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        tau_pre: float = 20.0,
        tau_post: float = 20.0,
        a_pre: float = 0.012,
        a_post: float = 0.01,
        w_min: float | None = None,
        w_max: float | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.tau_pre = finite_number(tau_pre, "STDPLayer: tau_pre (time steps)", 1.0)
        self.tau_post = finite_number(tau_post, "STDPLayer: tau_post (time steps)", 1.0)
        self.a_pre = finite_number(a_pre, "STDPLayer: a_pre")
        self.a_post = finite_number(a_post, "STDPLayer: a_post")
        self.w_min = None if w_min is None else finite_number(w_min, "STDPLayer: w_min (or None)")
        self.w_max = None if w_max is None else finite_number(w_max, "STDPLayer: w_max (or None)")
        self.register_memory("trace_pre", 0.0)
        self.register_memory("trace_post", 0.0)

    def update_weights(self, pre: Any, post: Any) -> Tensor:
        """Learn from spikes on both sides, after what the traces hold.

        Args:
            pre: spikes that came in: ``[in]`` or ``[N, in]`` of one step, ``[T, N, in]`` of several.
            post: spikes that went out, likewise.

        Returns:
            The new weight, also in ``weight``.
        """
        before, after = self._sides(pre, post)
        traces = (
            kept(self, self.trace_pre, before.shape[1:], before),
            kept(self, self.trace_post, after.shape[1:], after),
        )
        self.weight, self.trace_pre, self.trace_post = stdp_update(
            self.weight,
            before,
            after,
            *traces,
            tau_pre=self.tau_pre,
            tau_post=self.tau_post,
            a_pre=self.a_pre,
            a_post=self.a_post,
            w_min=self.w_min,
            w_max=self.w_max,
        )
        return self.weight

    def extra_repr(self) -> str:
        rates = f"tau_pre={self.tau_pre:g}, tau_post={self.tau_post:g}, a_pre={self.a_pre:g}, a_post={self.a_post:g}"
        return f"{super().extra_repr()}, {rates}"
