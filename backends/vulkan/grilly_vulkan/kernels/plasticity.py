"""Plasticity: traces of all steps in one dispatch, and short updates of a weight in one.

A weight's own sum over time, batch and positions is a loop of one invocation. Where it is long (:data:`_LONGEST`) the
composite is faster: it multiplies matrices, which splits sums over workgroups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels.neuron import float32

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_LONGEST = 4096  # terms of a sum in one invocation


def _pair(extents: Shape, fill: int) -> Shape:
    return (fill,) * (2 - len(extents)) + tuple(extents)


def _sides(pre: DeviceArray, post: DeviceArray, groups: int) -> tuple[int, ...]:
    """What the shaders know of the two sides: steps, batch, channels, groups and extents."""
    steps, batch, channels = pre.shape[:3]
    return (
        steps, batch, channels, post.shape[2], groups, *_pair(pre.shape[3:], 1), *_pair(post.shape[3:], 1),
    )  # fmt: skip


def _window(weight: DeviceArray, stride: Shape, padding: Shape, dilation: Shape) -> tuple[int, ...]:
    return (*_pair(weight.shape[2:], 1), *_pair(stride, 1), *_pair(padding, 0), *_pair(dilation, 1))


def stdp_trace(
    device: Any, s: DeviceArray, trace: DeviceArray | None, /, *, tau: float
) -> tuple[DeviceArray, DeviceArray]:
    traces: DeviceArray = device.empty(s.shape, "float32")
    last: DeviceArray = device.empty(s.shape[1:], "float32")
    if last.size:
        scalars = (last.size, s.shape[0], float32(1.0 / tau))
        device.run_each(
            "snn-stdp-trace", last.size, (s, trace), (traces, last), scalars, (trace is not None,)
        )
    return traces, last


def stdp_update(
    device: Any,
    weight: DeviceArray,
    pre: DeviceArray,
    post: DeviceArray,
    trace_pre: DeviceArray | None,
    trace_post: DeviceArray | None,
    /,
    *,
    tau_pre: float,
    tau_post: float,
    a_pre: float,
    a_post: float,
    w_min: float | None,
    w_max: float | None,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    following: DeviceArray = device.empty(weight.shape, "float32")
    last_pre: DeviceArray = device.empty(pre.shape[1:], "float32")
    last_post: DeviceArray = device.empty(post.shape[1:], "float32")
    count = weight.size + last_pre.size + last_post.size
    if count:
        limits = (0.0 if w_min is None else w_min, 0.0 if w_max is None else w_max)
        numbers = (1.0 / tau_pre, 1.0 / tau_post, a_pre, a_post, *limits)
        given = (trace_pre is not None, trace_post is not None, w_min is not None, w_max is not None)
        device.run_each(
            "snn-stdp-update",
            count,
            (weight, pre, post, trace_pre, trace_post),
            (following, last_pre, last_post),
            (*_sides(pre, post, groups), *map(float32, numbers)),
            (*_window(weight, stride, padding, dilation), *given),
        )
    return following, last_pre, last_post


def hebbian_update(
    device: Any,
    weight: DeviceArray,
    pre: DeviceArray,
    post: DeviceArray,
    /,
    *,
    lr: float,
    decay: float,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> DeviceArray:
    following: DeviceArray = device.empty(weight.shape, "float32")
    if following.size:
        rate = lr / (post.size // post.shape[2])
        device.run_each(
            "snn-hebbian-update",
            following.size,
            (weight, pre, post),
            (following,),
            (*_sides(pre, post, groups), float32(rate), float32(decay)),
            _window(weight, stride, padding, dilation),
        )
    return following


def _long(weight: Any, pre: Any, post: Any, *traces: Any, **attrs: Any) -> str | None:
    terms = math.prod(post.shape) // max(1, post.shape[2])
    if terms <= _LONGEST:
        return None
    return f"its kernel adds up a weight's {terms:,} terms one after the other; products of matrices do it in parallel"


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (stdp_trace, stdp_update, hebbian_update)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {"stdp_update": _long, "hebbian_update": _long}
