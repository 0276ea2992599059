"""Batch normalisation in three dispatches each way, layer and root-mean-square normalisation in one.

Batch normalisation reads x for the statistics and once more for the result, which is as little as can be; backward reads
x and g twice. Between the two a small dispatch joins what the workgroups found and makes a table of each channel's
factors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.division import divisor
from grilly_vulkan.kernels.reduce_plan import lanes, spread

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
_RUN = 64  # from this extent of the last axis on, lanes lie along it
_FEW = 16  # with fewer samples, a result for each place would be much of what is read


class _Plan(NamedTuple):
    """How the statistics of ``[M, C, L]`` are spread.

    Attributes:
        along: lanes lie along axes 0 and 2; else every place in ``[C, L]`` has its own result.
        places: results of one channel.
        splits: chunks of each result.
        groups, sums: workgroups and numbers of the first dispatch.
        merge_groups, merge: the same of the second.
        apply: numbers of the third.
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
    m, channels, extent = (1, 1, shape[0] * shape[2]) if shape[1] == 1 else shape
    along = extent >= _RUN or (extent > 1 and m < _FEW)
    places = 1 if along else extent
    results, count = channels * places, m * (extent if along else 1)
    depth = lanes(results, count, along)
    groups, splits, chunk = spread(results, count, depth)
    each = places * splits
    merge_depth = lanes(channels, each, True)
    return _Plan(
        along,
        places,
        splits,
        groups,
        (results, count, chunk, depth, channels * extent, extent, *divisor(extent)),
        -(-channels // (256 >> merge_depth)),
        (channels, extent, places, splits, count, chunk, merge_depth),
        (m * channels * extent, channels, *divisor(extent), *divisor(channels)),
    )


def _normalise(
    device: Any,
    g: DeviceArray | None,
    x: DeviceArray,
    statistics: tuple[DeviceArray | None, DeviceArray | None],
    weight: DeviceArray | None,
    bias: DeviceArray | None,
    eps: float,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Forward (``g`` is None) or backward: the result like x and two arrays ``[C]``."""
    channels = x.shape[1]
    y, first, second = (device.empty(shape, "float32") for shape in (x.shape, (channels,), (channels,)))
    if not y.size:
        return y, first, second
    backward = g is not None
    mean, var = statistics
    plan = _plan(x.shape)
    partial = device.empty((3 if backward else 2, channels * plan.places, plan.splits), "float32")
    table = device.empty((4, channels), "float32")
    device.run("norm-sums", plan.groups, (x, g, mean), (partial,), plan.sums, (plan.along, backward))
    device.run(
        "norm-merge",
        plan.merge_groups,
        (partial, mean if backward else x, var, weight, bias),
        (table, first, second),
        (*plan.merge, eps, float(x.size // channels)),
        (True, backward, weight is not None, bias is not None),
    )
    device.run_each("norm-apply", y.size, (x, g, table), (y,), plan.apply, (backward,))
    return y, first, second


def batch_norm(
    device: Any, x: DeviceArray, weight: DeviceArray | None, bias: DeviceArray | None, /, *, eps: float
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    return _normalise(device, None, x, (None, None), weight, bias, eps)


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
    return _normalise(device, g, x, (mean, var), weight, None, eps)


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
    kernel.__name__: (kernel, FLOAT) for kernel in (batch_norm, batch_norm_vjp, layer_norm, rms_norm)
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {"layer_norm": _long, "rms_norm": _long}
