"""Random numbers from a counter: the same seed and stream give the same bits on every backend.

The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Element
``i`` of a draw is word ``i % 4`` of block ``i // 4``; the key is the 64-bit seed, the counter is
``(block low, block high, stream low, stream high)``, low 32 bits first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly_core.errors import ArgumentError
from grilly_core.op import Dynamic, composite, primitive
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor

__all__ = ["philox", "random_bits", "uniform_from_bits"]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)


def philox(count: int, seed: int, stream: int) -> np.ndarray:
    """``count`` words of 32 bits, as uint32: the reference that every backend must match.

    Example:
        >>> [hex(word) for word in philox(2, seed=0, stream=0)]
        ['0x6627e8d5', '0xe169c58d']
    """
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    ones = np.ones_like(blocks)
    c0, c1 = blocks & _LOW, blocks >> np.uint64(32)
    c2, c3 = ones * np.uint64(stream & 0xFFFFFFFF), ones * np.uint64(stream >> 32 & 0xFFFFFFFF)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count].astype(np.uint32)


def _random_bits(*, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> Spec:
    if not 1 <= bits <= 32:
        raise ArgumentError(f"bits must lie between 1 and 32, got {bits}")
    return Spec(shape, "uint32")


def _check_words(*, seed: int, stream: int) -> None:
    if not (0 <= seed < 2**64 and 0 <= stream < 2**64):
        raise ArgumentError(f"seed and stream must be unsigned 64-bit numbers, got {seed} and {stream}")


@primitive(infer=_random_bits, differentiable=False, check=_check_words)
def random_bits(
    *, shape: tuple[int, ...], seed: Dynamic[int], stream: Dynamic[int], bits: int = 32
) -> Tensor:
    """The upper ``bits`` bits of Philox words, as uint32 in ``[0, 2**bits)``.

    Args:
        shape: shape of the result.
        seed: 64-bit key.
        stream: number of the draw; each stream is an independent sequence of 2**66 words.
        bits: how many bits are wanted.
    """


def _bits_for(dtype: str) -> int:
    return 24 if dtype == "float32" else 32


@composite(differentiable=False)
def uniform_from_bits(bits: Tensor, /, *, dtype: str = "float32") -> Tensor:
    """Floats in [0, 1) from the upper 24 (float32) or 32 (float64) bits of a draw: exact multiples of 2**-24 or 2**-32."""
    return bits.astype(dtype) * math.ldexp(1.0, -_bits_for(dtype))


def uniform(shape: tuple[int, ...], seed: int, stream: int, dtype: str, backend: Any) -> Tensor:
    """Uniform floats in [0, 1) on ``backend``."""
    drawn = random_bits.on(backend, shape=shape, seed=seed, stream=stream, bits=_bits_for(dtype))
    return uniform_from_bits(drawn, dtype=dtype)
