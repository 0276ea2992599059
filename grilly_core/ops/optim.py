"""Optimiser updates over many parameters at once. Nothing is changed unless ``donate`` gives the arrays away."""

from __future__ import annotations

from collections.abc import Sequence

from grilly_core.errors import ShapeError
from grilly_core.op import Dynamic, composite
from grilly_core.tensor import Tensor

__all__ = ["adam_update", "sgd_update"]


def _check(params: Sequence[Tensor], **groups: Sequence[Tensor]) -> None:
    for name, group in groups.items():
        if len(group) != len(params):
            raise ShapeError(f"{len(params)} parameters but {len(group)} {name}")
        for p, other in zip(params, group, strict=True):
            if p.spec != other.spec:
                raise ShapeError(f"a parameter {p.spec} has {name} {other.spec}")


@composite(differentiable=False)
def sgd_update(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momenta: Sequence[Tensor],
    /,
    *,
    lr: Dynamic[float],
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    donate: bool = False,
) -> tuple[Tensor, ...]:
    """Stochastic gradient descent (Sutskever et al. 2013): ``m <- momentum m + g``, ``p <- p - lr m``.

    ``g`` includes ``weight_decay p``; with ``nesterov`` the step is ``g + momentum m``. ``momenta`` is empty when
    ``momentum`` is 0. With ``donate`` the arrays of params and momenta may be reused for the results.

    Returns the new params, then the new momenta, in one tuple.
    """
    _check(params, gradients=grads)
    if momentum:
        _check(params, momenta=momenta)
    new_params, new_momenta = [], []
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        if weight_decay:
            g = g + p * weight_decay
        if momentum:
            m = momenta[i] * momentum + g
            new_momenta.append(m)
            g = g + m * momentum if nesterov else m
        new_params.append(p - g * lr)
    return (*new_params, *new_momenta)


@composite(differentiable=False)
def adam_update(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    /,
    *,
    lr: Dynamic[float],
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    step: Dynamic[int],
    donate: bool = False,
) -> tuple[Tensor, ...]:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980); ``decoupled`` decay makes it AdamW (arXiv 1711.05101).

    ``step`` counts from 1. With ``donate`` the arrays of params and averages may be reused for the results.

    Returns the new params, the new first moments, then the new second moments, in one tuple.
    """
    _check(params, gradients=grads, moments=exp_avgs, squares=exp_avg_sqs)
    size = lr / (1.0 - beta1**step)
    correction = 1.0 / (1.0 - beta2**step) ** 0.5
    new_params, new_avgs, new_sqs = [], [], []
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        if weight_decay:
            if decoupled:
                p = p * (1.0 - lr * weight_decay)
            else:
                g = g + p * weight_decay
        m = m * beta1 + g * (1.0 - beta1)
        v = v * beta2 + (g * g) * (1.0 - beta2)
        new_params.append(p - m * size / (v.sqrt() * correction + eps))
        new_avgs.append(m)
        new_sqs.append(v)
    return (*new_params, *new_avgs, *new_sqs)
