"""Pooling kernels against the NumPy backend: ties, NaN, -inf, padding, windows that overlap or leave gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.testing.tolerances import value_tolerance

Pair = tuple[int, int]


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


POOLS = [
    ((2, 3, 8, 10), dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))),
    ((1, 2, 7, 9), dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))),
    ((3, 1, 9, 7), dict(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))),
    ((1, 1, 6, 11), dict(kernel_size=(3, 2), stride=(1, 1), padding=(1, 0))),
    ((2, 2, 11, 13), dict(kernel_size=(2, 1), stride=(4, 3), padding=(1, 0))),
    ((1, 3, 1, 1031), dict(kernel_size=(1, 4), stride=(1, 2), padding=(0, 2))),
    ((0, 2, 4, 4), dict(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))),
    ((257, 2, 2, 2), dict(kernel_size=(2, 2), stride=(1, 1), padding=(1, 1))),
]


def image(*shape: int) -> np.ndarray:
    """Few different numbers, so that most windows have several largest elements."""
    return np.random.default_rng(0).integers(-4, 5, shape).astype(np.float32) / 4


def results(name: str, backend: Any, arrays: list[np.ndarray], **attrs: Any) -> list[np.ndarray]:
    got = getattr(ops, name)(*[grilly.tensor(a, backend=backend) for a in arrays], **attrs)
    return [t.numpy() for t in (got if isinstance(got, tuple) else (got,))]


def same(name: str, backend: Any, arrays: list[np.ndarray], **attrs: Any) -> list[np.ndarray]:
    got, want = (results(name, target, arrays, **attrs) for target in (backend, "numpy"))
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if a.dtype == np.int32:
            np.testing.assert_array_equal(a, b)
            continue
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        assert (np.abs(a[finite] - b[finite]) <= value_tolerance(name).allowed(b)[finite]).all()
    return got


@pytest.mark.parametrize("shape, window", POOLS)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_forward_and_backward(
    backend: Any, kind: str, shape: tuple[int, ...], window: dict[str, Pair]
) -> None:
    y, *index = same(f"{kind}_pool2d", backend, [image(*shape)], **window)
    same(f"{kind}_pool2d_vjp", backend, [image(*y.shape), *index], input_size=shape[2:], **window)


def test_views_are_read_as_they_are_seen(backend: Any) -> None:
    x = image(4, 5, 3, 6)
    turned = ops.transpose(grilly.tensor(x, backend=backend), axes=(3, 0, 2, 1))
    got = ops.max_pool2d(turned, kernel_size=(2, 2), stride=(1, 2))[0].numpy()
    want = results("max_pool2d", "numpy", [x.transpose(3, 0, 2, 1).copy()], kernel_size=(2, 2), stride=(1, 2))
    np.testing.assert_array_equal(got, want[0])


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
def test_special_values(backend: Any, special: float, padding: Pair) -> None:
    x = image(2, 2, 9, 9)
    x[np.random.default_rng(1).random(x.shape) < 0.3] = special
    x[0, 0] = special  # whole windows
    same("max_pool2d", backend, [x], kernel_size=(3, 3), stride=(2, 1), padding=padding)


def test_an_infinite_gradient_stays_where_it_belongs(backend: Any) -> None:
    g = np.array([[[[np.inf, 1.0], [2.0, np.nan]]]], np.float32)
    index = np.array([[[[3, 0], [1, 2]]]], np.int32)
    same(
        "max_pool2d_vjp", backend, [g, index],
        input_size=(4, 4), kernel_size=(2, 2), stride=(2, 2), padding=(0, 0),
    )  # fmt: skip


def test_a_gradient_of_whole_numbers_goes_another_way(backend: Any) -> None:
    g, index = np.array([[[[5]]]], np.int32), np.array([[[[2]]]], np.int32)
    got = results(
        "max_pool2d_vjp", backend, [g, index],
        input_size=(2, 2), kernel_size=(2, 2), stride=(2, 2), padding=(0, 0),
    )[0]  # fmt: skip
    np.testing.assert_array_equal(got, [[[[0, 0], [5, 0]]]])


def test_one_dispatch_each(backend: Any) -> None:
    x = grilly.tensor(image(2, 2, 6, 6), backend=backend)
    window = dict(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    y, index = ops.max_pool2d(x, **window)
    before = backend.stream.ops
    ops.max_pool2d(x, **window)
    ops.max_pool2d_vjp(y, index, input_size=(6, 6), **window)
    ops.avg_pool2d(x, **window)
    ops.avg_pool2d_vjp(y, input_size=(6, 6), **window)
    assert backend.stream.ops - before == 4
