"""Bounds of activations from the weights alone (Diehl et al. 2015, 10.1109/IJCNN.2015.7280696)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from grilly.convert.calibration import Statistic
from grilly.convert.fuse import affine_of
from grilly.convert.kinds import BATCH_NORMS, WEIGHTED, kind
from grilly.nn.linear import ReLU
from grilly.nn.module import Module

__all__ = ["bounds_of_weights"]


def bounds_of_weights(
    layers: Iterable[tuple[str, Module]], statistic: Statistic, largest: float = 1.0
) -> dict[str, float]:
    """Lambda of every ReLU of a sequence of layers, for inputs between 0 and ``largest``.

    ``lambda_k = max_j(lambda_{k-1} sum_i max(0, w_ji) + max(0, b_j))``. A ReLU in spikes gives no more than its lambda,
    so the next one may build on it, whatever the statistic. Where no ReLU is between two layers with weights, their
    input may be negative, and interval arithmetic bounds both ends.

    Args:
        layers: with their names, in order, of the kinds that are converted or kept.
        statistic: what of the bounds of a layer's neurons to take.
        largest: of the inputs.

    Example:
        >>> from grilly import nn
        >>> layer = nn.Linear(2, 2, bias=False)
        >>> layer.weight.assign(np.array([[1.0, -1.0], [2.0, 0.5]]))
        >>> bounds_of_weights([("0", layer), ("1", nn.ReLU())], Statistic())
        {'1': 2.5}
    """
    low, high = np.zeros(1), np.full(1, largest)
    found: dict[str, float] = {}
    for name, module in layers:
        known = kind(module)
        if known in WEIGHTED:
            low, high = _weighted(module, float(low.min()), float(high.max()))
        elif known in BATCH_NORMS:
            low, high = _through(*affine_of(module), low, high)
        elif known is ReLU:
            found[name] = statistic.of(np.maximum(high, 0.0))
            if not np.isfinite(found[name]):
                break  # the caller refuses it
            low, high = np.zeros(1), np.full(1, found[name])
    return found


def _weighted(module: Any, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    weight = module.weight.numpy().astype(np.float64)
    rows = weight.reshape(len(weight), -1)
    bias = np.zeros(len(rows)) if module.bias is None else module.bias.numpy().astype(np.float64)
    up, down = (f(rows, 0.0).sum(1) for f in (np.maximum, np.minimum))
    return low * up + high * down + np.minimum(bias, 0.0), high * up + low * down + np.maximum(bias, 0.0)


def _through(
    scale: np.ndarray, shift: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An interval per channel (or one for all) through a scale and shift per channel."""
    if low.size != scale.size:
        low, high = low.min(), high.max()
    ends = np.stack(np.broadcast_arrays(low * scale, high * scale))
    return ends.min(0) + np.minimum(shift, 0.0), ends.max(0) + np.maximum(shift, 0.0)
