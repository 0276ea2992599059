"""Random words against the reference generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

from grilly_core import ops
from grilly_core.errors import UnsupportedOpError
from grilly_core.ops.random import philox, uniform


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


@pytest.mark.parametrize("shape", [(0,), (), (1,), (2,), (3,), (4,), (5,), (1031,), (257, 3)])
@pytest.mark.parametrize("seed, stream", [(0, 0), (2**32 + 5, 7), (3, 2**32 + 1), (2**64 - 1, 2**64 - 1)])
def test_words_are_those_of_the_reference(
    backend: Any, shape: tuple[int, ...], seed: int, stream: int
) -> None:
    want = philox(math.prod(shape), seed, stream).reshape(shape)
    for bits in (32, 24, 1):
        got = ops.random_bits.on(backend, shape=shape, seed=seed, stream=stream, bits=bits).numpy()
        np.testing.assert_array_equal(got, want >> np.uint32(32 - bits))


@pytest.mark.parametrize("count", [0, 1, 257, 2053])
def test_uniform_floats(backend: Any, count: int) -> None:
    got = uniform((count,), 1, 2, "float32", backend).numpy()
    want = (philox(count, 1, 2) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    np.testing.assert_array_equal(got, want)


def test_more_elements_than_shaders_count_are_refused(backend: Any) -> None:
    with pytest.raises(UnsupportedOpError, match=r"2,147,483,648 elements.*at most 2,147,483,647"):
        ops.random_bits.on(backend, shape=(2**16, 2**15), seed=0, stream=0)
