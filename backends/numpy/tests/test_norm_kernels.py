"""Batch norm and softmax kernels against float64 formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_numpy.kernels import norm, softmax
from grilly_numpy.kernels.norm import batch_norm, batch_norm_vjp

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = [(4, 3, 36), (5, 2, 1), (300, 3, 2), (1, 4, 50), (2, 1, 5000), (3, 2, 1031), (1, 1, 1), (600, 7, 1)]


def draw(shape: Any, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def awkward(a: Array) -> Array:
    big = np.zeros((*a.shape[::-1], 2), a.dtype)
    big[..., 0] = a.T
    view = big[..., 0].T
    view.flags.writeable = False
    return view


def naive(x: Array, weight: Array | None, bias: Array | None, g: Array, eps: float) -> list[Array]:
    x = x.astype(np.float64)
    mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
    inverse = 1 / np.sqrt(var + eps)[:, None]
    hat = (x - mean[:, None]) * inverse
    w = 1.0 if weight is None else weight.astype(np.float64)[:, None]
    b = 0.0 if bias is None else bias.astype(np.float64)[:, None]
    g_hat = g * w
    gx = inverse * (
        g_hat - g_hat.mean(axis=(0, 2), keepdims=True) - hat * (g_hat * hat).mean(axis=(0, 2), keepdims=True)
    )
    return [hat * w + b, mean, var, gx, (g * hat).sum(axis=(0, 2)), g.sum(axis=(0, 2))]


def run(x: Array, weight: Array | None, bias: Array | None, g: Array, eps: float) -> list[Array]:
    y, mean, var = batch_norm(None, x, weight, bias, eps=eps)
    return [y, mean, var, *batch_norm_vjp(None, g, x, mean, var, weight, eps=eps)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("block", [1 << 20, 256])
def test_batch_norm(
    shape: Any, dtype: str, tolerance: float, affine: bool, block: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(norm, "_BLOCK_BYTES", block)
    x, g = draw(shape).astype(dtype), draw(shape, 1).astype(dtype)
    weight = draw(shape[1], 2).astype(dtype) if affine else None
    bias = draw(shape[1], 3).astype(dtype) if affine else None
    expected = naive(x, weight, bias, g, 1e-5)
    for arguments in ((x, weight, bias, g), (awkward(x), weight, bias, awkward(g))):
        for got, value in zip(run(*arguments, 1e-5), expected, strict=True):
            assert got.dtype == dtype and got.shape == value.shape
            size = max(1.0, float(np.abs(value).max()))
            np.testing.assert_allclose(got, value, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("std", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("shape", [(32, 3, 196), (2000, 3, 1)], ids=str)
def test_mean_far_above_the_deviation(shape: Any, std: float) -> None:
    x = (100.0 + std * draw(shape)).astype(np.float32)
    g = draw(shape, 1).astype(np.float32)
    results = zip(run(x, None, None, g, 1e-12), naive(x, None, None, g, 1e-12), strict=True)
    for i, (got, value) in enumerate(results):
        scale = float(np.abs(value).max())
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5 * scale, err_msg=str(i))


def test_one_far_channel_among_near_ones() -> None:
    x = draw((8, 3, 40)).astype(np.float32)
    x[:, 1] += 1000
    g = draw(x.shape, 1).astype(np.float32)
    for got, value in zip(run(x, None, None, g, 1e-5), naive(x, None, None, g, 1e-5), strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5 * float(np.abs(value).max()))


def test_constant_channel_and_special_values() -> None:
    x = np.full((4, 2, 20), 3.25, np.float32)
    y, mean, var = batch_norm(None, x, None, None, eps=1e-5)
    assert not y.any() and not var.any() and mean.tolist() == [3.25, 3.25]
    x[0, 1, 0] = np.inf
    y, mean, var = batch_norm(None, x, None, None, eps=1e-5)
    assert not y[:, 0].any() and np.isnan(y[:, 1]).all()
    y, mean, var = batch_norm(None, x[:0], None, None, eps=1e-5)
    assert y.shape == (0, 2, 20) and np.isnan(mean).all() and np.isnan(var).all()
    gx, gweight, gbias = batch_norm_vjp(None, x[:0], x[:0], mean, var, None, eps=1e-5)
    assert gx.shape == (0, 2, 20) and gweight.shape == gbias.shape == (2,)


def test_same_bits_every_time() -> None:
    x = draw((64, 32, 196)).astype(np.float32)
    first = [a.tobytes() for a in run(x, None, None, x, 1e-5)]
    assert all([a.tobytes() for a in run(x, None, None, x, 1e-5)] == first for _ in range(3))


@pytest.mark.parametrize(
    "shape, axis",
    [((5, 7), 1), ((5, 7), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((6,), 0), ((0, 3), 1), ((3, 0), 0)],
)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("block", [2 << 20, 64])
def test_softmax(shape: Any, axis: int, dtype: str, tolerance: float, block: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(softmax, "_BLOCK_BYTES", block)
    x, g = (30 * draw(shape)).astype(dtype), draw(shape, 1).astype(dtype)
    wide = x.astype(np.float64)
    top = wide.max(axis=axis, keepdims=True)
    log_p = wide - top - np.log(np.exp(wide - top).sum(axis=axis, keepdims=True))
    p = np.exp(log_p)
    close: dict[str, Any] = dict(rtol=tolerance, atol=tolerance)
    for given, upstream in ((x, g), (awkward(x), awkward(g))):
        y, log_y = softmax.softmax(None, given, axis=axis), softmax.log_softmax(None, given, axis=axis)
        gx = softmax.softmax_vjp(None, upstream, y, axis=axis)
        log_gx = softmax.log_softmax_vjp(None, upstream, log_y, axis=axis)
        assert {a.dtype for a in (y, log_y, gx, log_gx)} == {np.dtype(dtype)}
        np.testing.assert_allclose(y, p, **close)
        np.testing.assert_allclose(log_y, log_p, **close)
        np.testing.assert_allclose(gx, p * (g - (g * p).sum(axis=axis, keepdims=True)), **close)
        np.testing.assert_allclose(
            log_gx, g - p * g.sum(axis=axis, keepdims=True), rtol=tolerance, atol=10 * tolerance
        )


def test_softmax_special_values() -> None:
    x = np.array([[-np.inf, 0.0], [-np.inf, -np.inf], [np.inf, 0.0]])
    assert softmax.softmax(None, x, axis=1)[0].tolist() == [0.0, 1.0]
    assert np.isnan(softmax.softmax(None, x, axis=1)[1:]).any(axis=1).all()
    assert softmax.log_softmax(None, x, axis=1)[0].tolist() == [-np.inf, 0.0]


def test_tables() -> None:
    assert set(norm.KERNELS) == {"batch_norm", "batch_norm_infer", "batch_norm_vjp", "moving_average"}
    assert set(softmax.KERNELS) == {"softmax", "softmax_vjp", "log_softmax", "log_softmax_vjp"}
