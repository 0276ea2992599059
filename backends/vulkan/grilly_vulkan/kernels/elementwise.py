"""Arithmetic, comparison and functions of one element at a time, with broadcasting and strides in the shader."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray, contiguous_strides, merge_axes

__all__ = ["ADD", "DECLINES", "KERNELS", "STRIDED", "binary"]

Shape = tuple[int, ...]

FLOAT = ("float32",)
NUMBERS = ("float32", "int32", "uint32")
ALL = (*NUMBERS, "bool")

_CODE = {"float32": 0, "int32": 1, "uint32": 2, "bool": 2}
_CAST_CODE = {"float32": 0, "int32": 1, "uint32": 2, "bool": 3}
_BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "greater", "greater_equal", "equal")
_UNARY = ("neg", "abs", "exp", "log", "sqrt", "tanh", "atan", "floor", "round", "sigmoid", "relu")
_SPIKE = 11
ADD = _BINARY.index("add")


@functools.lru_cache(maxsize=4096)
def _layout(
    shape: Shape, operands: tuple[tuple[Shape, Shape | None], ...], room: int
) -> tuple[int, tuple[int, ...]]:
    """Number of merged axes, then their extents and each operand's strides, padded to ``room``."""
    strides = [_aligned(shape, own, given) for own, given in operands]
    extents, merged = merge_axes(shape, *strides)
    if len(extents) > room:
        raise AssertionError(f"more than {room} axes of different strides")
    if not extents:
        extents, merged = [1], [[0] for _ in operands]
    pad = room - len(extents)
    packed = (*extents, *(1,) * pad)
    for row in merged:
        packed += (*row, *(0,) * pad)
    return len(extents), packed


def _aligned(shape: Shape, own: Shape, strides: Shape | None) -> Shape:
    """Strides of an operand over the axes of the result: 0 where it is broadcast."""
    steps = strides if strides is not None else contiguous_strides(own)
    lead = len(shape) - len(own)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(own, steps, strict=True))


_SAME_2: tuple[int, ...] = (1,) * 8 + ((1,) + (0,) * 7) * 2
_SAME_1: tuple[int, ...] = (1,) * 8 + (1,) + (0,) * 7


def _broadcast(x: Shape, y: Shape) -> Shape:
    if x == y or not y:
        return x
    if not x:
        return y
    lead = len(x) - len(y)
    if lead < 0:
        return _broadcast(y, x)
    return x[:lead] + tuple(b if a == 1 else a for a, b in zip(x[lead:], y, strict=True))


def _binary(name: str) -> Callable[..., Any]:
    code = _BINARY.index(name)
    boolean = name in ("greater", "greater_equal", "equal")

    def kernel(device: Any, x: DeviceArray, y: DeviceArray, /) -> DeviceArray:
        return binary(device, code, x, y, "bool" if boolean else x.dtype)

    return kernel


def binary(device: Any, code: int, x: DeviceArray, y: DeviceArray, dtype: str) -> DeviceArray:
    """Record one op of two arrays."""
    if x.shape == y.shape and x.strides is None and y.strides is None:
        shape, axes, packed = x.shape, 1, _SAME_2
    else:
        shape = _broadcast(x.shape, y.shape)
        axes, packed = _layout(shape, ((x.shape, x.strides), (y.shape, y.strides)), 8)
    out: DeviceArray = device.empty(shape, dtype)
    if out.size:
        device.run_each("binary", out.size, (x, y), (out,), (out.size, *packed), (code, _CODE[x.dtype], axes))
    return out


def _one(device: Any, shader: str, x: DeviceArray, dtype: str, constants: tuple[int, ...]) -> DeviceArray:
    axes, packed = (1, _SAME_1) if x.strides is None else _layout(x.shape, ((x.shape, x.strides),), 8)
    out: DeviceArray = device.empty(x.shape, dtype)
    if out.size:
        device.run_each(shader, out.size, (x,), (out,), (out.size, *packed), (*constants, axes))
    return out


def _unary(name: str) -> Callable[..., Any]:
    code = _UNARY.index(name)

    def kernel(device: Any, x: DeviceArray, /) -> DeviceArray:
        if x.dtype != "float32":
            kind = _CAST_CODE[x.dtype]
            return _one(device, "cast", x, x.dtype, (kind, kind, code + 1))
        return _one(device, "unary", x, "float32", (code,))

    return kernel


def spike(device: Any, u: DeviceArray, /, *, surrogate: Any) -> DeviceArray:
    return _one(device, "unary", u, "float32", (_SPIKE,))


def cast(device: Any, x: DeviceArray, /, *, dtype: str) -> DeviceArray:
    return _one(device, "cast", x, dtype, (_CAST_CODE[x.dtype], _CAST_CODE[dtype], 0))


def where(device: Any, condition: DeviceArray, x: DeviceArray, y: DeviceArray, /) -> DeviceArray:
    shape = _broadcast(_broadcast(condition.shape, x.shape), y.shape)
    operands = ((condition.shape, condition.strides), (x.shape, x.strides), (y.shape, y.strides))
    axes, packed = _layout(shape, operands, 5)
    out: DeviceArray = device.empty(shape, x.dtype)
    if out.size:
        device.run_each("where", out.size, (condition, x, y), (out,), (out.size, *packed), (axes,))
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **{name: (_binary(name), FLOAT if name == "div" else NUMBERS) for name in _BINARY},
    **{name: (_unary(name), NUMBERS if name in ("neg", "abs") else FLOAT) for name in _UNARY},
    "spike": (spike, FLOAT),
    "cast": (cast, ALL),
    "where": (where, ALL),
}
for _name in ("greater", "greater_equal", "equal"):
    KERNELS[_name] = (KERNELS[_name][0], ALL)
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {}
