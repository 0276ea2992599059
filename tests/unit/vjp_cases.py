"""Arguments, in float64, at which the gradient of every differentiable op is checked.

Points lie away from kinks and ties: there a finite difference means nothing, and the rule's choice has its own test.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["CASES", "Case"]

_rng = np.random.default_rng(20240607)


class Case(NamedTuple):
    """One call: its arguments (arrays, lists of arrays, None) and attributes."""

    args: tuple[Any, ...]
    attrs: dict[str, Any]


def case(*args: Any, **attrs: Any) -> Case:
    return Case(args, attrs)


def normal(*shape: int) -> np.ndarray:
    """Random values."""
    return _rng.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    """Random values in [0.5, 2]."""
    return _rng.uniform(0.5, 2.0, shape)


def apart(*shape: int) -> np.ndarray:
    """Random values at least 0.01 from 0 and from each other: no kinks, no ties."""
    size = int(np.prod(shape))
    values = (_rng.permutation(size) - size / 2 + 0.25) * 0.04
    return values.reshape(shape)


def spikes(*shape: int) -> np.ndarray:
    """Zeros and ones."""
    return _rng.integers(0, 2, shape).astype(np.float64)


def index(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _binary(second: Any = normal) -> list[Case]:
    """Equal shapes, broadcasting on either and on both sides, and a 0-d operand."""
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((4, 1), (3, 1, 5)), ((), (2, 3)), ((2, 1), (1, 1))]
    return [case(normal(*a), second(*b)) for a, b in shapes]


def _extremum() -> list[Case]:
    return [case(apart(3, 4), apart(3, 4) + 0.013), case(apart(4, 1), apart(3, 1, 2) + 0.013)]


_CONV = [
    dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1),
    dict(stride=(2, 1), padding=(1, 2), dilation=(1, 1), groups=1),
    dict(stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=2),
    dict(stride=(2, 3), padding=(1, 0), dilation=(1, 2), groups=4),
]


def _conv_cases() -> tuple[list[Case], list[Case], list[Case]]:
    """Forward, and the gradients as functions of their own arguments."""
    forward, to_input, to_weight = [], [], []
    for i, attrs in enumerate(_CONV):
        groups = attrs["groups"]
        assert isinstance(groups, int)
        x, weight = normal(2, 4, 7, 8), normal(4, 4 // groups, 3, 2)
        extents = []
        for axis in (0, 1):
            stride, padding, dilation = (attrs[name][axis] for name in ("stride", "padding", "dilation"))  # type: ignore[index]
            span = (weight.shape[2 + axis] - 1) * dilation + 1
            extents.append((x.shape[2 + axis] + 2 * padding - span) // stride + 1)
        g = normal(2, 4, *extents)
        forward.append(case(x, weight, normal(4) if i % 2 else None, **attrs))
        to_input.append(case(g, weight, input_size=(7, 8), **attrs))
        to_weight.append(case(g, x, kernel_size=(3, 2), **attrs))
    return forward, to_input, to_weight


_conv2d, _conv2d_input, _conv2d_weight = _conv_cases()

_POOLS = [
    dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0)),
    dict(kernel_size=(3, 2), stride=(1, 2), padding=(1, 1)),
    dict(kernel_size=(1, 3), stride=(2, 1), padding=(0, 1)),
]
_PLACES = _rng.integers(0, 3, (2, 3, 3, 5)).astype(np.int32)

CASES: dict[str, list[Case]] = {
    "add": _binary(),
    "sub": _binary(),
    "mul": _binary(),
    "div": _binary(positive),
    "neg": [case(normal(3, 2))],
    "abs": [case(apart(4, 3))],
    "maximum": _extremum(),
    "minimum": _extremum(),
    "exp": [case(normal(3, 4))],
    "log": [case(positive(3, 4))],
    "sqrt": [case(positive(3, 4))],
    "tanh": [case(normal(3, 4))],
    "atan": [case(normal(3, 4) * 3)],
    "cast": [case(normal(3), dtype="float64")],
    "sigmoid": [case(normal(3, 4) * 3)],
    "relu": [case(apart(3, 4))],
    "square": [case(normal(3, 4))],
    "clip": [case(apart(5, 5), low=-0.25, high=0.2)],
    "power": [
        *[case(apart(3, 3) + 0.5, exponent=n) for n in (0, 1, 2, 3, 7, -1, -2)],
        *[case(positive(3, 3), exponent=e) for e in (0.5, 1.5, -0.3)],
    ],
    "erf": [case(normal(3, 4) * 1.5)],
    "where": [
        case(_rng.random((3, 4)) > 0.5, normal(3, 4), normal(3, 4)),
        case(_rng.random((4,)) > 0.5, normal(3, 1), normal()),
    ],
    "sum": [
        case(normal(2, 3, 4), axis=(0, 2), keepdims=False),
        case(normal(2, 3), axis=(1,), keepdims=True),
        case(normal(2, 3), axis=(), keepdims=False),
        case(normal(), axis=(), keepdims=False),
    ],
    "max": [
        case(apart(2, 3, 4), axis=(0, 2), keepdims=False),
        case(apart(4, 3), axis=(1,), keepdims=True),
        case(apart(4), axis=(0,), keepdims=False),
    ],
    "mean": [
        case(normal(2, 3, 4), axis=(1, 2), keepdims=False),
        case(normal(2, 3), axis=(0,), keepdims=True),
    ],
    "var": [case(normal(2, 3, 4), axis=(0, 2), keepdims=False), case(normal(2, 3), axis=(1,), keepdims=True)],
    "reshape": [case(normal(2, 6), shape=(3, 1, 4)), case(normal(1), shape=())],
    "transpose": [case(normal(2, 3, 4), axes=(2, 0, 1)), case(normal(2), axes=(0,))],
    "broadcast_to": [
        case(normal(3, 1), shape=(2, 3, 4)),
        case(normal(), shape=(2,)),
        case(normal(2), shape=(2,)),
    ],
    "strided_slice": [
        case(normal(5, 6), start=(1, 0), stop=(5, 6), step=(2, 4)),
        case(normal(4), start=(2,), stop=(2,), step=(1,)),
        case(normal(7), start=(1,), stop=(5,), step=(3,)),
    ],
    "pad": [
        case(normal(2, 3), low=(1, 0), high=(0, 2), interior=(0, 2), value=1.5),
        case(normal(3), low=(2,), high=(1,), interior=None, value=0.0),
        case(normal(0, 2), low=(1, 1), high=(1, 0), interior=(2, 1), value=0.0),
    ],
    "concat": [case([normal(2, 3), normal(2, 1), normal(2, 2)], axis=1), case([normal(3)], axis=0)],
    "stack": [case([normal(2, 3), normal(2, 3)], axis=1), case([normal(), normal(), normal()], axis=0)],
    "gather": [
        case(normal(4, 3), index(2, 0, 2, 3), axis=0),
        case(normal(2, 3, 2), index(1, 1, 0, 2).reshape(2, 2), axis=1),
        case(normal(3), index(2).reshape(()), axis=0),
    ],
    "scatter_add": [
        case(normal(4, 3), index(2, 0, 2), normal(3, 3), axis=0),
        case(normal(2, 3), index(1, 1, 0, 2).reshape(2, 2), normal(2, 2, 2), axis=1),
    ],
    "matmul": [
        case(normal(3, 4), normal(4, 2)),
        case(normal(2, 3, 4), normal(4, 5)),
        case(normal(2, 1, 3, 4), normal(3, 4, 2)),
        case(normal(1, 1), normal(1, 3)),
    ],
    "linear": [
        case(normal(3, 4), normal(2, 4), normal(2)),
        case(normal(2, 3, 4), normal(5, 4), None),
        case(normal(4), normal(2, 4), normal(2)),
    ],
    "conv2d": _conv2d,
    "conv2d_input_vjp": _conv2d_input,
    "conv2d_weight_vjp": _conv2d_weight,
    "conv1d": [
        case(normal(2, 4, 9), normal(6, 2, 3), normal(6), stride=2, padding=1, dilation=2, groups=2),
        case(normal(1, 2, 5), normal(3, 2, 1), None),
    ],
    "max_pool2d": [case(apart(2, 2, 5, 6), **attrs) for attrs in _POOLS],
    "max_pool2d_vjp": [
        case(normal(2, 3, 3, 5), _PLACES, input_size=(5, 5), **_POOLS[2]),
    ],
    "avg_pool2d": [case(normal(2, 2, 5, 6), **attrs) for attrs in _POOLS],
    "avg_pool2d_vjp": [case(normal(2, 3, 3, 5), input_size=(5, 5), **_POOLS[2])],
    "adaptive_avg_pool2d": [
        case(normal(2, 2, 5, 7), output_size=(3, 2)),
        case(normal(2, 2, 3, 3), output_size=(1, 1)),
        case(normal(1, 1, 2, 3), output_size=(4, 3)),
    ],
    "batch_norm": [
        case(normal(4, 3, 5), positive(3), normal(3), eps=1e-3),
        case(normal(4, 2, 1), None, normal(2), eps=1e-5),
        case(normal(3, 2, 2), positive(2), None, eps=1e-5),
        case(normal(3, 2, 2), None, None, eps=1e-5),
    ],
    "batch_norm_infer": [
        case(normal(4, 3, 5), normal(3), positive(3), positive(3), normal(3), eps=1e-3),
        case(normal(3, 2, 2), normal(2), positive(2), None, None, eps=1e-3),
    ],
    "batch_norm_vjp": [
        case(normal(3, 2, 4), normal(3, 2, 4), normal(2), positive(2), positive(2), eps=1e-3),
        case(normal(3, 2, 4), normal(3, 2, 4), normal(2), positive(2), None, eps=1e-3),
    ],
    "layer_norm": [
        case(normal(3, 4), positive(4), normal(4), axes=1, eps=1e-3),
        case(normal(2, 3, 4), positive(3, 4), None, axes=2, eps=1e-5),
        case(normal(3, 4), None, None, axes=1, eps=1e-5),
    ],
    "rms_norm": [
        case(normal(3, 4), positive(4), axes=1, eps=1e-3),
        case(normal(2, 3, 4), None, axes=2, eps=1e-5),
    ],
    "synapse_filter": [
        case(normal(6, 2, 3), normal(2, 3), np.array(0.8), None),
        case(normal(4, 3), normal(3), np.array(0.6), normal(2, 3)),
        case(normal(3), normal(), np.array(0.9), normal(5)),
        case(normal(1, 4), normal(4), np.array(0.7), normal(1, 4)),
    ],
    "dual_timescale": [
        case(normal(5, 2, 3), normal(2, 3), normal(2, 3), *map(np.array, (0.6, 0.95, 0.5, -0.75))),
        case(normal(1, 4), normal(4), normal(4), *map(np.array, (0.5, 0.9, 1.25, 0.5))),
    ],
    "softmax": [case(normal(3, 4), axis=1), case(normal(2, 3, 2), axis=1)],
    "softmax_vjp": [case(normal(3, 4), positive(3, 4), axis=1), case(normal(2, 3), positive(2, 3), axis=0)],
    "log_softmax": [case(normal(3, 4), axis=0), case(normal(2, 3, 2), axis=2)],
    "log_softmax_vjp": [case(normal(3, 4), -positive(3, 4), axis=1)],
    "cross_entropy": [
        case(normal(4, 3), index(0, 2, 1, 1), label_smoothing=0.0, reduction="mean"),
        case(normal(4, 3), index(0, 2, 1, 1), label_smoothing=0.2, reduction="sum"),
        case(normal(4, 3), index(0, 2, 1, 1), label_smoothing=0.1, reduction="none"),
    ],
    "mse_loss": [case(normal(2, 3), normal(2, 3), reduction=name) for name in ("mean", "sum", "none")],
    "readout": [case(apart(3, 2, 4), mode=name) for name in ("mean", "max", "sum")],
    "bn_through_time": [
        case(normal(3, 4, 2, 5), positive(3, 2), eps=1e-3),
        case(normal(2, 3, 3, 1), None, eps=1e-5),
    ],
    "bn_through_time_vjp": [
        case(normal(2, 3, 2, 4), normal(2, 3, 2, 4), normal(2, 2), positive(2, 2), positive(2, 2), eps=1e-3),
        case(normal(2, 3, 2, 4), normal(2, 3, 2, 4), normal(2, 2), positive(2, 2), None, eps=1e-3),
    ],
    "row_sum_max": [case(apart(3, 5))],
    "temporal_attention": [
        case(apart(3, 2, 4), normal(2, 3), normal(3, 2)),
        case(apart(2, 3, 1), positive(1, 2), normal(2, 1)),
    ],
    "neunorm_multi_step": [
        case(normal(4, 2, 3, 5), normal(2, 1, 5), normal(3, 5), k=0.9),
        case(normal(1, 2, 3, 2), normal(2, 1, 2), normal(1, 2), k=0.25),
    ],
}
"""A row per differentiable op; spiking ones are in ``test_vjp_neurons.py``."""
