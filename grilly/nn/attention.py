"""Attention of spiking networks: over time steps, and over tokens without a softmax."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from grilly._checks import finite_number, whole_number
from grilly.nn import init
from grilly.nn.checks import check_input
from grilly.nn.linear import Linear
from grilly.nn.neurons import LIFNode
from grilly.nn.norm import BatchNorm
from grilly.nn.parameter import Parameter
from grilly.nn.step import MultiStepModule
from grilly.random import host_uniform
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor, zeros

__all__ = [
    "ChannelQKAttention", "QKAttention", "SpikingSelfAttention", "TemporalWiseAttention", "TokenQKAttention",
]  # fmt: skip

_TAU, _GATE = 2.0, 0.5  # of every neuron here; threshold of those behind attention
_SPREAD = (-4.0, 2.0)


def rate_bias(rate: float) -> float:
    """The shift at which a norm of scale ``_TAU`` makes a neuron of threshold 1 fire at ``rate`` in its first step.

    The first potential is ``x / tau``, so it fires where ``tau z + bias >= tau`` for a standard normal z.

    Example:
        >>> rate_bias(0.5)
        2.0
    """
    return _TAU * (1.0 + NormalDist().inv_cdf(rate))


class _TokenNorm(BatchNorm):
    """Batch norm of the last axis over all others, T among them."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(math.prod(x.shape[:-1]), self.num_features, 1)
        return (self._train(rows) if self.training else self._infer(rows)).reshape(x.shape)


class _TokenAttention(MultiStepModule):
    """Projections of ``[T, N, L, D]`` to spikes: ``Linear -> batch norm over T, N and L -> LIF`` by name."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        names: tuple[str, ...],
        surrogate_function: Surrogate | None,
        step_mode: str,
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.embed_dim = whole_number(embed_dim, f"{owner}: embed_dim", 1)
        self.num_heads = whole_number(num_heads, f"{owner}: num_heads", 1)
        if self.embed_dim % self.num_heads:
            raise ArgumentError(
                f"{owner}: embed_dim={embed_dim} cannot be split into num_heads={num_heads}; take a divisor of it"
            )
        self.head_dim = self.embed_dim // self.num_heads
        self._surrogate = surrogate_function
        for name in (*names, "out"):
            projection = Linear(self.embed_dim, self.embed_dim, bias=False)
            # Where half of the inputs fire the sums have variance 1, with which the running statistics start.
            init.kaiming_uniform_(projection.weight, gain=2.0)
            norm = _TokenNorm(self.embed_dim)
            init.constant_(norm._parameters["weight"], _TAU)
            setattr(self, f"{name}_proj", projection)
            setattr(self, f"{name}_norm", norm)
            setattr(self, f"{name}_lif", self._node(1.0))
        self.attn_lif = self._node(_GATE)

    def _node(self, v_threshold: float) -> LIFNode:
        surrogate = self._surrogate
        return LIFNode(_TAU, True, v_threshold, 0.0, surrogate, detach_reset=True, step_mode="m")

    def _bias(self, name: str) -> Parameter:
        return self._modules[f"{name}_norm"]._parameters["bias"]

    def _project(self, name: str, x: Tensor) -> Tensor:
        for part in ("proj", "norm", "lif"):
            x = self._modules[f"{name}_{part}"](x)
        return x

    def _check(self, x: Tensor) -> None:
        owner = type(self).__name__
        check_input(self, x, self._modules["out_proj"]._parameters["weight"])
        if x.ndim != 4:
            cure = (
                "; make tokens of images [T, N, D, H, W] with x.flatten(3).swapaxes(2, 3)"
                if x.ndim == 5
                else ""
            )
            raise ShapeError(f"{owner} takes [T, N, L, D], tokens before channels, got shape {x.shape}{cure}")
        if x.shape[3] != self.embed_dim:
            raise ShapeError(
                f"{owner} has embed_dim={self.embed_dim}, got {x.shape[3]} in [T, N, L, D] = {x.shape}; "
                "tokens come before channels"
            )
        if x.size == 0:
            raise ShapeError(f"{owner} takes at least one step, sample and token, got {x.shape}")

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, num_heads={self.num_heads}"


class SpikingSelfAttention(_TokenAttention):
    """Self-attention between spikes, without softmax (Spikformer, Zhou et al. 2023, arXiv 2209.15425).

    Queries, keys and values are spikes: ``Linear -> batch norm over T, N and L -> LIF``. Per head
    ``LIF(Q K^T V * scale)`` with threshold 0.5, then ``Linear -> batch norm -> LIF`` once more. The products are formed
    in whichever order is cheaper; both are exact, being counts. All LIF have tau 2, no Linear has a bias.

    What Spikformer's usual initialisation leaves to chance is set here so that no stage is silent or saturated: norms
    have scale 2 (a LIF halves its input), rates of queries and keys are such that a pair of tokens matches by about
    ``1 / 2`` after scaling, whatever the width of a head, and the values' shifts run from -4 to 2 across a head, so that
    for few tokens and for many some channels lie near the threshold.

    Shapes: ``[T, N, L, D]`` (tokens before channels) to spikes of the same shape.

    Args:
        embed_dim: channels D.
        num_heads: heads, a divisor of D.
        scale: factor of the product.
        surrogate_function: of all neurons; ATan(2) if None.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        q_proj, k_proj, v_proj, out_proj: ``weight`` of each ``[D, D]``.
        q_norm, k_norm, v_norm, out_norm: ``weight`` and ``bias`` of each ``[D]``, running statistics.
        q_lif, k_lif, v_lif, attn_lif, out_lif: the neurons, with state until ``F.reset_net``.

    Raises:
        ArgumentError: heads that do not divide D, step mode 's'.
        ShapeError: not ``[T, N, L, D]``.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> spikes = (np.random.default_rng(0).random((4, 2, 9, 32)) < 0.5).astype("float32")
        >>> nn.SpikingSelfAttention(embed_dim=32, num_heads=4)(spikes).shape
        (4, 2, 9, 32)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 8,
        scale: float = 0.125,
        surrogate_function: Surrogate | None = None,
        step_mode: str = "m",
    ) -> None:
        super().__init__(embed_dim, num_heads, ("q", "k", "v"), surrogate_function, step_mode)
        self.scale = finite_number(scale, f"{type(self).__name__}: scale")
        match = math.sqrt(0.5 / (self.head_dim * abs(self.scale) or 1.0))
        for name in ("q", "k"):
            init.constant_(self._bias(name), rate_bias(min(max(match, 0.05), 0.7)))
        self._bias("v").assign(np.tile(np.linspace(*_SPREAD, self.head_dim), self.num_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all steps."""
        self._check(x)
        q, k, v = (self._heads(self._project(name, x)) for name in "qkv")
        tokens_first = x.shape[2] <= self.head_dim
        out = (q @ k.swapaxes(-1, -2)) @ v if tokens_first else q @ (k.swapaxes(-1, -2) @ v)
        drive = (out * self.scale).transpose(0, 1, 3, 2, 4).reshape(x.shape)
        return self._project("out", self.attn_lif(drive))

    def _heads(self, x: Tensor) -> Tensor:
        """``[T, N, L, D] -> [T, N, heads, L, D / heads]``."""
        return x.reshape(*x.shape[:3], self.num_heads, self.head_dim).transpose(0, 1, 3, 2, 4)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, scale={self.scale:g}"


class QKAttention(_TokenAttention):
    """Attention as a gate on the keys, linear in tokens and channels (QKFormer, Zhou et al. 2024, arXiv 2403.16552).

    Queries and keys are spikes: ``Linear -> batch norm over T, N and L -> LIF``. Mode ``'token'``: per head and token
    ``LIF(sum of q over the channels of the head)`` with threshold 0.5 gates the token's keys. Mode ``'channel'``: per
    channel ``LIF(sum of q over the tokens)`` gates the channel. Then ``Linear -> batch norm -> LIF``. All LIF have tau
    2, no Linear has a bias.

    A gate opens at the first spike, so of many independent queries one is always open. Hence in mode 'token' the
    queries of a head fire rarely at first, and half the variance of their weights is common to the head; in mode
    'channel' their shifts run from -4 to 2 across the channels. Norms have scale 2 (a LIF halves its input).

    Shapes: ``[T, N, L, D]`` (tokens before channels) to spikes of the same shape.

    Args:
        embed_dim: channels D.
        num_heads: heads, a divisor of D; without effect in mode 'channel'.
        mode: ``'token'`` or ``'channel'``.
        surrogate_function: of all neurons; ATan(2) if None.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        q_proj, k_proj, out_proj: ``weight`` of each ``[D, D]``.
        q_norm, k_norm, out_norm: ``weight`` and ``bias`` of each ``[D]``, running statistics.
        q_lif, k_lif, attn_lif, out_lif: the neurons, with state until ``F.reset_net``.

    Raises:
        ArgumentError: another mode, heads that do not divide D, step mode 's'.
        ShapeError: not ``[T, N, L, D]``.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.QKAttention(embed_dim=32, num_heads=4, mode="channel")(np.ones((4, 2, 9, 32))).shape
        (4, 2, 9, 32)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 8,
        mode: str = "token",
        surrogate_function: Surrogate | None = None,
        step_mode: str = "m",
    ) -> None:
        if mode not in ("token", "channel"):
            raise ArgumentError(f"{type(self).__name__}: mode must be 'token' or 'channel', got {mode!r}")
        super().__init__(embed_dim, num_heads, ("q", "k"), surrogate_function, step_mode)
        self.mode = mode
        if mode == "channel":
            self._bias("q").assign(np.linspace(*_SPREAD, self.embed_dim))
            return
        init.constant_(self._bias("q"), rate_bias(min(max(1.0 / self.head_dim, 0.06), 0.5)))
        weight = self._modules["q_proj"]._parameters["weight"]
        bound = 2.0 * math.sqrt(3.0 / self.embed_dim) * math.sqrt(0.5)
        own, common = (
            bound * (2.0 * host_uniform((self.num_heads, rows, self.embed_dim)) - 1.0)
            for rows in (self.head_dim, 1)
        )
        weight.assign((own + common).reshape(weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of all steps."""
        self._check(x)
        q, k = self._project("q", x), self._project("k", x)
        if self.mode == "channel":
            gated = self.attn_lif(q.sum(2, keepdims=True)) * k
        else:
            heads = (*x.shape[:3], self.num_heads, self.head_dim)
            gate = self.attn_lif(q.reshape(heads).sum(4, keepdims=True))
            gated = (gate * k.reshape(heads)).reshape(x.shape)
        return self._project("out", gated)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"


class TokenQKAttention(QKAttention):
    """:class:`QKAttention` in mode ``'token'``.

    Example:
        >>> from grilly import nn
        >>> nn.TokenQKAttention(32, num_heads=4).mode
        'token'
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 8,
        surrogate_function: Surrogate | None = None,
        step_mode: str = "m",
    ) -> None:
        super().__init__(embed_dim, num_heads, "token", surrogate_function, step_mode)


class ChannelQKAttention(QKAttention):
    """:class:`QKAttention` in mode ``'channel'``.

    Example:
        >>> from grilly import nn
        >>> nn.ChannelQKAttention(32, num_heads=4).mode
        'channel'
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 8,
        surrogate_function: Surrogate | None = None,
        step_mode: str = "m",
    ) -> None:
        super().__init__(embed_dim, num_heads, "channel", surrogate_function, step_mode)


class TemporalWiseAttention(MultiStepModule):
    """Scales each time step of each sample by how much it matters (Yao et al. 2021, arXiv 2107.11711).

    The mean-and-max form of Yao et al. 2023 (MA-SNN, arXiv 2209.13929): mean and largest value of every step go through one
    shared perceptron ``T -> T // reduction -> T`` (ReLU, no bias); the logistic function of the sum of both scales the step.

    Shapes: any ``[T, N, ...]``; the output has the shape of the input.

    Args:
        T: time steps of the input.
        reduction: how many times narrower the hidden layer is, at most T.
        step_mode: ``'m'``; there is no ``'s'``.

    Attributes:
        fc1: ``[T // reduction, T]``.
        fc2: ``[T, T // reduction]``.

    Raises:
        ArgumentError: a reduction above T, step mode 's'.
        ShapeError: another number of steps than T, no samples.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> twa = nn.TemporalWiseAttention(T=10, reduction=4)
        >>> twa(np.ones((10, 2, 3, 8, 8))).shape, twa.fc1.shape, twa.fc2.shape
        ((10, 2, 3, 8, 8), (2, 10), (10, 2))
    """

    fc1: Parameter
    fc2: Parameter

    def __init__(self, T: int, reduction: int = 4, step_mode: str = "m") -> None:  # noqa: N803
        super().__init__(step_mode)
        owner = type(self).__name__
        self.T = whole_number(T, f"{owner}: T (time steps)", 1)
        self.reduction = whole_number(reduction, f"{owner}: reduction", 1)
        hidden = self.T // self.reduction
        if hidden == 0:
            raise ArgumentError(
                f"{owner}: T={T} steps leave no hidden unit with reduction={reduction}; take a reduction of at most {T}"
            )
        self.fc1 = init.kaiming_uniform_(Parameter(zeros((hidden, self.T))), gain=math.sqrt(1 / 3))
        self.fc2 = init.kaiming_uniform_(Parameter(zeros((self.T, hidden))), gain=math.sqrt(1 / 3))

    def forward(self, x: Tensor) -> Tensor:
        """The input with its steps scaled."""
        check_input(self, x, self.fc1)
        owner = type(self).__name__
        if x.ndim < 2 or x.size == 0:
            raise ShapeError(f"{owner} takes [T, N, ...] with something in it, got {x.shape}")
        if x.shape[0] != self.T:
            raise ShapeError(
                f"{owner} was made for T={self.T} time steps, got {x.shape[0]} in {x.shape}; make it with T={x.shape[0]}"
            )
        rows = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        y: Tensor = ops.temporal_attention(rows, self.fc1, self.fc2)[0]
        return y.reshape(x.shape)

    def extra_repr(self) -> str:
        return f"T={self.T}, reduction={self.reduction}"
