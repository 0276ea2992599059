"""Elementwise functions, dense and convolutional layers, pooling, norms, dropout."""

from __future__ import annotations

from typing import Any

from grilly import random
from grilly._checks import finite_number, whole_numbers
from grilly.functional.tensors import as_tensor
from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.ops.random import uniform as _uniform
from grilly_core.tensor import Tensor

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "conv1d", "conv2d", "dropout", "exp", "layer_norm",
    "linear", "log", "log_softmax", "max_pool2d", "relu", "rms_norm", "sigmoid", "softmax", "sqrt", "tanh",
    "where",
]  # fmt: skip


def relu(x: Any) -> Tensor:
    """``max(x, 0)``."""
    return as_tensor(x).relu()


def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + e**-x)``.

    Example:
        >>> from grilly import functional as F
        >>> F.sigmoid([0.0]).item()
        0.5
    """
    return as_tensor(x).sigmoid()


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return as_tensor(x).tanh()


def exp(x: Any) -> Tensor:
    """``e**x``."""
    return as_tensor(x).exp()


def log(x: Any) -> Tensor:
    """Natural logarithm."""
    return as_tensor(x).log()


def sqrt(x: Any) -> Tensor:
    """Square root."""
    return as_tensor(x).sqrt()


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """``x`` where ``condition``, else ``y``."""
    out: Tensor = ops.where(condition, x, y)
    return out


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Softmax along ``axis``."""
    x = as_tensor(x)
    out: Tensor = ops.softmax(x, axis=x._axes(axis)[0])
    return out


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Logarithm of the softmax along ``axis``."""
    x = as_tensor(x)
    out: Tensor = ops.log_softmax(x, axis=x._axes(axis)[0])
    return out


def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """``x @ weight.T + bias``; x ``[..., in]``, weight ``[out, in]``."""
    out: Tensor = ops.linear(x, weight, bias)
    return out


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of x ``[N, C, L]`` with weight ``[O, C/groups, K]``."""
    out: Tensor = ops.conv1d(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return out


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of x ``[N, C, H, W]`` with weight ``[O, C/groups, KH, KW]``."""
    out: Tensor = ops.conv2d(
        x,
        weight,
        bias,
        stride=whole_numbers(stride, 2, "stride"),
        padding=whole_numbers(padding, 2, "padding", low=0),
        dilation=whole_numbers(dilation, 2, "dilation"),
        groups=groups,
    )
    return out


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """Largest element of each window of x ``[N, C, H, W]``; the stride is the window unless given."""
    window = whole_numbers(kernel_size, 2, "kernel_size")
    step = window if stride is None else whole_numbers(stride, 2, "stride")
    out: Tensor = ops.max_pool2d(
        x, kernel_size=window, stride=step, padding=whole_numbers(padding, 2, "padding", low=0)
    )[0]
    return out


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """Mean of each window of x ``[N, C, H, W]``; padding counts as zeros."""
    window = whole_numbers(kernel_size, 2, "kernel_size")
    step = window if stride is None else whole_numbers(stride, 2, "stride")
    out: Tensor = ops.avg_pool2d(
        x, kernel_size=window, stride=step, padding=whole_numbers(padding, 2, "padding", low=0)
    )
    return out


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """Means of ``output_size`` almost equal stretches of x ``[N, C, H, W]``."""
    out: Tensor = ops.adaptive_avg_pool2d(x, output_size=whole_numbers(output_size, 2, "output_size"))
    return out


def batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Each channel (axis 1) of x ``[N, C, ...]`` brought to mean 0 and variance 1 by the batch's own statistics.

    Raises:
        ShapeError: fewer than two axes, or fewer than two values per channel.
    """
    x = as_tensor(x)
    if x.ndim < 2 or x.size < 2 * x.shape[1]:
        raise ShapeError(f"batch_norm takes [N, C, ...] with two values or more per channel, got {x.shape}")
    flat = x.reshape(x.shape[0], x.shape[1], x.size // max(1, x.shape[0] * x.shape[1]))
    out: Tensor = ops.batch_norm(flat, weight, bias, eps=eps)[0]
    return out.reshape(x.shape)


def layer_norm(x: Any, weight: Any = None, bias: Any = None, axes: int = 1, eps: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the last ``axes`` axes."""
    out: Tensor = ops.layer_norm(x, weight, bias, axes=axes, eps=eps)
    return out


def rms_norm(x: Any, weight: Any = None, axes: int = 1, eps: float = 1e-5) -> Tensor:
    """Root mean square 1 over the last ``axes`` axes."""
    out: Tensor = ops.rms_norm(x, weight, axes=axes, eps=eps)
    return out


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero elements with probability ``p`` and scale the rest by ``1 / (1 - p)``; a new mask every call."""
    x = as_tensor(x)
    p = finite_number(p, "dropout: p", 0.0, 1.0)
    if not training or p == 0:
        return x
    seed, stream = random.next_stream()
    drawn = _uniform(x.shape, seed, stream, x.spec.dtype, x._backend)
    return x * ((drawn >= p).astype(x.dtype) * (1.0 / (1.0 - p)))
