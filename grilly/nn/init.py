"""Initialisers: fill a parameter in place from the global random sequence, the same on every backend."""

from __future__ import annotations

import math

import numpy as np

from grilly.nn.parameter import Parameter
from grilly.random import host_normal, host_uniform
from grilly_core.errors import ArgumentError, ShapeError

__all__ = [
    "constant_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_", "xavier_normal_",
    "xavier_uniform_", "zeros_",
]  # fmt: skip


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one unit for a weight ``[out, in, *kernel]``.

    Raises:
        ShapeError: for fewer than two axes.

    Example:
        >>> fans((8, 3, 5, 5))
        (75, 200)
    """
    if len(shape) < 2:
        raise ShapeError(f"fan in and fan out need a weight of at least two axes, got {shape}")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def uniform_(parameter: Parameter, low: float = 0.0, high: float = 1.0) -> Parameter:
    """Uniform in [low, high)."""
    parameter.assign(low + (high - low) * host_uniform(parameter.shape))
    return parameter


def normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0) -> Parameter:
    """Normal with the given mean and standard deviation."""
    parameter.assign(mean + std * host_normal(parameter.shape))
    return parameter


def constant_(parameter: Parameter, value: float) -> Parameter:
    """One value everywhere."""
    parameter.assign(np.full(parameter.shape, value, np.float64))
    return parameter


def zeros_(parameter: Parameter) -> Parameter:
    """Zeros."""
    return constant_(parameter, 0.0)


def ones_(parameter: Parameter) -> Parameter:
    """Ones."""
    return constant_(parameter, 1.0)


def xavier_uniform_(parameter: Parameter, gain: float = 1.0) -> Parameter:
    """Uniform with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(parameter.shape)))
    return uniform_(parameter, -bound, bound)


def xavier_normal_(parameter: Parameter, gain: float = 1.0) -> Parameter:
    """Normal with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot & Bengio 2010)."""
    return normal_(parameter, 0.0, gain * math.sqrt(2.0 / sum(fans(parameter.shape))))


def _fan(parameter: Parameter, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(parameter.shape)[mode == "fan_out"]


def kaiming_uniform_(parameter: Parameter, gain: float = math.sqrt(2.0), mode: str = "fan_in") -> Parameter:
    """Uniform with variance ``gain^2 / fan`` (He et al. 2015, arXiv 1502.01852)."""
    bound = gain * math.sqrt(3.0 / _fan(parameter, mode))
    return uniform_(parameter, -bound, bound)


def kaiming_normal_(parameter: Parameter, gain: float = math.sqrt(2.0), mode: str = "fan_in") -> Parameter:
    """Normal with variance ``gain^2 / fan`` (He et al. 2015, arXiv 1502.01852)."""
    return normal_(parameter, 0.0, gain / math.sqrt(_fan(parameter, mode)))
