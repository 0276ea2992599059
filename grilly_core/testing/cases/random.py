"""Cases of ``ops.random``."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError
from grilly_core.op import Op
from grilly_core.ops.random import philox
from grilly_core.testing.case import Case, Wanted, case_of, means, misuse
from grilly_core.testing.strategies import seeds, shapes

_WORDS = st.sampled_from((0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)) | st.integers(0, 2**64 - 1)


@case_of(ops.random_bits)
def random_bits(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Any shape, seed and stream; whole words and parts."""
    bits = draw(st.sampled_from((32, 24, 1, 31, 8)))
    return Case(op, (), {"shape": draw(shapes()), "seed": draw(_WORDS), "stream": draw(_WORDS), "bits": bits})


@case_of(ops.uniform_from_bits)
def uniform_from_bits(draw: DrawFn, op: Op, wanted: Wanted) -> Case:
    """Words below 2**24 for float32, any for float64."""
    dtype = draw(wanted.floats())
    rng = np.random.default_rng(draw(seeds()))
    words = rng.integers(0, 2**24 if dtype == "float32" else 2**32, draw(shapes())).astype("uint32")
    return Case(op, (words,), {"dtype": dtype})


def _random_bits(*, shape: tuple[int, ...], seed: int, stream: int, bits: int) -> np.ndarray:
    return (philox(math.prod(shape), seed, stream) >> np.uint32(32 - bits)).reshape(shape)


means({ops.random_bits: _random_bits})

misuse(ops.random_bits, ArgumentError, shape=(2,), seed=0, stream=0, bits=33)
misuse(ops.random_bits, ArgumentError, shape=(2,), seed=-1, stream=0)
misuse(ops.random_bits, ArgumentError, shape=(2,), seed=0, stream=2**64)
misuse(ops.uniform_from_bits, DTypeError, np.zeros(2, "uint32"), dtype="float16")
