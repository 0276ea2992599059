"""Reductions on the device: every way in which they are spread over workgroups, on numbers whose sums are exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(params=["wide", "folded"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Also with a grid of at most seven workgroups along x, where there are more workgroups than needed."""
    opened = open_or_skip("vulkan")
    if request.param == "folded":
        from grilly_vulkan import stream

        monkeypatch.setattr(stream, "_GROUPS_X", 7)
    return opened


def draw(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> Array:
    """Eighths (of a float) in a narrow range: exact sums, many ties."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return (rng.integers(-8, 9, shape) / 8).astype(dtype)
    return rng.integers(0 if dtype == "uint32" else -9, 9, shape).astype(dtype)


def same(x: Any) -> Any:
    return x


def check(backend: Any, array: Array, axis: tuple[int, ...], view: Callable[[Any], Any] = same) -> None:
    """All three ops over ``axis`` of a view of ``array``."""
    x, expected = view(grilly.tensor(array, backend=backend)), view(array)
    for keepdims in (False, True):
        total = ops.sum(x, axis=axis, keepdims=keepdims)
        largest = ops.max(x, axis=axis, keepdims=keepdims)
        assert total.dtype == largest.dtype == array.dtype.name
        np.testing.assert_array_equal(
            total.numpy(), expected.sum(axis=axis, keepdims=keepdims, dtype=array.dtype)
        )
        np.testing.assert_array_equal(largest.numpy(), expected.max(axis=axis, keepdims=keepdims))
    if len(axis) == 1:
        index = ops.argmax(x, axis=axis[0])
        assert index.dtype == "int32"
        np.testing.assert_array_equal(index.numpy(), expected.argmax(axis=axis[0]))


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 257, 1031, 16384, 70001])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32"])
def test_everything_to_one_number(backend: Any, size: int, dtype: str) -> None:
    check(backend, draw((size,), dtype), (0,))
    check(backend, draw((size,), dtype, 1), (0,), lambda x: x[size // 3 :: 3])


MATRICES = [
    (1, 1),
    (3, 65),
    (65, 3),
    (257, 64),
    (64, 257),
    (9000, 3),
    (3, 9000),
    (20000, 10),
    (10, 20000),
    (40, 1031),
]


@pytest.mark.parametrize("shape", MATRICES, ids=str)
@pytest.mark.parametrize("axis", [(0,), (1,), (0, 1), ()])
def test_rows_and_columns(backend: Any, shape: tuple[int, int], axis: tuple[int, ...]) -> None:
    array = draw(shape)
    for view in (same, lambda x: x.T, lambda x: x[:, ::2], lambda x: x[shape[0] // 2 :].T):
        check(backend, array, axis, view)


@pytest.mark.parametrize(
    "shape", [(300, 7, 2, 2), (40, 3, 50, 1), (5, 6, 7, 8), (64, 1, 3, 33), (2, 130, 1, 257)], ids=str
)
def test_all_sets_of_axes(backend: Any, shape: tuple[int, ...]) -> None:
    array = draw(shape)
    for count in range(5):
        for axis in itertools.combinations(range(4), count):
            check(backend, array, axis)
            check(backend, array, axis, lambda x: x.transpose(2, 0, 3, 1))


@pytest.mark.parametrize("axis", [(0, 2, 4, 6), (1, 3, 5, 7), (0, 1, 3, 6), (2,), (7,), tuple(range(8))])
def test_more_axes_than_the_shader_takes(backend: Any, axis: tuple[int, ...]) -> None:
    array = draw((3, 4, 3, 4, 3, 4, 3, 4))
    check(backend, array, axis)
    check(backend, array, axis, lambda x: x[::2, 1:3, ::2, 1:3, ::2, 1:3, ::2, 1:3])


@pytest.mark.parametrize("axis", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 1, 1), (1, 70, 1), (1, 1, 70), (9, 1, 70)], ids=str)
def test_what_is_broadcast(backend: Any, axis: tuple[int, ...], shape: tuple[int, ...]) -> None:
    array = draw(shape)
    x = ops.broadcast_to(grilly.tensor(array, backend=backend), shape=(9, 70, 70))
    expected = np.broadcast_to(array, (9, 70, 70))
    np.testing.assert_array_equal(ops.sum(x, axis=axis).numpy(), expected.sum(axis=axis))
    np.testing.assert_array_equal((ops.max(x, axis=axis) + 1.0).numpy(), expected.max(axis=axis) + 1)


def test_no_elements(backend: Any) -> None:
    x = grilly.tensor(np.zeros((3, 0, 5), "float32"), backend=backend)
    np.testing.assert_array_equal(ops.sum(x, axis=(1,)).numpy(), np.zeros((3, 5)))
    assert ops.sum(x, axis=(0,)).shape == ops.max(x, axis=(0,)).shape == ops.argmax(x, axis=0).shape == (0, 5)


@pytest.mark.parametrize("size", [5, 40000])
def test_nan_is_largest_and_the_first_one_counts(backend: Any, size: int) -> None:
    array = draw((size,))
    array[[0, size // 2]] = np.inf, -np.inf
    x = grilly.tensor(array, backend=backend)
    assert ops.max(x, axis=(0,)).numpy() == np.inf and ops.argmax(x, axis=0).numpy() == 0
    for last in (np.float32(np.nan), np.uint32(0xFFC00001).view("float32")):
        array[[size - 1, size - 2]] = last
        x = grilly.tensor(array, backend=backend)
        assert np.isnan(ops.max(x, axis=(0,)).numpy())
        assert ops.argmax(x, axis=0).numpy() == size - 2


@pytest.mark.parametrize("size", [3, 40000])
def test_the_first_of_equal_ones_wins_over_all_chunks(backend: Any, size: int) -> None:
    """Zeros of either sign are equal, and nothing is less than the least number of a dtype."""
    array = np.full(size, -1.0, "float32")
    array[[size // 2, size - 1]] = -0.0, 0.0
    assert ops.argmax(grilly.tensor(array, backend=backend), axis=0).numpy() == size // 2
    for least in (np.float32(-np.inf), np.iinfo("int32").min, np.uint32(0)):
        least = np.full(
            size, least, np.asarray(least).dtype if np.asarray(least).dtype != "int64" else "int32"
        )
        x = grilly.tensor(least, backend=backend)
        assert ops.argmax(x, axis=0).numpy() == 0
        assert ops.max(x, axis=(0,)).numpy() == least[0]


def test_integers_wrap_around(backend: Any) -> None:
    for dtype in ("int32", "uint32"):
        array = np.full((4, 9), np.iinfo(dtype).max, dtype)
        check(backend, array, (0,))
        check(backend, array, (0, 1))


@pytest.mark.parametrize(
    "shape, axis", [((100003,), (0,)), ((4099, 7), (0,)), ((5, 3001), (1,)), ((70, 9, 70), (0, 2))]
)
def test_float_sums_are_close_and_the_same_every_time(backend: Any, shape: Any, axis: Any) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype("float32")
    exact = array.astype("float64").sum(axis=axis)
    bound = 2e-6 * np.abs(array.astype("float64")).sum(axis=axis)
    results = [ops.sum(grilly.tensor(array, backend=backend), axis=axis).numpy() for _ in range(3)]
    assert (np.abs(results[0] - exact) <= bound).all()
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def test_gradients(backend: Any) -> None:
    x = grilly.tensor(draw((30, 4, 5)), backend=backend, requires_grad=True)
    weight = draw((4,), seed=1)
    (ops.sum(x, axis=(0, 2)) * grilly.tensor(weight, backend=backend)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(weight[:, None], (30, 4, 5)))


def test_large_reductions_take_one_dispatch_more_and_small_ones_one(backend: Any) -> None:
    for shape, axis, expected in [
        ((100,), (0,), 1), ((70000,), (0,), 2), ((300, 500), (1,), 1), ((9000, 3), (0,), 2), ((500, 8, 4), (0, 2), 2),
        ((5, 1), (1,), 0),
    ]:  # fmt: skip
        x = grilly.tensor(np.zeros(shape, "float32"), backend=backend)
        before = backend.stream.ops
        ops.sum(x, axis=axis)
        assert backend.stream.ops - before == expected
