"""Arrays to the backend and back, bit for bit: everything else is read through it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grilly_core.backend import Backend
from grilly_core.spec import DTYPES, Spec
from grilly_core.testing.plugin import requires
from grilly_core.testing.strategies import LAYOUTS, bit_patterns, laid_out, shapes

each_dtype = pytest.mark.parametrize("dtype", [pytest.param(name, marks=requires(name)) for name in DTYPES])


def _same_bits(actual: np.ndarray, wanted: np.ndarray) -> bool:
    return actual.dtype == wanted.dtype and actual.tobytes() == np.ascontiguousarray(wanted).tobytes()


@each_dtype
@given(data=st.data())
def test_round_trip(backend: Backend, dtype: str, data: st.DataObject) -> None:
    array = data.draw(shapes().flatmap(lambda shape: bit_patterns(shape, dtype)))
    given_array = laid_out(array, data.draw(st.sampled_from(LAYOUTS)))
    handle = backend.from_numpy(given_array)
    assert backend.spec(handle) == Spec(array.shape, dtype)
    back = backend.to_numpy(handle)
    assert back.shape == array.shape
    assert _same_bits(back, array)


@each_dtype
def test_upload_copies(backend: Backend, dtype: str) -> None:
    array = np.ones((3, 5), dtype)
    handle = backend.from_numpy(array)
    array[:] = 0
    assert np.all(backend.to_numpy(handle) == 1), (
        "a later change of the caller's array must not reach the device"
    )


@each_dtype
def test_large(backend: Backend, dtype: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2, (1031, 257)).astype(dtype)
    handles = [backend.from_numpy(np.roll(array, i)) for i in range(4)]
    for i, handle in enumerate(handles):
        assert _same_bits(backend.to_numpy(handle), np.roll(array, i))
