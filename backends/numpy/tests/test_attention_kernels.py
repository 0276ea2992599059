"""Kernels of attention over time steps against plain NumPy: one block and several, contiguous and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_numpy.kernels import attention

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = [(1, 1), (3, 5), (300, 2), (2, 1031), (7, 64), (0, 3)]


def draw(*shape: int, seed: int = 0) -> Array:
    """A few different values, so that there are ties."""
    return np.random.default_rng([seed, *shape]).integers(-8, 9, shape) / 4


def awkward(a: Array) -> Array:
    return np.repeat(a.T, 2, axis=0)[::2].T


@pytest.fixture(params=[1 << 19, 64], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_BLOCK_BYTES", request.param)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("view", [np.ascontiguousarray, awkward])
def test_rows(shape: tuple[int, int], dtype: str, view: Any) -> None:
    x, g = (view(draw(*shape, seed=seed).astype(dtype)) for seed in (0, 1))
    scale, shift, share = (draw(shape[0], seed=seed).astype(dtype) for seed in (2, 3, 4))
    total, top = attention.row_sum_max(None, x)
    np.testing.assert_array_equal(total, x.sum(axis=1))
    np.testing.assert_array_equal(top, x.max(axis=1))
    hit = x == top[:, None]
    dots, hits = attention.row_dots(None, g, x, top)
    np.testing.assert_array_equal(dots, (g * x).sum(axis=1))
    np.testing.assert_array_equal(hits, hit.sum(axis=1))
    y = attention.row_scale_vjp(None, g, x, top, scale, shift, share)
    np.testing.assert_array_equal(y, g * scale[:, None] + shift[:, None] + hit * share[:, None])
    assert {a.dtype for a in (total, top, dots, hits, y)} == {np.dtype(dtype)}


def test_nan_is_largest_and_hits_nothing() -> None:
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 2.0]])
    total, top = attention.row_sum_max(None, x)
    assert np.isnan(total[0]) and np.isnan(top[0]) and top[1] == 2.0
    assert attention.row_dots(None, np.ones_like(x), x, top)[1].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 70, 3), (8, 2, 1031), (3, 0, 2)])
def test_scaled_steps(shape: tuple[int, int, int]) -> None:
    x, fc1, fc2 = draw(*shape), draw(2, shape[0]), draw(shape[0], 2)
    y, mean, top = attention.temporal_attention(None, x, fc1, fc2)
    np.testing.assert_allclose(mean, x.mean(axis=2), rtol=1e-12)
    np.testing.assert_array_equal(top, x.max(axis=2))
    total = sum(fc2 @ np.maximum(fc1 @ pooled, 0) for pooled in (mean, top))
    np.testing.assert_allclose(y, x / (1 + np.exp(-np.asarray(total)))[..., None], rtol=1e-12, atol=1e-14)
