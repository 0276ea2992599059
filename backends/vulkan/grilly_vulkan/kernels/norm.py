"""Batch normalisation in three dispatches each way, layer and root-mean-square normalisation in one.

Batch normalisation reads x for the statistics and once more for the result, which is as little as can be; backward reads
x and g twice. Between the two a small dispatch joins what the workgroups found and makes a table of each channel's
factors. :mod:`grilly_vulkan.kernels.norm_time` has it for many steps at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor
from grilly_vulkan.kernels.reduce_plan import lanes, spread

__all__ = ["DECLINES", "KERNELS", "STRIDED", "normalise"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_RUN = 64  # from this extent of the last axis on, lanes lie along it
_FEW = 16  # with fewer samples, a result for each place would be much of what is read


class _Plan(NamedTuple):
    """How the statistics of ``[T, M, C, L]`` are spread, a batch norm for each step.

    Attributes:
        along: lanes lie along M and L; else every place in ``[C, L]`` has its own result.
        places: results of one channel.
        splits: chunks of each result.
        groups, sums: workgroups and numbers of the first dispatch.
        merge_groups, merge: the same of the second.
        apply: numbers of the third; the last two with an axis T only.
    """

    along: bool
    places: int
    splits: int
    groups: int
    sums: Shape
    merge_groups: int
    merge: Shape
    apply: Shape


@functools.lru_cache(maxsize=1024)
def _plan(shape: Shape) -> _Plan:
    steps, m, channels, extent = shape
    if channels == 1:
        m, extent = 1, m * extent
    along = extent >= _RUN or (extent > 1 and m < _FEW)
    places = 1 if along else extent
    results, count = steps * channels * places, m * (extent if along else 1)
    depth = lanes(results, count, along)
    groups, splits, chunk = spread(results, count, depth)
    norms = steps * channels
    merge_depth = lanes(norms, places * splits, True)
    skip = (m - 1) * channels * extent
    return _Plan(
        along,
        places,
        splits,
        groups,
        (
            *(results, count, chunk, depth, channels * extent, extent, *divisor(extent)),
            *(*divisor(channels * places), skip),
        ),
        -(-norms // (256 >> merge_depth)),
        (norms, extent, places, splits, count, chunk, merge_depth, *divisor(channels), skip),
        (steps * m * channels * extent, channels, *divisor(extent), *divisor(channels), *divisor(m)),
    )


def normalise(
    device: Any,
    g: DeviceArray | None,
    x: DeviceArray,
    statistics: tuple[DeviceArray | None, DeviceArray | None],
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    eps: float,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Forward (``g`` is None) or backward of ``[M, C, L]`` or ``[T, M, C, L]``: the result and two arrays ``[..., C]``."""
    stepped = len(x.shape) == 4
    shape = x.shape if stepped else (1, *x.shape)
    each = (*x.shape[:-3], x.shape[-2])
    y, first, second = (
        device.empty(x.shape, "float32"),
        device.empty(each, "float32"),
        device.empty(each, "float32"),
    )
    if not y.size:
        return y, first, second
    backward = g is not None
    mean, var = statistics
    plan = _plan(shape)
    partial = device.empty((3 if backward else 2, first.size * plan.places, plan.splits), "float32")
    table = device.empty((first.size, 4), "float32")
    constants = (plan.along, backward, stepped)
    device.run("norm-sums", plan.groups, (x, g, mean), (partial,), plan.sums, constants)
    device.run(
        "norm-merge",
        plan.merge_groups,
        (partial, mean if backward else x, var, weight, bias),
        (table, first, second),
        (*plan.merge, eps, float(x.size // first.size)),
        (True, backward, weight is not None, bias is not None, stepped),
    )
    shader, numbers = ("snn-bn-through-time", plan.apply) if stepped else ("norm-apply", plan.apply[:-2])
    device.run_each(shader, y.size, (x, g, table), (y,), numbers, (backward,))
    return y, first, second


def batch_norm(
    device: Any, x: DeviceArray, weight: DeviceArray | None, bias: DeviceArray | None, /, *, eps: float
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    return normalise(device, None, x, (None, None), weight, bias, eps)


def batch_norm_vjp(
    device: Any,
    g: DeviceArray,
    x: DeviceArray,
    mean: DeviceArray,
    var: DeviceArray,
    weight: DeviceArray | None,
    /,
    *,
    eps: float,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    return normalise(device, g, x, (mean, var), weight, None, eps)


def batch_norm_infer(
    device: Any,
    x: DeviceArray,
    mean: DeviceArray,
    var: DeviceArray,
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    /,
    *,
    eps: float,
) -> DeviceArray:
    y: DeviceArray = device.empty(x.shape, "float32")
    if y.size:
        channels, extent = x.shape[1:]
        scalars = (y.size, channels, eps, *divisor(extent), *divisor(channels))
        constants = (weight is not None, bias is not None)
        device.run_each("norm-infer", y.size, (x, mean, var, weight, bias), (y,), scalars, constants)
    return y


def moving_average(
    device: Any, old: DeviceArray, new: DeviceArray, /, *, momentum: float, gain: float
) -> DeviceArray:
    out: DeviceArray = device.empty(old.shape, "float32")
    if out.size:
        scalars = (out.size, 1.0 - momentum, momentum * gain)
        device.run_each("moving-average", out.size, (old, new), (out,), scalars)
    return out


def _rows(
    device: Any,
    x: DeviceArray,
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    axes: int,
    eps: float,
    centred: bool,
) -> DeviceArray:
    y: DeviceArray = device.empty(x.shape, "float32")
    if y.size:
        length = math.prod(x.shape[len(x.shape) - axes :])
        rows = y.size // length
        depth = lanes(rows, length, True)
        constants = (True, centred, weight is not None, bias is not None)
        groups = -(-rows // (256 >> depth))
        shader = "norm-rows" if centred else "snn-rmsnorm"
        device.run(shader, groups, (x, weight, bias), (y,), (rows, length, depth, eps), constants)
    return y


def layer_norm(
    device: Any,
    x: DeviceArray,
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    /,
    *,
    axes: int,
    eps: float,
) -> DeviceArray:
    return _rows(device, x, weight, bias, axes, eps, True)


def rms_norm(
    device: Any, x: DeviceArray, weight: DeviceArray | None, /, *, axes: int, eps: float
) -> DeviceArray:
    return _rows(device, x, weight, None, axes, eps, False)


_LONGEST = 1 << 17  # of a row in one workgroup
_MANY = 512  # rows that make up for longer ones


def _long(x: Any, *parameters: Any, axes: int, eps: float) -> str | None:
    length = math.prod(x.shape[len(x.shape) - axes :])
    rows = math.prod(x.shape[: len(x.shape) - axes])
    if length <= _LONGEST or rows >= _MANY:
        return None
    return f"its kernel keeps a row in one workgroup; {rows} rows of {length:,} elements are too few for that"


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT)
    for kernel in (batch_norm, batch_norm_infer, batch_norm_vjp, layer_norm, moving_average, rms_norm)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {"layer_norm": _long, "rms_norm": _long}
