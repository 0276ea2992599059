"""Normalisation on the device against formulas in float64, over channels near zero and far from it."""

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
    (1, 1, 1), (4, 3, 36), (5, 2, 1), (300, 3, 2), (1, 4, 50), (2, 1, 5000), (3, 2, 1031), (600, 7, 1), (9000, 3, 1),
    (20, 65, 7), (3, 257, 64), (40000, 1, 1), (700, 2, 49), (1, 3, 40000), (70, 300, 1), (2, 1031, 3),
]  # fmt: skip


@pytest.fixture(params=["wide", "folded"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Also with a grid of at most seven workgroups along x, where there are more workgroups than needed."""
    opened = open_or_skip("vulkan")
    if request.param == "folded":
        from grilly_vulkan import stream

        monkeypatch.setattr(stream, "_GROUPS_X", 7)
    return opened


def draw(shape: Any, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def formula(x: Array, weight: Array | None, bias: Array | None, g: Array, eps: float) -> list[Array]:
    """Result, mean, variance; gradients of x, weight and bias."""
    x, g = x.astype("float64"), g.astype("float64")
    mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
    inverse = 1 / np.sqrt(var + eps)[:, None]
    hat = (x - mean[:, None]) * inverse
    w = 1.0 if weight is None else weight.astype("float64")[:, None]
    b = 0.0 if bias is None else bias.astype("float64")[:, None]
    g_mean, along = g.mean(axis=(0, 2), keepdims=True), (g * hat).mean(axis=(0, 2), keepdims=True)
    gx = w * inverse * (g - g_mean - hat * along)
    return [hat * w + b, mean, var, gx, (g * hat).sum(axis=(0, 2)), g.sum(axis=(0, 2))]


def run(backend: Any, x: Any, weight: Array | None, bias: Array | None, g: Any, eps: float) -> list[Array]:
    x, g, weight, bias = (
        a if a is None or isinstance(a, grilly.Tensor) else grilly.tensor(a, backend=backend)
        for a in (x, g, weight, bias)
    )
    y, mean, var = ops.batch_norm(x, weight, bias, eps=eps)
    return [t.numpy() for t in (y, mean, var, *ops.batch_norm_vjp(g, x, mean, var, weight, eps=eps))]


def compare(got: list[Array], expected: list[Array]) -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.shape == b.shape and a.dtype == "float32"
        allowed = value_tolerance("batch_norm" if i < 3 else "batch_norm_vjp").allowed(b.astype("float32"))
        assert (np.abs(a - b) <= allowed).all(), i


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(backend: Any, shape: tuple[int, int, int], affine: bool) -> None:
    x, g = draw(shape), draw(shape, 1)
    weight, bias = (draw(shape[1], 2), draw(shape[1], 3)) if affine else (None, None)
    compare(run(backend, x, weight, bias, g, 1e-3), formula(x, weight, bias, g, 1e-3))


def test_batch_norm_of_views_and_of_no_channels(backend: Any) -> None:
    x, g = draw((6, 5, 40)), draw((1, 1, 6))
    view = grilly.tensor(x, backend=backend).transpose(2, 1, 0)
    upstream = ops.broadcast_to(grilly.tensor(g, backend=backend), shape=(40, 5, 6))
    compare(
        run(backend, view, None, None, upstream, 1e-3),
        formula(x.T, None, None, np.broadcast_to(g, (40, 5, 6)), 1e-3),
    )
    none = ops.batch_norm(grilly.tensor(np.zeros((2, 0, 3), "float32"), backend=backend))
    assert [t.shape for t in none] == [(2, 0, 3), (0,), (0,)]


@pytest.mark.parametrize("std", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("shape", [(32, 3, 196), (2000, 3, 1), (700, 3, 4)], ids=str)
def test_mean_far_above_the_deviation(backend: Any, shape: tuple[int, int, int], std: float) -> None:
    x = (100.0 + std * np.random.default_rng(0).standard_normal(shape)).astype("float32")
    g = draw(shape, 1)
    expected = formula(x, None, None, g, 1e-12)
    for i, (got, value) in enumerate(zip(run(backend, x, None, None, g, 1e-12), expected, strict=True)):
        scale = float(np.abs(value).max())
        np.testing.assert_allclose(got, value, rtol=2e-5, atol=2e-5 * scale, err_msg=str(i))


@pytest.mark.parametrize("shape", [(5000, 2, 1), (2, 2, 5000), (1200, 2, 4)], ids=str)
def test_an_outlier_comes_first(backend: Any, shape: tuple[int, int, int]) -> None:
    """Values are taken relative to the first one: that it is far off must not matter."""
    x = draw(shape)
    x[0, :, 0] = 300.0
    y, mean, var = (t.numpy() for t in ops.batch_norm(grilly.tensor(x, backend=backend), eps=1e-5))
    expected = formula(x, None, None, x, 1e-5)
    # Distances from 300 are rounded at 300: a GPU's order of additions showed it.
    np.testing.assert_allclose(mean, expected[1], rtol=1e-5, atol=300 * 2.0**-23)
    np.testing.assert_allclose(var, expected[2], rtol=1e-5)
    np.testing.assert_allclose(y, expected[0], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("value", [0.1, -3e4, 0.0])
def test_a_constant_channel_is_zero(backend: Any, value: float) -> None:
    x = grilly.tensor(np.full((700, 2, 40), value, "float32"), backend=backend)
    y, mean, var = ops.batch_norm(x, eps=1e-5)
    assert not y.numpy().any() and not var.numpy().any()
    np.testing.assert_array_equal(mean.numpy(), np.float32(value))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 69])
def test_what_is_not_finite_spoils_its_channel_only(backend: Any, bad: float, place: int) -> None:
    x = draw((70, 3, 9))
    x[place, 1, 0] = bad
    y, mean, var = (t.numpy() for t in ops.batch_norm(grilly.tensor(x, backend=backend)))
    assert np.isnan(y[:, 1]).all() and not np.isfinite(mean[1]) and np.isnan(var[1])
    assert np.isfinite(y[:, [0, 2]]).all() and np.isfinite(var[[0, 2]]).all()


def test_batch_norm_is_the_same_every_time(backend: Any) -> None:
    x, g = draw((600, 3, 100)), draw((600, 3, 100), 1)
    first, second = (run(backend, x, None, None, g, 1e-5) for _ in range(2))
    assert [a.tobytes() for a in first] == [a.tobytes() for a in second]


def test_gradients_of_batch_norm_run_through_its_kernel(backend: Any) -> None:
    arrays = [draw((20, 3, 8)), draw(3, 2), draw(3, 3)]
    x, weight, bias = (grilly.tensor(a, backend=backend, requires_grad=True) for a in arrays)
    g = draw((20, 3, 8), 1)
    y = ops.batch_norm(x, weight, bias, eps=1e-3)[0]
    loss = (y * grilly.tensor(g, backend=backend)).sum()
    before = backend.stream.ops
    loss.backward()
    assert backend.stream.ops - before <= 5  # the product's gradient, then three
    expected = formula(*arrays, g, 1e-3)
    for got, value in zip((x.grad, weight.grad, bias.grad), expected[3:], strict=True):
        np.testing.assert_allclose(got.numpy(), value, rtol=1e-4, atol=1e-5 * np.abs(value).max())


ROWS = [
    (1, 1),
    (1, 257),
    (63, 64),
    (5, 3, 65),
    (2, 1031),
    (3, 2048),
    (2, 2049),
    (1, 9000),
    (700, 10),
    (2, 3, 5, 7),
]


@pytest.mark.parametrize("shape", ROWS, ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_rows(backend: Any, shape: tuple[int, ...], affine: bool, offset: float) -> None:
    array = draw(shape) * np.float32(0.5) + np.float32(offset)
    for axes in range(1, len(shape) + 1):
        weight, bias = (draw(shape[-axes:], 1), draw(shape[-axes:], 2)) if affine else (None, None)
        w = 1.0 if weight is None else weight.astype("float64")
        b = 0.0 if bias is None else bias.astype("float64")
        over, exact = tuple(range(-axes, 0)), array.astype("float64")
        x = grilly.tensor(array, backend=backend)
        centred = exact - exact.mean(axis=over, keepdims=True)
        for got, source, shift in [
            (ops.layer_norm(x, weight, bias, axes=axes, eps=1e-2), centred, b),
            (ops.rms_norm(x, weight, axes=axes, eps=1e-2), exact, 0.0),
        ]:
            expected = source / np.sqrt((source**2).mean(axis=over, keepdims=True) + 1e-2) * w + shift
            allowed = value_tolerance("layer_norm").allowed(expected.astype("float32"))
            assert (np.abs(got.numpy() - expected) <= allowed).all()


def test_few_very_long_rows_run_op_by_op(backend: Any) -> None:
    from grilly_vulkan.kernels import norm

    declines = norm.DECLINES["layer_norm"]
    reason = declines(Spec((2, 1 << 18), "float32"), None, None, axes=1, eps=1e-5)
    assert reason is not None and "262,144" in reason
    assert declines(Spec((600, 1 << 18), "float32"), None, None, axes=1, eps=1e-5) is None
    array = draw((1 << 18,))
    got = ops.layer_norm(grilly.tensor(array, backend=backend), eps=1e-2).numpy()
    np.testing.assert_allclose(
        got, (array - array.mean()) / np.sqrt(array.var() + 1e-2), rtol=2e-5, atol=2e-5
    )
