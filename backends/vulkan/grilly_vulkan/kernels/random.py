"""Random bits from a counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

_LOW = 0xFFFFFFFF


def random_bits(device: Any, /, *, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> DeviceArray:
    out: DeviceArray = device.empty(shape, "uint32")
    if out.size:
        words = (seed & _LOW, seed >> 32, stream & _LOW, stream >> 32)
        device.run_each("random-bits", -(-out.size // 4), (), (out,), (out.size, 32 - bits, *words))
    return out


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {"random_bits": (random_bits, ("uint32",))}
STRIDED: frozenset[str] = frozenset()
DECLINES: dict[str, Callable[..., str | None]] = {}
