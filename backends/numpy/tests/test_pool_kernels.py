"""The pooling kernels against loops over windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_numpy.kernels import pool
from grilly_numpy.kernels.pool import avg_pool2d, avg_pool2d_vjp, max_pool2d, max_pool2d_vjp

Array = np.ndarray[Any, np.dtype[Any]]

# (shape, kernel, stride, padding)
CASES = [
    ((2, 3, 4, 6), (2, 2), (2, 2), (0, 0)),
    ((2, 3, 5, 7), (2, 2), (2, 2), (0, 0)),
    ((1, 2, 1, 5), (2, 2), (2, 2), (1, 1)),
    ((2, 2, 6, 6), (3, 3), (2, 2), (1, 1)),
    ((2, 2, 7, 5), (3, 2), (1, 3), (0, 1)),
    ((2, 2, 5, 5), (5, 5), (5, 5), (0, 0)),
    ((2, 2, 5, 5), (1, 1), (1, 1), (0, 0)),
    ((2, 2, 5, 8), (2, 3), (4, 3), (1, 1)),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0)),
    ((0, 2, 5, 4), (3, 3), (1, 1), (1, 1)),
]
DTYPES = ["float32", "float64"]


def windows(shape: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """Yield the output position and the (position in the window, row, column) inside the image."""
    out = [(shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    for r in range(out[0]):
        for q in range(out[1]):
            taps = []
            for k in range(kernel[0] * kernel[1]):
                row, col = (
                    r * stride[0] - padding[0] + k // kernel[1],
                    q * stride[1] - padding[1] + k % kernel[1],
                )
                if 0 <= row < shape[2] and 0 <= col < shape[3]:
                    taps.append((k, row, col))
            yield r, q, taps


def out_shape(case: Any) -> tuple[int, ...]:
    shape, kernel, stride, padding = case
    return (*shape[:2], *((shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)))


def naive_max(x: Array, case: Any) -> tuple[Array, Array]:
    y, index = np.zeros(out_shape(case), x.dtype), np.zeros(out_shape(case), np.int32)
    for r, q, taps in windows(*case):
        for n, c in np.ndindex(*x.shape[:2]):
            best, at = x[n, c, taps[0][1], taps[0][2]], taps[0][0]
            for k, row, col in taps[1:]:
                value = x[n, c, row, col]
                if value > best or (np.isnan(value) and not np.isnan(best)):
                    best, at = value, k
            y[n, c, r, q], index[n, c, r, q] = best, at
    return y, index


def attributes(case: Any) -> dict[str, Any]:
    return dict(kernel_size=case[1], stride=case[2], padding=case[3])


def spikes(shape: Any, dtype: str) -> Array:
    return np.asarray(np.random.default_rng(0).random(shape) < 0.3, dtype)


def awkward(a: Array) -> Array:
    big = np.zeros((*a.shape[::-1], 2), a.dtype)
    big[..., 0] = a.T
    view = big[..., 0].T
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["spikes", "normal", "nan", "inf", "minus inf"])
def test_max_pool(case: Any, dtype: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    x = spikes(case[0], dtype) if kind == "spikes" else rng.standard_normal(case[0]).astype(dtype)
    if kind not in ("spikes", "normal"):
        value = {"nan": np.nan, "inf": np.inf, "minus inf": -np.inf}[kind]
        x[rng.random(x.shape) < (0.9 if kind == "minus inf" else 0.3)] = value
    expected, at = naive_max(x, case)
    for source in (x, awkward(x)):
        y, index = max_pool2d(None, source, **attributes(case))
        assert y.dtype == dtype and index.dtype == np.int32
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(index, at)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool_gradient(case: Any, dtype: str) -> None:
    _, index = max_pool2d(None, spikes(case[0], dtype), **attributes(case))
    g = np.asarray(np.random.default_rng(2).standard_normal(index.shape), dtype)
    expected = np.zeros(case[0])
    for r, q, taps in windows(*case):
        for k, row, col in taps:
            expected[:, :, row, col] += np.where(index[:, :, r, q] == k, g[:, :, r, q], 0)
    for upstream in (g, awkward(g)):
        gx = max_pool2d_vjp(None, upstream, awkward(index), input_size=case[0][2:], **attributes(case))
        assert gx.dtype == dtype
        np.testing.assert_allclose(gx, expected, rtol=1e-5, atol=1e-6)


def test_infinite_gradient_stays_where_it_belongs() -> None:
    index = np.full((1, 1, 1, 1), 2, np.int32)
    gx = max_pool2d_vjp(
        None,
        np.full((1, 1, 1, 1), np.inf, np.float32),
        index,
        input_size=(2, 2),
        kernel_size=(2, 2),
        stride=(2, 2),
        padding=(0, 0),
    )
    assert gx.ravel().tolist() == [0.0, 0.0, np.inf, 0.0]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_avg_pool_and_gradient(case: Any, dtype: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal(case[0]).astype(dtype)
    g = rng.standard_normal(out_shape(case)).astype(dtype)
    expected, gradient = np.zeros(g.shape), np.zeros(x.shape)
    area = case[1][0] * case[1][1]
    for r, q, taps in windows(*case):
        for _, row, col in taps:
            expected[:, :, r, q] += x[:, :, row, col] / area
            gradient[:, :, row, col] += g[:, :, r, q] / area
    for source, upstream in ((x, g), (awkward(x), awkward(g))):
        y = avg_pool2d(None, source, **attributes(case))
        gx = avg_pool2d_vjp(None, upstream, input_size=case[0][2:], **attributes(case))
        assert y.dtype == gx.dtype == dtype
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gx, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_blocks_change_nothing(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = spikes(case[0], "float32")

    def results() -> list[bytes]:
        y, index = max_pool2d(None, x, **attributes(case))
        gx = max_pool2d_vjp(None, y, index, input_size=case[0][2:], **attributes(case))
        return [a.tobytes() for a in (y, index, gx, avg_pool2d(None, x, **attributes(case)))]

    whole = results()
    monkeypatch.setattr(pool, "_BLOCK_BYTES", 64)
    assert results() == whole


def test_table() -> None:
    assert set(pool.KERNELS) == {"max_pool2d", "max_pool2d_vjp", "avg_pool2d", "avg_pool2d_vjp"}
