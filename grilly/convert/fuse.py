"""Batch norm folded into the layer before it, and children exchanged in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly_core.tensor import Tensor, tensor

__all__ = ["affine_of", "child", "fuse_batch_norm", "replace_child"]


def child(net: Module, name: str) -> Module:
    """The module with this dotted name, whatever other names it has."""
    for step in name.split("."):
        net = net._modules[step]
    return net


def replace_child(net: Module, name: str, module: Module) -> None:
    """Put ``module`` where the child with this dotted name was; its neighbours keep their order.

    Example:
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.ReLU(), nn.Tanh())
        >>> replace_child(net, "0", nn.Identity())
        >>> [type(child).__name__ for child in net]
        ['Identity', 'Tanh']
    """
    path, _, last = name.rpartition(".")
    parent = child(net, path) if path else net
    # Assigning the attribute would move it to the end, and with it the layer in a Sequential.
    parent._modules[last] = module
    object.__setattr__(parent, last, module)


def affine_of(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift per channel of a batch norm in evaluation mode, float64.

    Example:
        >>> from grilly import nn
        >>> scale, shift = affine_of(nn.BatchNorm1d(2, eps=1.0))
        >>> (scale**2).round(6).tolist(), shift.tolist()
        ([0.5, 0.5], [0.0, 0.0])
    """
    mean, var = (value.numpy().astype(np.float64) for value in (norm.running_mean, norm.running_var))
    scale = 1.0 / np.sqrt(var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.numpy()
    shift = -mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.numpy()


def fuse_batch_norm(layer: Any, norm: Any) -> None:
    """Give a linear or convolution layer the weights and bias that do what it and ``norm`` after it do.

    Args:
        layer: gets new parameters; the old ones are left as they were.
        norm: a batch norm with running statistics, of which evaluation mode is meant.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> layer, norm, x = nn.Linear(3, 2), nn.BatchNorm1d(2).eval(), np.ones((4, 3))
        >>> norm.running_mean = norm.running_mean + 1.0
        >>> wanted = norm(layer(x)).numpy()
        >>> fuse_batch_norm(layer, norm)
        >>> np.allclose(layer(x), wanted, atol=1e-6)
        True
    """
    scale, shift = affine_of(norm)
    weight = layer.weight.numpy() * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else shift + layer.bias.numpy() * scale
    layer.weight, layer.bias = (_like(layer.weight, values) for values in (weight, bias))


def _like(old: Tensor, values: np.ndarray) -> Parameter:
    return Parameter(tensor(values, dtype=old.dtype, backend=old._backend), requires_grad=old.requires_grad)
