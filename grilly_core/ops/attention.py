"""Attention over time steps: sums and largest elements of rows taken together, and each row scaled."""

from __future__ import annotations

from typing import Any

from grilly_core.autograd import Context
from grilly_core.errors import ShapeError
from grilly_core.op import composite
from grilly_core.ops.compare import where
from grilly_core.ops.linalg import matmul
from grilly_core.tensor import Tensor

__all__ = ["row_dots", "row_scale_vjp", "row_sum_max", "temporal_attention"]


def _check_rows(x: Tensor, **per_row: Tensor) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise ShapeError(f"needs [R, K] with K >= 1, got {x.shape}")
    for name, values in per_row.items():
        wanted = x.shape if name == "g" else x.shape[:1]
        if values.shape != wanted:
            raise ShapeError(f"{name} has shape {values.shape}, x {x.shape} needs {wanted}")


@composite()
def row_sum_max(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Sum and largest element of every row, read once: ``[R, K] -> [R], [R]``; NaN is largest."""
    _check_rows(x)
    return x.sum(axis=1), x.max(axis=1)


@composite(differentiable=False)
def row_dots(g: Tensor, x: Tensor, top: Tensor, /) -> tuple[Tensor, Tensor]:
    """Of every row the sum of ``g x``, and how many elements of x are ``top``.

    Shapes: g and x ``[R, K]``, top ``[R]``; both results ``[R]``.
    """
    _check_rows(x, g=g, top=top)
    return (g * x).sum(axis=1), (x == top.expand_dims(1)).astype(x.dtype).sum(axis=1)


@composite(differentiable=False)
def row_scale_vjp(
    g: Tensor, x: Tensor, top: Tensor, scale: Tensor, shift: Tensor, share: Tensor, /
) -> Tensor:
    """``g scale + shift``, and ``share`` more where x is ``top``: what arrives at rows that are scaled by a function of
    their sum and their largest element.

    Shapes: g and x ``[R, K]``, the rest ``[R]``; result ``[R, K]``.
    """
    _check_rows(x, g=g, top=top, scale=scale, shift=shift, share=share)
    y = g * scale.expand_dims(1) + shift.expand_dims(1)
    out: Tensor = where(x == top.expand_dims(1), y + share.expand_dims(1), y)
    return out


def _hidden(fc1: Tensor, fc2: Tensor, mean: Tensor, top: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of the hidden units from mean and largest element, the sum of their outputs, and the logit of each scale."""
    from_mean, from_top = matmul(fc1, mean), matmul(fc1, top)
    # The second product is linear: both are added before it.
    both = from_mean.relu() + from_top.relu()
    return from_mean, from_top, both, matmul(fc2, both)


@composite()
def temporal_attention(x: Tensor, fc1: Tensor, fc2: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
    """Every time step of every sample scaled by a function of the means and largest elements of all its steps.

    The scale is ``sigmoid(fc2 relu(fc1 mean) + fc2 relu(fc1 max))``, with mean and max ``[T, N]`` over the last axis.
    Shapes: x ``[T, N, K]``, fc1 ``[H, T]``, fc2 ``[T, H]``. Returns y ``[T, N, K]``, the mean and the max ``[T, N]``; no
    gradient flows through the last two. Equal largest elements share the gradient.

    Source: Yao et al. 2023, arXiv 2209.13929, after Yao et al. 2021, arXiv 2107.11711.
    """
    if x.ndim != 3 or x.shape[2] == 0:
        raise ShapeError(f"needs [T, N, K] with K >= 1, got {x.shape}")
    steps, n, extent = x.shape
    if fc1.ndim != 2 or fc1.shape[1] != steps or fc2.shape != fc1.shape[::-1]:
        raise ShapeError(f"fc1 {fc1.shape} and fc2 {fc2.shape} do not fit {steps} steps: [H, T] and [T, H]")
    total, top = row_sum_max(x.reshape(steps * n, extent))
    mean, top = total.reshape(steps, n) * (1.0 / extent), top.reshape(steps, n)
    scale = _hidden(fc1, fc2, mean, top)[3].sigmoid()
    return x * scale.expand_dims(2), mean, top


@temporal_attention.defvjp(inputs=(0, 1, 2), outputs=(1, 2), constant=(1, 2))
def _(ctx: Context, g: Tensor, *_: Any) -> Any:
    x, fc1, fc2 = ctx.inputs
    _, mean, top = ctx.outputs
    steps, n, extent = x.shape
    from_mean, from_top, both, logit = _hidden(fc1, fc2, mean, top)
    rows, g_rows, tops = x.reshape(steps * n, extent), g.reshape(steps * n, extent), top.reshape(steps * n)
    dots, hits = row_dots(g_rows, rows, tops)
    # The slope of the logistic function without 1 - scale, of which nothing is left where the scale is almost 1.
    small = (-logit.abs()).exp()
    g_out = dots.reshape(steps, n) * (small / ((1.0 + small) * (1.0 + small)))
    g_both = matmul(fc2.T, g_out)
    g_mean, g_top = (g_both * (h > 0).astype(g.dtype) for h in (from_mean, from_top))
    gx = None
    if ctx.needs[0]:
        shift = matmul(fc1.T, g_mean).reshape(steps * n) * (1.0 / extent)
        share = matmul(fc1.T, g_top).reshape(steps * n) / hits
        scale = logit.sigmoid().reshape(steps * n)
        gx = row_scale_vjp(g_rows, rows, tops, scale, shift, share).reshape(x.shape)
    return (
        gx,
        matmul(g_mean, mean.T) + matmul(g_top, top.T) if ctx.needs[1] else None,
        matmul(g_out, both.T) if ctx.needs[2] else None,
    )
