"""Surrogate gradients: what backward uses in place of the derivative of the step function.

Forward is always the step ``u >= 0``; only backward sees the surrogate. ``u`` is the membrane potential minus
the threshold. Each class gives ``derivative(u)`` and ``primitive(u)``, the smooth function it is the derivative
of, both written in ops, so that a class of the user's own works on every backend:

Example:
    >>> import grilly
    >>> u = grilly.tensor([-1.0, 0.0, 1.0])
    >>> ATan(alpha=2.0).derivative(u).numpy().round(4)
    array([0.092, 1.   , 0.092], dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from grilly_core import ops
from grilly_core.errors import ArgumentError
from grilly_core.tensor import Tensor, full

__all__ = [
    "ATan", "Erf", "FastSigmoid", "PiecewiseExp", "PiecewiseQuadratic", "Rect", "Sigmoid", "StraightThrough",
    "SuperSpike", "Surrogate", "fused_surrogate",
]  # fmt: skip


@dataclass(frozen=True)
class Surrogate:
    """Base class. A subclass is a frozen dataclass (it is used as an attribute, so it must be hashable)."""

    def derivative(self, u: Tensor) -> Tensor:
        """The derivative used in backward, elementwise."""
        raise NotImplementedError(f"{type(self).__name__} does not define derivative(u)")

    def primitive(self, u: Tensor) -> Tensor:
        """A smooth function whose derivative is ``derivative``; used by gradient checks only."""
        raise NotImplementedError(f"{type(self).__name__} does not define primitive(u)")


@dataclass(frozen=True)
class _Alpha(Surrogate):
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, int | float) and math.isfinite(self.alpha) and self.alpha > 0):
            raise ArgumentError(f"{type(self).__name__}: alpha must be a number above 0, got {self.alpha!r}")


@dataclass(frozen=True)
class ATan(_Alpha):
    """``a / (2 (1 + (pi/2 a u)^2))``, from ``atan(pi/2 a u) / pi + 1/2`` (Fang et al. 2021, arXiv 2007.05785)."""

    alpha: float = 2.0

    def derivative(self, u: Tensor) -> Tensor:
        z = u * (math.pi / 2 * self.alpha)
        return (self.alpha / 2) / (z * z + 1.0)

    def primitive(self, u: Tensor) -> Tensor:
        return ops.atan(u * (math.pi / 2 * self.alpha)) * (1 / math.pi) + 0.5


@dataclass(frozen=True)
class Sigmoid(_Alpha):
    """``a s(au) (1 - s(au))``, from the logistic function ``s(au)``."""

    alpha: float = 4.0

    def derivative(self, u: Tensor) -> Tensor:
        s = (u * self.alpha).sigmoid()
        return (s * (1.0 - s)) * self.alpha

    def primitive(self, u: Tensor) -> Tensor:
        return (u * self.alpha).sigmoid()


@dataclass(frozen=True)
class FastSigmoid(_Alpha):
    """``a / (2 (1 + a|u|)^2)``, from ``1/2 (1 + au / (1 + a|u|))`` (Zenke & Ganguli 2018, arXiv 1705.11146)."""

    alpha: float = 2.0

    def derivative(self, u: Tensor) -> Tensor:
        d = u.abs() * self.alpha + 1.0
        return (self.alpha / 2) / (d * d)

    def primitive(self, u: Tensor) -> Tensor:
        z = u * self.alpha
        return z / (z.abs() + 1.0) * 0.5 + 0.5


@dataclass(frozen=True)
class PiecewiseQuadratic(_Alpha):
    """``max(0, a - a^2 |u|)``: a triangle of area 1 (Bellec et al. 2018, arXiv 1803.09574)."""

    def derivative(self, u: Tensor) -> Tensor:
        return (self.alpha - u.abs() * self.alpha**2).relu()

    def primitive(self, u: Tensor) -> Tensor:
        z = ops.clip(u, low=-1 / self.alpha, high=1 / self.alpha)
        return z * self.alpha - z * z.abs() * (self.alpha**2 / 2) + 0.5


@dataclass(frozen=True)
class PiecewiseExp(_Alpha):
    """``a/2 e^(-a|u|)`` (Shrestha & Orchard 2018, arXiv 1810.08646)."""

    def derivative(self, u: Tensor) -> Tensor:
        return (u.abs() * -self.alpha).exp() * (self.alpha / 2)

    def primitive(self, u: Tensor) -> Tensor:
        rise = 1.0 - (u.abs() * -self.alpha).exp()
        return ops.where(u >= 0, rise, -rise) * 0.5 + 0.5


@dataclass(frozen=True)
class SuperSpike(_Alpha):
    """``a / (1 + |u|)^2`` (Zenke & Ganguli 2018, arXiv 1705.11146)."""

    def derivative(self, u: Tensor) -> Tensor:
        d = u.abs() + 1.0
        return self.alpha / (d * d)

    def primitive(self, u: Tensor) -> Tensor:
        return u / (u.abs() + 1.0) * self.alpha


@dataclass(frozen=True)
class Erf(_Alpha):
    """``a / sqrt(pi) e^(-a^2 u^2)``, from ``1/2 (1 + erf(au))``."""

    alpha: float = 2.0

    def derivative(self, u: Tensor) -> Tensor:
        z = u * self.alpha
        return (-(z * z)).exp() * (self.alpha / math.sqrt(math.pi))

    def primitive(self, u: Tensor) -> Tensor:
        return ops.erf(u * self.alpha) * 0.5 + 0.5


@dataclass(frozen=True)
class Rect(_Alpha):
    """``a`` where ``|u| < 1/(2a)``, else 0 (Wu et al. 2018, arXiv 1706.02609)."""

    def derivative(self, u: Tensor) -> Tensor:
        return (u.abs() < 0.5 / self.alpha).astype(u.dtype) * self.alpha

    def primitive(self, u: Tensor) -> Tensor:
        return ops.clip(u * self.alpha + 0.5, low=0.0, high=1.0)


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    """1 everywhere (Bengio et al. 2013, arXiv 1308.3432)."""

    def derivative(self, u: Tensor) -> Tensor:
        return full(u.shape, 1.0, u.spec.dtype, u._backend)

    def primitive(self, u: Tensor) -> Tensor:
        return u * 1.0


_FUSED: dict[type[Surrogate], Callable[[float], tuple[int, float, float]]] = {
    ATan: lambda a: (0, math.pi / 2 * a, a / 2),
    Sigmoid: lambda a: (1, a, a),
    FastSigmoid: lambda a: (2, a, a / 2),
    SuperSpike: lambda a: (2, 1.0, a),
    PiecewiseQuadratic: lambda a: (3, a * a, a),
    PiecewiseExp: lambda a: (4, a, a / 2),
    Erf: lambda a: (5, a, a / math.sqrt(math.pi)),
    Rect: lambda a: (6, 0.5 / a, a),
    StraightThrough: lambda a: (7, 0.0, 1.0),
}


def fused_surrogate(surrogate: Surrogate) -> tuple[int, float, float] | None:
    """What kernels that have the built-in derivatives in their source take: which one, ``scale`` and ``top``.

    With ``z = scale u``: 0 is ``top / (1 + z^2)``; 1 ``top e^-|z| / (1 + e^-|z|)^2``; 2 ``top / (1 + |z|)^2``; 3
    ``max(0, top - |z|)``; 4 ``top e^-|z|``; 5 ``top e^(-z^2)``; 6 ``top`` where ``|u| < scale``, else 0; 7 ``top``.

    Returns:
        None for any class but the built-in ones: a kernel declines it, and its ``derivative`` is used.

    Example:
        >>> fused_surrogate(Sigmoid(alpha=4.0))
        (1, 4.0, 4.0)
    """
    constants = _FUSED.get(type(surrogate))
    return None if constants is None else constants(float(getattr(surrogate, "alpha", 1.0)))
