"""Softmax, its logarithm and their gradients along any axis: one dispatch, a row in one workgroup."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor
from grilly_vulkan.kernels.reduce_plan import lanes

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_EACH = 8  # elements that an invocation keeps, as in the shader
_ROUNDS = 64  # of so many elements, from which a row is too long for one workgroup
_GROUPS = 512  # workgroups that make up for that


class _Plan(NamedTuple):
    groups: int
    depth: int
    along: bool
    scalars: Shape


@functools.lru_cache(maxsize=1024)
def _plan(shape: Shape, axis: int) -> _Plan:
    length, inner = shape[axis], math.prod(shape[axis + 1 :])
    rows = math.prod(shape[:axis]) * inner
    along = inner == 1
    depth = lanes(rows if along else inner, length, along)
    groups = -(-rows // (256 >> depth))
    return _Plan(groups, depth, along, (rows, length, depth, inner, *divisor(inner)))


def _along(device: Any, x: DeviceArray, y: DeviceArray | None, axis: int, logarithm: bool) -> DeviceArray:
    out: DeviceArray = device.empty(x.shape, "float32")
    if out.size:
        plan = _plan(x.shape, axis)
        shader = "snn-softmax" if y is None and not logarithm else "softmax"
        device.run(shader, plan.groups, (x, y), (out,), plan.scalars, (plan.along, y is not None, logarithm))
    return out


def softmax(device: Any, x: DeviceArray, /, *, axis: int) -> DeviceArray:
    return _along(device, x, None, axis, False)


def log_softmax(device: Any, x: DeviceArray, /, *, axis: int) -> DeviceArray:
    return _along(device, x, None, axis, True)


def softmax_vjp(device: Any, g: DeviceArray, y: DeviceArray, /, *, axis: int) -> DeviceArray:
    return _along(device, g, y, axis, False)


def log_softmax_vjp(device: Any, g: DeviceArray, y: DeviceArray, /, *, axis: int) -> DeviceArray:
    return _along(device, g, y, axis, True)


def _long(*specs: Any, axis: int) -> str | None:
    shape: Shape = specs[0].shape
    if not math.prod(shape):
        return None
    plan = _plan(shape, axis)
    if shape[axis] <= _ROUNDS * _EACH << plan.depth or plan.groups >= _GROUPS:
        return None
    return f"its kernel keeps a row in one workgroup; of {shape} along axis {axis} that would be {plan.groups}, too few"


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT) for kernel in (softmax, log_softmax, softmax_vjp, log_softmax_vjp)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = dict.fromkeys(KERNELS, _long)
