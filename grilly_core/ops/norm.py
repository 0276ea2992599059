"""Normalisation with statistics over everything but one channel axis."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.tensor import Tensor

__all__ = [
    "batch_norm", "batch_norm_infer", "batch_norm_vjp", "layer_norm", "moving_average", "rms_norm",
]  # fmt: skip

_AXES = (0, 2)


def _check(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, filled: bool = True) -> None:
    if x.ndim != 3:
        raise ShapeError(f"needs [M, C, L], got {x.shape}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != (x.shape[1],):
            raise ShapeError(f"{name} {parameter.shape} does not fit {x.shape[1]} channels")
    if filled and x.shape[0] * x.shape[2] == 0:
        raise ShapeError(f"no values to take statistics of in {x.shape}")
    if not eps > 0:
        raise ArgumentError(f"eps must be above 0, got {eps}")


def _column(v: Tensor) -> Tensor:
    return v.reshape(1, v.size, 1)


@composite()
def batch_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, /, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel brought to mean 0 and variance 1, then scaled and shifted.

    Statistics are joint over axes 0 and 2; callers fold batch and time into axis 0, space into axis 2.
    Shapes: x ``[M, C, L]``, weight and bias ``[C]``. Returns y ``[M, C, L]``, the mean ``[C]`` and the biased
    variance ``[C]``; no gradient flows through the last two.

    Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
    """
    _check(x, weight, bias, eps)
    mean = x.mean(axis=_AXES)
    centred = x - _column(mean)
    var = (centred * centred).mean(axis=_AXES)
    scale = 1.0 / (var + eps).sqrt()
    if weight is not None:
        scale = scale * weight
    y = centred * _column(scale)
    return (y if bias is None else y + _column(bias)), mean, var


@batch_norm.defvjp(inputs=(0, 1), outputs=(1, 2), constant=(1, 2))
def _(ctx: Context, g: Tensor, *_: Any) -> Any:
    x, weight = ctx.inputs[:2]
    gx, gw, gb = batch_norm_vjp(g, x, ctx.outputs[1], ctx.outputs[2], weight, eps=ctx.attrs["eps"])
    return gx, gw if ctx.needs[1] else None, gb if ctx.needs[2] else None


@composite()
def batch_norm_vjp(
    g: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None = None, /, *, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``batch_norm`` with respect to x, weight and bias.

    Shapes: g and x ``[M, C, L]``, the rest ``[C]``. With ``xh`` the normalised input,
    ``gx = scale (g - mean(g) - xh mean(g xh))``.
    """
    _check(x, weight, None, eps)
    count = x.shape[0] * x.shape[2]
    inverse = 1.0 / (var + eps).sqrt()
    xh = (x - _column(mean)) * _column(inverse)
    gb = g.sum(axis=_AXES)
    gw = (g * xh).sum(axis=_AXES)
    scale = inverse if weight is None else inverse * weight
    gx = (g - _column(gb * (1.0 / count)) - xh * _column(gw * (1.0 / count))) * _column(scale)
    return gx, gw, gb


@composite()
def batch_norm_infer(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    eps: float,
) -> Tensor:
    """``batch_norm`` with given statistics: ``(x - mean) / sqrt(var + eps) weight + bias``.

    Shapes: x ``[M, C, L]``, all others ``[C]``; result ``[M, C, L]``.
    """
    _check(x, weight, bias, eps, filled=False)
    if mean.shape != (x.shape[1],) or var.shape != mean.shape:
        raise ShapeError(f"mean {mean.shape} and variance {var.shape} do not fit {x.shape[1]} channels")
    scale = 1.0 / (var + eps).sqrt()
    if weight is not None:
        scale = scale * weight
    y = (x - _column(mean)) * _column(scale)
    return y if bias is None else y + _column(bias)


@composite(differentiable=False)
def moving_average(old: Tensor, new: Tensor, /, *, momentum: float, gain: float = 1.0) -> Tensor:
    """``(1 - momentum) old + momentum gain new``: running statistics, one step on."""
    if old.shape != new.shape:
        raise ShapeError(f"shapes {old.shape} and {new.shape} differ")
    return old * (1.0 - momentum) + new * (momentum * gain)


def _normalise(x: Tensor, axes: int, eps: float, centre: bool) -> Tensor:
    if not 1 <= axes <= x.ndim:
        raise ShapeError(f"cannot normalise over the last {axes} axes of {x.shape}")
    over = tuple(range(x.ndim - axes, x.ndim))
    if centre:
        x = x - x.mean(axis=over, keepdims=True)
    return x / ((x * x).mean(axis=over, keepdims=True) + eps).sqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, axes: int) -> Tensor:
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != x.shape[x.ndim - axes :]:
            raise ShapeError(f"{name} {parameter.shape} does not fit the last {axes} axes of {x.shape}")
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@composite()
def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    /,
    *,
    axes: int = 1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over the last ``axes`` axes of each sample, then scaled and shifted.

    Shapes: weight and bias have the shape of those axes. Source: Ba et al. 2016, arXiv 1607.06450.
    """
    return _affine(_normalise(x, axes, eps, centre=True), weight, bias, axes)


@composite()
def rms_norm(x: Tensor, weight: Tensor | None = None, /, *, axes: int = 1, eps: float = 1e-5) -> Tensor:
    """Root mean square 1 over the last ``axes`` axes of each sample, then scaled.

    Source: Zhang & Sennrich 2019, arXiv 1910.07467.
    """
    return _affine(_normalise(x, axes, eps, centre=False), weight, None, axes)
