"""Random bits from a counter, and floats made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

_LOW = 0xFFFFFFFF


def random_bits(device: Any, /, *, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> DeviceArray:
    """Words of Philox; an array holds fewer than 2**31, so that the number of a block fits one word of the counter."""
    out: DeviceArray = device.empty(shape, "uint32")
    if out.size:
        words = (seed & _LOW, seed >> 32, stream & _LOW, stream >> 32)
        device.run_each("random-bits", -(-out.size // 4), (), (out,), (out.size, 32 - bits, *words))
    return out


def uniform_from_bits(device: Any, bits: DeviceArray, /, *, dtype: str) -> DeviceArray:
    out: DeviceArray = device.empty(bits.shape, dtype)
    if out.size:
        device.run_each("uniform-from-bits", out.size, (bits,), (out,), (out.size, math.ldexp(1.0, -24)))
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "random_bits": (random_bits, ("uint32",)),
    "uniform_from_bits": (uniform_from_bits, ("uint32",)),
}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {
    "uniform_from_bits": lambda bits, *, dtype: None if dtype == "float32" else f"it makes no {dtype}"
}
