"""Functions: neuron steps, time, losses and elementwise functions. Arrays and Tensors alike are accepted.

A raw NumPy array keeps its dtype here (float64 stays float64); modules convert to their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grilly import random
from grilly_core import ops
from grilly_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from grilly_core.ops.neuron import reset as _reset_potential
from grilly_core.ops.random import uniform as _uniform
from grilly_core.surrogate import ATan, Surrogate
from grilly_core.tensor import Tensor, full, tensor

if TYPE_CHECKING:
    from grilly.nn.module import Module

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "conv1d", "conv2d", "cross_entropy", "detach_net", "dropout",
    "exp", "if_multi_step", "if_step", "layer_norm", "lif_multi_step", "lif_step", "linear", "log", "log_softmax",
    "max_pool2d", "mse_loss", "multi_step_forward", "one_hot", "plif_multi_step", "plif_step", "relu", "reset_net",
    "rms_norm", "seq_to_ann_forward", "set_step_mode", "sigmoid", "softmax", "sqrt", "tanh", "where",
]  # fmt: skip


def _tensor(x: Any, like: Tensor | None = None) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return tensor(x) if like is None else tensor(x, backend=like._backend)


# Elementwise and dense functions


def relu(x: Any) -> Tensor:
    """``max(x, 0)``."""
    return _tensor(x).relu()


def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + e**-x)``.

    Example:
        >>> from grilly import functional as F
        >>> F.sigmoid([0.0]).item()
        0.5
    """
    return _tensor(x).sigmoid()


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return _tensor(x).tanh()


def exp(x: Any) -> Tensor:
    """``e**x``."""
    return _tensor(x).exp()


def log(x: Any) -> Tensor:
    """Natural logarithm."""
    return _tensor(x).log()


def sqrt(x: Any) -> Tensor:
    """Square root."""
    return _tensor(x).sqrt()


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """``x`` where ``condition``, else ``y``."""
    out: Tensor = ops.where(condition, x, y)
    return out


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Softmax along ``axis``."""
    x = _tensor(x)
    out: Tensor = ops.softmax(x, axis=x._axes(axis)[0])
    return out


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Logarithm of the softmax along ``axis``."""
    x = _tensor(x)
    out: Tensor = ops.log_softmax(x, axis=x._axes(axis)[0])
    return out


def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """``x @ weight.T + bias``; x ``[..., in]``, weight ``[out, in]``."""
    out: Tensor = ops.linear(x, weight, bias)
    return out


def _pair(value: Any, name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) for v in pair):
        raise ArgumentError(f"{name} must be a whole number or two of them, got {value!r}")
    return pair


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
        stride=_pair(stride, "stride"),
        padding=_pair(padding, "padding"),
        dilation=_pair(dilation, "dilation"),
        groups=groups,
    )
    return out


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """Largest element of each window of x ``[N, C, H, W]``; the stride is the window unless given."""
    window = _pair(kernel_size, "kernel_size")
    step = window if stride is None else _pair(stride, "stride")
    out: Tensor = ops.max_pool2d(x, kernel_size=window, stride=step, padding=_pair(padding, "padding"))[0]
    return out


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """Mean of each window of x ``[N, C, H, W]``; padding counts as zeros."""
    window = _pair(kernel_size, "kernel_size")
    step = window if stride is None else _pair(stride, "stride")
    out: Tensor = ops.avg_pool2d(x, kernel_size=window, stride=step, padding=_pair(padding, "padding"))
    return out


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """Means of ``output_size`` almost equal stretches of x ``[N, C, H, W]``."""
    out: Tensor = ops.adaptive_avg_pool2d(x, output_size=_pair(output_size, "output_size"))
    return out


def batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Each channel (axis 1) of x ``[N, C, ...]`` brought to mean 0 and variance 1 by the batch's own statistics."""
    x = _tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"batch_norm takes [N, C, ...], got {x.shape}")
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
    x = _tensor(x)
    if not 0 <= p < 1:
        raise ArgumentError(f"dropout: p must lie in [0, 1), got {p!r}")
    if not training or p == 0:
        return x
    seed, stream = random.next_stream()
    drawn = _uniform(x.shape, seed, stream, x.spec.dtype, x._backend)
    return x * ((drawn >= p).astype(x.dtype) * (1.0 / (1.0 - p)))


# Losses


def _labels(labels: Any, classes: int, like: Tensor) -> Tensor:
    """Labels as int32 on ``like``'s backend, checked where reading them costs nothing."""
    readable = not isinstance(labels, Tensor) or "host_memory" in labels._backend.features
    if readable:
        array = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"labels must be integers, not {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= classes):
            raise DataError(
                f"labels from {array.min()} to {array.max()} do not fit {classes} classes (0 to {classes - 1})"
            )
        return labels if isinstance(labels, Tensor) else tensor(array, dtype="int32", backend=like._backend)
    return _tensor(labels)


def one_hot(labels: Any, classes: int, dtype: Any = "float32") -> Tensor:
    """1 at each label, 0 elsewhere, along a new last axis.

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> F.one_hot(np.array([2, 0]), 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    given = labels if isinstance(labels, Tensor) else tensor(np.asarray(labels))
    out: Tensor = ops.one_hot(_labels(given, classes, given), classes=classes, dtype=str(np.dtype(dtype)))
    return out


def cross_entropy(logits: Any, labels: Any, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross entropy of ``softmax(logits)`` and labels, in nats.

    Args:
        logits: ``[N, C]``.
        labels: integers ``[N]``.
        label_smoothing: share of the target spread evenly over all classes.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        DataError: a label outside ``[0, C)`` (on a device, where reading labels would stall it, NaN instead).

    Example:
        >>> import numpy as np
        >>> from grilly import functional as F
        >>> round(F.cross_entropy(np.zeros((2, 10), "float32"), np.array([3, 7])).item(), 4)
        2.3026
    """
    logits = _tensor(logits)
    if logits.ndim != 2:
        raise ShapeError(
            f"cross_entropy takes logits [N, C], got {logits.shape}; for [T, N, C] average over T first"
        )
    checked = _labels(labels, logits.shape[1], logits)
    out: Tensor = ops.cross_entropy(logits, checked, label_smoothing=label_smoothing, reduction=reduction)
    return out


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared error of ``x`` and ``target`` of one shape."""
    out: Tensor = ops.mse_loss(x, target, reduction=reduction)
    return out


# Neurons


def _potential(v: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if isinstance(v, bool | int | float):
        return full(shape, float(v), x.spec.dtype, x._backend)
    return v if isinstance(v, Tensor) else tensor(v, dtype=x.dtype, backend=x._backend)


def _leak(tau: float, owner: str) -> float:
    if not isinstance(tau, int | float) or not tau >= 1:
        raise ArgumentError(f"{owner}: tau must be a number of at least 1 (time steps), got {tau!r}")
    return 1.0 / tau


def if_step(
    x: Any,
    v: Any = 0.0,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """One step of integrate-and-fire neurons.

    Args:
        x: input of this step.
        v: potential, shaped like x, or a number.
        v_threshold, v_reset, surrogate_function, detach_reset: see ``nn.IFNode``.

    Returns:
        Spikes and the potential after the reset, shaped like x.
    """
    x = _tensor(x)
    pair: tuple[Tensor, Tensor] = ops.if_step(
        x,
        _potential(v, x, x.shape),
        v_threshold=v_threshold,
        v_reset=v_reset,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def lif_step(
    x: Any,
    v: Any = 0.0,
    *,
    tau: float = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """One step of leaky integrate-and-fire neurons.

    Args:
        x: input of this step.
        v: potential, shaped like x, or a number.
        tau: time constant in steps, at least 1.
        v_threshold, v_reset, decay_input, surrogate_function, detach_reset: see ``nn.LIFNode``.

    Returns:
        Spikes and the potential after the reset, shaped like x.

    Example:
        >>> from grilly import functional as F
        >>> spike, v = F.lif_step([1.0, 2.0], 0.0, tau=2.0, v_threshold=1.0)
        >>> spike.tolist(), v.tolist()
        ([0.0, 1.0], [0.5, 0.0])
    """
    x = _tensor(x)
    pair: tuple[Tensor, Tensor] = ops.lif_step(
        x,
        _potential(v, x, x.shape),
        k=_leak(tau, "lif_step"),
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def plif_step(
    x: Any,
    v: Any,
    w: Any,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
) -> tuple[Tensor, Tensor]:
    """``lif_step`` with ``1 / tau = sigmoid(w)``, ``w`` a scalar Tensor that may require a gradient."""
    x = _tensor(x)
    pair: tuple[Tensor, Tensor] = ops.plif_step(
        x,
        _potential(v, x, x.shape),
        _rate(w, x),
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        detach_reset=detach_reset,
        surrogate=surrogate_function,
    )
    return pair


def _rate(w: Any, x: Tensor) -> Tensor:
    given = w if isinstance(w, Tensor) else tensor(w, dtype=x.dtype, backend=x._backend)
    if given.size != 1:
        raise ShapeError(f"w must be one number, got shape {given.shape}")
    return given.reshape(()).sigmoid()


def _steps(
    op: Any, x: Tensor, v: Any, rest: tuple[Any, ...], return_v_seq: bool, attrs: dict[str, Any]
) -> Any:
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"{op.name} takes [T, ...] with T >= 1, got {x.shape}")
    start = _potential(v, x, x.shape[1:])
    recorded = any(t.requires_grad for t in (x, start, *rest))
    spikes, last, *h = op(x, start, *rest, save_h=recorded or return_v_seq, **attrs)
    if not return_v_seq:
        return spikes, last
    s = spikes.detach() if attrs["detach_reset"] else spikes
    return spikes, last, _reset_potential(h[0], s, attrs["v_threshold"], attrs["v_reset"])


def if_multi_step(
    x: Any,
    v: Any = 0.0,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """All steps of ``if_step``: x ``[T, ...]``, v ``[...]`` or a number.

    Returns:
        ``(spikes, v_last)``, and with ``return_v_seq`` the potentials after every step too.
    """
    attrs = {
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.if_multi_step, _tensor(x), v, (), return_v_seq, attrs)


def lif_multi_step(
    x: Any,
    v: Any = 0.0,
    *,
    tau: float = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """All steps of ``lif_step``: x ``[T, ...]``, v ``[...]`` or a number.

    Returns:
        ``(spikes, v_last)``, and with ``return_v_seq`` the potentials after every step too.

    Example:
        >>> from grilly import functional as F
        >>> spikes, v, v_seq = F.lif_multi_step([[1.5], [1.5], [1.5]], return_v_seq=True)
        >>> spikes.tolist(), v_seq.tolist()
        ([[0.0], [1.0], [0.0]], [[0.75], [0.0], [0.75]])
    """
    attrs = {
        "k": _leak(tau, "lif_multi_step"),
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "decay_input": decay_input,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.lif_multi_step, _tensor(x), v, (), return_v_seq, attrs)


def plif_multi_step(
    x: Any,
    v: Any,
    w: Any,
    *,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    surrogate_function: Surrogate = ATan(),
    detach_reset: bool = False,
    return_v_seq: bool = False,
) -> Any:
    """``lif_multi_step`` with ``1 / tau = sigmoid(w)``, ``w`` a scalar Tensor that may require a gradient."""
    given = _tensor(x)
    attrs = {
        "v_threshold": v_threshold,
        "v_reset": v_reset,
        "decay_input": decay_input,
        "detach_reset": detach_reset,
        "surrogate": surrogate_function,
    }
    return _steps(ops.plif_multi_step, given, v, (_rate(w, given),), return_v_seq, attrs)


# Networks over time


def reset_net(net: Module) -> None:
    """Return every memory in ``net`` to its default: call it before each new batch."""
    for module in net.modules():
        module.reset()


def detach_net(net: Module) -> None:
    """Keep every memory in ``net`` but cut it from its graph: carries state over on purpose."""
    for module in net.modules():
        module.detach()


def set_step_mode(net: Module, step_mode: str) -> None:
    """Give every module below ``net`` that has a step mode this one.

    ``MultiStepContainer`` and ``SeqToANNContainer`` run single-step modules; what is inside them is left alone.
    """
    from grilly.nn.container import MultiStepContainer, SeqToANNContainer
    from grilly.nn.step import StepModule, check_step_mode

    check_step_mode(step_mode, "set_step_mode")
    if isinstance(net, MultiStepContainer | SeqToANNContainer):
        return
    if isinstance(net, StepModule):
        net.step_mode = step_mode
    for child in net.children():
        set_step_mode(child, step_mode)


def multi_step_forward(model: Module, x: Any, T: int | None = None, repeat: bool | None = None) -> Any:  # noqa: N803
    """Run ``model`` over time.

    Args:
        model: a network of single-step modules (run step by step, its neurons fused where possible), or one in
            step mode 'm' (called once).
        x: ``[T, N, ...]``, or ``[N, ...]`` to be repeated T times.
        T: number of steps. Without it x is ``[T, N, ...]``. With it x is temporal if ``x.shape[0] == T``, else it
            is repeated.
        repeat: True: x is ``[N, ...]`` whatever its shape; False: x is ``[T, N, ...]``.

    Returns:
        Output of every step, ``[T, N, ...]``.

    Example:
        >>> import numpy as np
        >>> from grilly import nn, functional as F
        >>> F.multi_step_forward(nn.Sequential(nn.Linear(3, 2), nn.LIFNode()), np.ones((4, 3)), T=10).shape
        (10, 4, 2)
    """
    from grilly.nn.container import run_steps

    steps = model._as_tensor(x)
    if not isinstance(steps, Tensor):
        raise ArgumentError(f"multi_step_forward takes an array or a Tensor, got {type(x).__name__}")
    if repeat and T is None:
        raise ArgumentError("multi_step_forward: repeat=True needs the number of steps T")
    if T is not None and (not isinstance(T, int) or T < 1):
        raise ArgumentError(f"multi_step_forward: T must be a whole number of at least 1, got {T!r}")
    temporal = repeat is False or T is None or (repeat is None and steps.ndim > 0 and steps.shape[0] == T)
    if temporal and (steps.ndim < 1 or steps.shape[0] < 1 or (T is not None and steps.shape[0] != T)):
        raise ShapeError(
            f"multi_step_forward: x must be [T, N, ...]{f' with T={T}' if T else ''}, got {steps.shape}"
        )
    if not temporal:
        assert T is not None
        steps = steps.expand_dims(0).broadcast_to((T, *steps.shape))
    modes = {module.step_mode for module in _outside_containers(model) if hasattr(module, "step_mode")}
    if modes == {"s", "m"}:
        raise ArgumentError(
            "multi_step_forward: the model mixes step modes; call F.set_step_mode(model, 's') or 'm' first"
        )
    return model(steps) if modes == {"m"} or _is_multi_step_container(model) else run_steps(model, steps)


def _is_multi_step_container(module: Module) -> bool:
    from grilly.nn.container import MultiStepContainer, SeqToANNContainer

    return isinstance(module, MultiStepContainer | SeqToANNContainer)


def _outside_containers(module: Module) -> list[Module]:
    """The module and what is below it, without the insides of the time containers."""
    if _is_multi_step_container(module):
        return []
    return [module, *(below for child in module.children() for below in _outside_containers(child))]


def seq_to_ann_forward(x: Any, *modules: Module) -> Tensor:
    """Stateless modules on a sequence: ``[T, N, ...] -> [T*N, ...]``, each in turn, and back."""
    from grilly.nn.container import SeqToANNContainer

    out: Tensor = SeqToANNContainer(*modules)(x)
    return out
