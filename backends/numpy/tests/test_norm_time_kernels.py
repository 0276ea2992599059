"""Norms over time against float64 formulas: one block and several, contiguous and not, one thread and two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_numpy.kernels import norm, norm_time

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = [
    (1, 1, 2, 3),
    (4, 5, 3, 36),
    (3, 300, 2, 1),
    (2, 1, 2, 1031),
    (5, 2, 1, 64),
    (2, 3, 70, 5),
    (3, 2, 4, 0),
]


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def awkward(a: Array) -> Array:
    return np.repeat(a.T, 2, axis=0)[::2].T


@pytest.fixture(params=[1 << 20, 64], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm, "_BLOCK_BYTES", request.param)
    monkeypatch.setattr(norm_time, "_BLOCK_BYTES", request.param)


@pytest.mark.parametrize("shape", SHAPES[:-1], ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("weighted", [True, False])
def test_bn_through_time(shape: tuple[int, ...], dtype: str, tolerance: float, weighted: bool) -> None:
    x, g, weight = (draw(*shape) + 1).astype(dtype), draw(*shape, seed=1).astype(dtype), draw(*shape[::2])
    scale = weight.astype(dtype) if weighted else None
    mean, var = x.mean(axis=(1, 3), dtype="float64"), x.var(axis=(1, 3), dtype="float64")
    inverse = 1 / np.sqrt(var + 1e-5)[:, None, :, None]
    hat = (x - mean[:, None, :, None]) * inverse
    w = weight[:, None, :, None] if weighted else 1.0
    along = (g * hat).mean(axis=(1, 3), keepdims=True)
    gx = w * inverse * (g - g.mean(axis=(1, 3), keepdims=True) - hat * along)
    expected = [hat * w, mean, var, gx, (g * hat).sum(axis=(1, 3))]
    for shaped in (np.asarray, awkward):
        y, m, v = norm_time.bn_through_time(None, shaped(x), scale, eps=1e-5)
        got = [y, m, v, *norm_time.bn_through_time_vjp(None, shaped(g), shaped(x), m, v, scale, eps=1e-5)]
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(
                a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max(initial=0.0))
            )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("with_states", [True, False])
def test_neunorm(shape: tuple[int, ...], shared: bool, with_states: bool) -> None:
    steps, n, channels, extent = shape
    s, x, w = draw(*shape), draw(n, 1, extent), draw(1 if shared else channels, extent)
    g, g_states = draw(*shape, seed=1), draw(steps, n, 1, extent, seed=2) if with_states else None
    states, state, share = [], x, 0.25 / channels**2
    for t in range(steps):
        state = 0.75 * state + share * s[t].sum(axis=1, keepdims=True)
        states.append(state)
    kept = np.stack(states)
    g_s, carried = np.empty_like(g), np.zeros_like(x)
    for t in reversed(range(steps)):
        carried = 0.75 * carried - (w * g[t]).sum(axis=1, keepdims=True)
        carried = carried if g_states is None else carried + g_states[t]
        g_s[t] = g[t] + share * carried
    g_w = -(g * kept).sum(axis=(0, 1))
    expected = [s - w * kept, kept, g_s, 0.75 * carried, g_w.sum(axis=0, keepdims=True) if shared else g_w]
    for shaped in (np.asarray, awkward):
        y, x_seq = norm_time.neunorm_multi_step(None, shaped(s), x, w, k=0.75)
        got = [y, x_seq, *norm_time.neunorm_multi_step_vjp(None, shaped(g), g_states, x_seq, w, k=0.75)]
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
