"""The primitives of grilly in calls of the Python array API standard (2023.12), whose arrays are never written to.

uint32 is held as int64, since few namespaces calculate in uint32: after arithmetic only the lower 32 bits are kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import DTYPES, FLOATS, Backend, BackendUnavailable, KernelTable, Spec, ops, philox

Ints = tuple[int, ...]
NUMBERS = tuple(dtype for dtype in DTYPES if dtype != "bool")
kernels = KernelTable("grilly_array_api")


class ArrayApiBackend(Backend):
    """Arrays of the namespace ``xp`` on one of its devices."""

    kernels = kernels

    def __init__(self, name: str, xp: Any, device: Any) -> None:
        self.name, self.xp, self.place = name, xp, device
        self.device = f"{xp.__name__} on {device}"
        offered = xp.__array_namespace_info__().dtypes(device=device)
        if "int64" not in offered:
            raise BackendUnavailable(f"{self.device} has no int64; choose a device that has")
        self.dtypes = frozenset(DTYPES) - ({"float64"} - offered.keys())
        self.features = frozenset({"ieee_special", "deterministic_scatter"} | (self.dtypes & {"float64"}))
        self.held = {dtype: offered["int64" if dtype == "uint32" else dtype] for dtype in self.dtypes}
        # An array's dtype may be another object than the namespace's.
        self.names = {self.full((), 0, dtype).dtype: dtype for dtype in self.dtypes}

    def from_numpy(self, array: np.ndarray) -> Any:
        """A copy on the device."""
        dtype = array.dtype.name
        copy = np.array(array, np.int64 if dtype == "uint32" else None, copy=True, order="C")
        return self.xp.asarray(copy, dtype=self.held[dtype], device=self.place)

    def to_numpy(self, array: Any) -> np.ndarray:
        """The contents, through DLPack."""
        return np.from_dlpack(array, device="cpu").astype(self.spec(array).dtype, copy=False)

    def spec(self, array: Any) -> Spec:
        """Shape and dtype."""
        return Spec(tuple(array.shape), self.names[array.dtype])

    def full(self, shape: Ints, value: float, dtype: str) -> Any:
        """A filled array."""
        kind = float if dtype in FLOATS else bool if dtype == "bool" else int
        return self.xp.full(shape, kind(value), dtype=self.held[dtype], device=self.place)

    def wrap(self, array: Any) -> Any:
        """The result of arithmetic, uint32 modulo 2**32."""
        return array & 0xFFFFFFFF if self.names[array.dtype] == "uint32" else array


open_backend = functools.cache(ArrayApiBackend)  # one object per device: tensors of torch and torch:cpu mix


def _unary(function: str) -> Callable[..., Any]:
    def kernel(device: ArrayApiBackend, x: Any, /) -> Any:
        return device.wrap(getattr(device.xp, function)(x))

    return kernel


def _binary(function: str) -> Callable[..., Any]:
    def kernel(device: ArrayApiBackend, x: Any, y: Any, /) -> Any:
        if device.spec(x).dtype == "bool":  # has no order in the standard
            x, y = (device.xp.astype(one, device.held["int32"]) for one in (x, y))
        return device.wrap(getattr(device.xp, function)(x, y))

    return kernel


for _make, _dtypes, _table in (
    (_binary, NUMBERS, {ops.add: "add", ops.sub: "subtract", ops.mul: "multiply"}),
    (_binary, NUMBERS, {ops.maximum: "maximum", ops.minimum: "minimum"}),
    (_binary, FLOATS, {ops.div: "divide", ops.matmul: "matmul"}),
    (_unary, NUMBERS, {ops.neg: "negative", ops.abs: "abs"}),
    (_unary, FLOATS, {ops.exp: "exp", ops.log: "log", ops.sqrt: "sqrt", ops.tanh: "tanh", ops.atan: "atan"}),
    (_unary, FLOATS, {ops.floor: "floor", ops.round: "round"}),
    (_binary, DTYPES, {ops.greater: "greater", ops.greater_equal: "greater_equal", ops.equal: "equal"}),
):
    for _op, _function in _table.items():
        kernels.register(_op, dtypes=_dtypes)(_make(_function))


@kernels.register(ops.cast)
def cast(device: ArrayApiBackend, x: Any, /, *, dtype: str) -> Any:
    if dtype == "bool" and device.spec(x).dtype != "bool":
        return x != 0
    return device.wrap(device.xp.astype(x, device.held[dtype]))


@kernels.register(ops.where)
def where(device: ArrayApiBackend, condition: Any, x: Any, y: Any, /) -> Any:
    return device.xp.where(condition, x, y)


@kernels.register(ops.spike, dtypes=FLOATS)
def spike(device: ArrayApiBackend, u: Any, /, *, surrogate: Any) -> Any:
    return device.xp.astype(u >= 0, u.dtype)


@kernels.register(ops.sum, dtypes=NUMBERS)
def sum_(device: ArrayApiBackend, x: Any, /, *, axis: Ints, keepdims: bool) -> Any:
    return device.wrap(device.xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)) if axis else x


@kernels.register(ops.max, dtypes=NUMBERS)
def max_(device: ArrayApiBackend, x: Any, /, *, axis: Ints, keepdims: bool) -> Any:
    return device.xp.max(x, axis=axis, keepdims=keepdims) if axis else x


@kernels.register(ops.argmax, dtypes=NUMBERS)
def argmax(device: ArrayApiBackend, x: Any, /, *, axis: int) -> Any:
    return device.xp.astype(device.xp.argmax(x, axis=axis), device.held["int32"])


@kernels.register(ops.reshape)
def reshape(device: ArrayApiBackend, x: Any, /, *, shape: Ints) -> Any:
    return device.xp.reshape(x, shape)


@kernels.register(ops.transpose)
def transpose(device: ArrayApiBackend, x: Any, /, *, axes: Ints) -> Any:
    return device.xp.permute_dims(x, axes)


@kernels.register(ops.broadcast_to)
def broadcast_to(device: ArrayApiBackend, x: Any, /, *, shape: Ints) -> Any:
    return device.xp.broadcast_to(x, shape)


@kernels.register(ops.strided_slice)
def strided_slice(device: ArrayApiBackend, x: Any, /, *, start: Ints, stop: Ints, step: Ints) -> Any:
    return x[tuple([slice(*ends) for ends in zip(start, stop, step, strict=True)])]


@kernels.register(ops.concat)
def concat(device: ArrayApiBackend, xs: list[Any], /, *, axis: int) -> Any:
    return device.xp.concat(xs, axis=axis)


@kernels.register(ops.pad)
def pad(device: Any, x: Any, /, *, low: Ints, high: Ints, interior: Ints | None, value: float) -> Any:
    xp, dtype = device.xp, device.spec(x).dtype
    for axis, between in enumerate(interior or (0,) * x.ndim):
        head, extent, tail = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        if between and extent:
            gaps = device.full((*head, extent, between, *tail), value, dtype)
            x = xp.concat([xp.expand_dims(x, axis=axis + 1), gaps], axis=axis + 1)
            x = xp.reshape(x, (*head, extent * (between + 1), *tail))
            x = x[(*[slice(None)] * axis, slice(0, x.shape[axis] - between), ...)]
        before, after = (device.full((*head, n, *tail), value, dtype) for n in (low[axis], high[axis]))
        x = xp.concat([before, x, after], axis=axis)
    return x


@kernels.register(ops.gather)
def gather(device: ArrayApiBackend, x: Any, index: Any, /, *, axis: int) -> Any:
    taken = device.xp.take(x, device.xp.reshape(index, (math.prod(index.shape),)), axis=axis)
    return device.xp.reshape(taken, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@kernels.register(ops.scatter_add, dtypes=NUMBERS)
def scatter_add(device: ArrayApiBackend, x: Any, index: Any, src: Any, /, *, axis: int) -> Any:
    """Equal indices are sorted together and their slices summed in pairs; each element adds the sum of its index."""
    xp, count = device.xp, math.prod(index.shape)
    if not count:
        return x
    index = xp.reshape(index, (count,))
    order = xp.argsort(index, stable=True)
    src = xp.moveaxis(xp.reshape(src, (*x.shape[:axis], count, *x.shape[axis + 1 :])), axis, 0)
    index, src = (xp.take(one, order, axis=0) for one in (index, src))
    column, zero, step = (-1, *[1] * (x.ndim - 1)), device.full((), 0, device.spec(x).dtype), 1
    while step < count:  # src[i] becomes the sum of up to 2 * step slices of its index from i on
        same = xp.reshape(index[step:] == index[:-step], column)
        more = src[:-step, ...] + xp.where(same, src[step:, ...], zero)
        src, step = xp.concat([more, src[-step:, ...]], axis=0), 2 * step
    every = xp.arange(x.shape[axis], dtype=index.dtype, device=device.place)
    first = xp.searchsorted(index, every) % count
    found = xp.reshape(xp.take(index, first, axis=0) == every, column)
    return device.wrap(x + xp.moveaxis(xp.where(found, xp.take(src, first, axis=0), zero), 0, axis))


@kernels.register(ops.random_bits)
def random_bits(device: ArrayApiBackend, /, *, shape: Ints, seed: int, stream: int, bits: int) -> Any:
    return device.from_numpy((philox(math.prod(shape), seed, stream) >> np.uint32(32 - bits)).reshape(shape))
