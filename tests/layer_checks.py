"""Gradients of a layer, parameters and inputs alike, against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from checks import check_vjp

import grilly.functional as F
from grilly import nn
from grilly_core.tensor import Tensor

__all__ = ["check_layer", "normal"]


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """Standard normal numbers, the same every time."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def check_layer(layer: nn.Module, *inputs: np.ndarray) -> None:
    """The gradients that flow through ``layer`` to its parameters and float64 inputs are right."""
    layer.to(dtype="float64")
    places = [(module, name) for module in layer.modules() for name, _ in module._parameters.items()]

    def run(*tensors: Tensor) -> Any:
        F.reset_net(layer)
        for (module, name), value in zip(places, tensors, strict=False):
            object.__setattr__(module, name, value)
        return layer(*tensors[len(places) :])

    held = [getattr(module, name) for module, name in places]
    try:
        check_vjp(run, [*(parameter.numpy() for parameter in held), *inputs])
    finally:
        for (module, name), parameter in zip(places, held, strict=True):
            object.__setattr__(module, name, parameter)
