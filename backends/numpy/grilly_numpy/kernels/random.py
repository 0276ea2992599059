"""Random bits: the reference generator itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from grilly_core.extend import philox

__all__ = ["KERNELS"]


def random_bits(device: Any, /, *, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> Any:
    words = philox(math.prod(shape), seed, stream)
    return (words >> np.uint32(32 - bits)).reshape(shape)


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {"random_bits": (random_bits, ("uint32",))}
