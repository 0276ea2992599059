"""Softmax and its relatives on the device against formulas in float64, along any axis, rows short and long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.spec import Spec
from grilly_core.testing.tolerances import value_tolerance

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = [
    (1,), (63,), (257,), (3, 10), (700, 10), (65, 64), (2, 1031), (3, 2048), (2, 2049), (1, 9000), (2049, 3), (300, 65),
    (5, 7, 3), (3, 100, 40), (2, 3, 5, 7),
]  # fmt: skip


@pytest.fixture(params=["wide", "folded"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Also with a grid of at most seven workgroups along x, where there are more workgroups than needed."""
    opened = open_or_skip("vulkan")
    if request.param == "folded":
        from grilly_vulkan import stream

        monkeypatch.setattr(stream, "_GROUPS_X", 7)
    return opened


def draw(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def assert_close(name: str, got: Any, expected: Array) -> None:
    assert got.shape == expected.shape
    assert (np.abs(got.numpy() - expected) <= value_tolerance(name).allowed(expected.astype("float32"))).all()


def soft(x: Array, axis: int) -> Array:
    e = np.exp(x.astype("float64") - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_along_every_axis(backend: Any, shape: tuple[int, ...]) -> None:
    array, upstream = 3 * draw(shape), draw(shape, 1)
    x, g = (grilly.tensor(a, backend=backend) for a in (array, upstream))
    for axis in range(len(shape)):
        expected = soft(array, axis)
        y, log_y = ops.softmax(x, axis=axis), ops.log_softmax(x, axis=axis)
        assert_close("softmax", y, expected)
        assert_close("log_softmax", log_y, np.log(expected))
        product = (upstream * expected).sum(axis=axis, keepdims=True)
        assert_close("softmax_vjp", ops.softmax_vjp(g, y, axis=axis), expected * (upstream - product))
        total = upstream.astype("float64").sum(axis=axis, keepdims=True)
        assert_close("log_softmax_vjp", ops.log_softmax_vjp(g, log_y, axis=axis), upstream - expected * total)


def test_views_and_no_elements(backend: Any) -> None:
    array = draw((40, 6, 5))
    x = grilly.tensor(array, backend=backend)
    assert_close("softmax", ops.softmax(x.transpose(2, 0, 1), axis=1), soft(array.transpose(2, 0, 1), 1))
    assert_close("softmax", ops.softmax(x[::3, 1:], axis=0), soft(array[::3, 1:], 0))
    assert ops.softmax(grilly.tensor(np.zeros((0, 5), "float32"), backend=backend), axis=1).shape == (0, 5)


@pytest.mark.parametrize("width", [5, 3000])
def test_large_values_and_what_is_not_finite(backend: Any, width: int) -> None:
    array = np.zeros((6, width), "float32")
    array[0, 1:3] = 3e38, -3e38
    array[1, :] = -np.inf
    array[1, -1] = 7.0
    array[2, :] = -np.inf
    array[3, 0] = np.inf
    array[4, -1] = np.nan
    array[5, :] = -3e38
    with np.errstate(invalid="ignore"):
        expected = soft(array, 1)
    x = grilly.tensor(array, backend=backend)
    np.testing.assert_allclose(ops.softmax(x, axis=1).numpy(), expected, rtol=1e-5)
    with np.errstate(divide="ignore"):
        logarithm = np.log(expected)
    got = ops.log_softmax(x, axis=1).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(logarithm))
    np.testing.assert_array_equal(got[1], np.where(np.arange(width) == width - 1, 0.0, -np.inf))
    np.testing.assert_allclose(got[5], logarithm[5], rtol=1e-5)


def test_gradients_run_through_the_kernels(backend: Any) -> None:
    array, upstream = draw((9, 11)), draw((9, 11), 1)
    for op, expected in [
        (ops.softmax, lambda y: y * (upstream - (upstream * y).sum(axis=1, keepdims=True))),
        (ops.log_softmax, lambda y: upstream - y * upstream.sum(axis=1, keepdims=True)),
    ]:
        x = grilly.tensor(array, backend=backend, requires_grad=True)
        before = backend.stream.ops
        y = op(x, axis=1)
        assert backend.stream.ops - before == 1
        (y * grilly.tensor(upstream, backend=backend)).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected(soft(array, 1)), rtol=1e-4, atol=2e-6)


def test_rows_too_long_for_one_workgroup_run_op_by_op(backend: Any) -> None:
    from grilly_vulkan.kernels import softmax

    declines = softmax.DECLINES["softmax"]
    reason = declines(Spec((2, 1 << 18), "float32"), axis=1)
    assert reason is not None and "in one workgroup" in reason
    assert declines(Spec((600, 1 << 18), "float32"), axis=1) is None
    assert declines(Spec((2, 1000), "float32"), axis=1) is None
    array = draw((1 << 18,))
    assert_close("softmax", ops.softmax(grilly.tensor(array, backend=backend), axis=0), soft(array, 0))
