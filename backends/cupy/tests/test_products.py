"""Products and convolutions on tensor cores, in every tile, at sizes that cross it; off the grid, with their error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_core import ops
from grilly_core.selection import resolve
from grilly_core.tensor import tensor
from grilly_cupy.kernels import conv, matrix

_PLAIN: dict[str, Any] = dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)


def _grid(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32) / 8


@pytest.fixture(params=sorted(matrix._TILES))
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, backend: Any) -> Any:
    """The backend with one shape of tiles."""
    if not backend.split_products:
        pytest.skip(f"{backend.device} has no tensor cores that the kernels use")
    constants, (height, width) = matrix._TILES[request.param], request.param

    def only(device: Any, rows: int, columns: int, whole: bool = False) -> tuple[int, dict[str, int]]:
        return -(-rows // height) * -(-columns // width), constants

    for module in (matrix, conv):
        monkeypatch.setattr(module, "tiles", only)
    return backend


@pytest.fixture
def all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and narrow products too."""
    monkeypatch.setattr(matrix, "_LEAST_WORK", 1)
    monkeypatch.setattr(matrix, "_NARROW", 1)


def _made(backend: Any, op: Any, *args: np.ndarray | None, **attrs: Any) -> np.ndarray:
    placed = [None if a is None else tensor(a, backend=backend) for a in args]
    out: np.ndarray = op(*placed, **attrs).numpy()
    return out


@pytest.mark.parametrize("rows, inner, columns", [(1, 1, 1), (65, 17, 130), (129, 40, 33), (3, 600, 5)])
@pytest.mark.parametrize("turned", ["", "xy"])
def test_products(
    tile: Any,
    all_sizes: None,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    inner: int,
    columns: int,
    turned: str,
) -> None:
    x, y = _grid(rows, inner), _grid(inner, columns, seed=1)
    a, b = tensor(x, backend=tile), tensor(y, backend=tile)
    if turned:
        a, b = tensor(x.T.copy(), backend=tile).T, tensor(y.T.copy(), backend=tile).T
    assert matrix.matmul(tile, a._data, b._data) is not None
    np.testing.assert_array_equal(ops.matmul(a, b).numpy(), x @ y)


def test_views_are_read_where_they_lie(backend: Any, all_sizes: None) -> None:
    x, y = _grid(40, 70), _grid(35, 41, seed=1)
    for cut in (np.s_[1::2, ::2], np.s_[:, 3:38], np.s_[:, :35]):
        a, b = tensor(x, backend=backend)[cut], tensor(y, backend=backend)
        np.testing.assert_array_equal(ops.matmul(a, b).numpy(), x[cut] @ y)


@pytest.mark.parametrize(
    "shape, o, kernel, window",
    [
        ((2, 8, 7, 9), 9, (3, 3), dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)),
        ((3, 16, 9, 6), 24, (3, 2), dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)),
        ((3, 32, 6, 6), 32, (3, 3), dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)),
        ((2, 64, 9, 8), 64, (2, 3), dict(stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2)),
        ((5, 16, 2, 3), 16, (2, 2), dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)),
        ((1, 8, 12, 12), 130, (1, 1), dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)),
        ((2, 9, 5, 5), 16, (5, 4), dict(stride=(3, 2), padding=(2, 3), dilation=(1, 1), groups=1)),
    ],
)
def test_convolutions(
    tile: Any, shape: tuple[int, ...], o: int, kernel: tuple[int, int], window: dict[str, Any]
) -> None:
    reference = resolve("numpy")
    x, weight = _grid(*shape), _grid(o, shape[1] // window["groups"], *kernel, seed=1)
    bias = _grid(o, seed=2)
    y = _made(reference, ops.conv2d, x, weight, bias, **window)
    np.testing.assert_array_equal(_made(tile, ops.conv2d, x, weight, bias, **window), y)
    g = _grid(*y.shape, seed=3)
    for op, args, more in (
        (ops.conv2d_input_vjp, (g, weight), dict(input_size=shape[2:])),
        (ops.conv2d_weight_vjp, (g, x), dict(kernel_size=kernel)),
    ):
        wanted = _made(reference, op, *args, **more, **window)
        np.testing.assert_array_equal(_made(tile, op, *args, **more, **window), wanted)


def test_k_split_over_blocks(backend: Any, all_sizes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "_LEAST_K", 32)
    monkeypatch.setattr(backend, "processors", 64)
    x, y = _grid(5, 300), _grid(300, 40, seed=1)
    assert matrix.splits(backend, 1, 300) == (5, 64)
    np.testing.assert_array_equal(_made(backend, ops.matmul, x, y), x @ y)


@pytest.mark.parametrize("scale", [1.0, 2.0**-100, 2.0**100])
@pytest.mark.parametrize("spikes", [False, True])
def test_errors_are_those_of_float32(backend: Any, all_sizes: None, scale: float, spikes: bool) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((48, 900)) * scale).astype(np.float32)
    y = (rng.random((900, 40)) < 0.2) if spikes else rng.standard_normal((900, 40))
    y = y.astype(np.float32)
    exact = x.astype(np.float64) @ y.astype(np.float64)
    bound = np.abs(x).astype(np.float64) @ np.abs(y).astype(np.float64)
    error = np.abs(_made(backend, ops.matmul, x, y) - exact) / bound
    assert error.max() < 5e-7, error.max()


def test_infinities_nan_and_the_largest_numbers(backend: Any, all_sizes: None) -> None:
    rng, largest = np.random.default_rng(0), np.finfo(np.float32).max
    x, y = rng.standard_normal((6, 40)).astype("f4"), rng.standard_normal((40, 40)).astype("f4")
    x[0, 3], x[1, 5], x[2, 7], x[4, [1, 2]] = np.inf, np.nan, -np.inf, [np.inf, -np.inf]
    y[3, 2], y[9, 4] = 0.0, np.inf
    x[5] = 0.0
    made = _made(backend, ops.matmul, x, y)
    with np.errstate(all="ignore"):
        wanted = x @ y
    special = ~np.isfinite(wanted)
    assert special.any() and not special.all()
    np.testing.assert_array_equal(made[special], wanted[special])
    np.testing.assert_allclose(made[~special], wanted[~special], rtol=1e-4, atol=1e-5)
    x = np.zeros((4, 40), np.float32)
    x[3, 1] = largest
    np.testing.assert_allclose(_made(backend, ops.matmul, x, np.ones_like(y))[3], largest, rtol=1e-6)


def test_infinite_pixels(backend: Any) -> None:
    x, w = np.abs(_grid(1, 8, 5, 5)) + np.float32(0.3), np.abs(_grid(8, 8, 3, 3, seed=1)) + np.float32(0.1)
    x[0, 0, 2, 2] = np.inf
    made = _made(backend, ops.conv2d, x, w, None, **_PLAIN)
    assert np.isinf(made).sum() == 9 * 8 and not np.isnan(made).any()


def test_nothing_to_read_or_write(backend: Any) -> None:
    g = _grid(1, 8, 2, 6)
    window = {**_PLAIN, "padding": (1, 1)}
    made = _made(backend, ops.conv2d_input_vjp, g, _grid(8, 8, 1, 1), input_size=(0, 4), **window)
    assert made.shape == (1, 8, 0, 4)
    bias = _grid(8)
    y = _made(backend, ops.conv2d, _grid(1, 0, 4, 4), _grid(8, 0, 3, 3), bias, **_PLAIN)
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], (1, 8, 4, 4)))


def test_scales_that_change_along_k(backend: Any, all_sizes: None) -> None:
    rng = np.random.default_rng(1)
    grow = 2.0 ** np.linspace(-60, 60, 300)
    x = (rng.standard_normal((40, 300)) * grow).astype(np.float32)
    y = (rng.standard_normal((300, 40)) / grow[:, None]).astype(np.float32)
    for a, b in ((x, y), (x[:, ::-1], y[::-1]), (x, (y.T * grow * grow).T), (x[:, ::-1], (y.T * 2.0**-60).T)):
        a, b = a.astype(np.float32), b.astype(np.float32)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        bound = np.abs(a).max() * np.abs(b).astype(np.float64).sum(axis=0)
        bound = np.minimum(bound, 1e300) + np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
        error = np.abs(_made(backend, ops.matmul, a, b) - exact)
        assert (error <= 5e-7 * bound).all(), (error / bound).max()


def test_factors_at_both_ends_of_the_range(backend: Any, all_sizes: None) -> None:
    x, y = np.full((40, 33), 2.0**126, np.float32), np.full((33, 40), 2.0**-126, np.float32)
    np.testing.assert_array_equal(_made(backend, ops.matmul, x, y), np.full((40, 40), 33.0, np.float32))
    np.testing.assert_array_equal(_made(backend, ops.matmul, y.T, x.T), np.full((40, 40), 33.0, np.float32))
    x[0, 0] = np.inf
    made = _made(backend, ops.matmul, x, y)
    assert (made[0] == np.inf).all() and (made[1:] == 33.0).all()


def test_float64_and_old_devices_take_the_other_way(backend: Any, all_sizes: None, monkeypatch: Any) -> None:
    x = tensor(_grid(40, 40).astype("float64"), backend=backend)
    assert matrix.matmul(backend, x._data, x._data) is None
    monkeypatch.setattr(backend, "split_products", False)
    y = tensor(_grid(40, 40), backend=backend)
    assert matrix.matmul(backend, y._data, y._data) is None
    x4, w = _grid(1, 8, 5, 5), _grid(8, 8, 3, 3, seed=1)
    wanted = _made(resolve("numpy"), ops.conv2d, x4, w, None, **_PLAIN)
    np.testing.assert_array_equal(_made(backend, ops.conv2d, x4, w, None, **_PLAIN), wanted)
