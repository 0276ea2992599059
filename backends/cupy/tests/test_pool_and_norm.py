"""Pooling and batch norm where they take other ways: leftover rows, vectors, rows that end within one, wide indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core import ops
from grilly_core.selection import resolve
from grilly_core.tensor import Tensor, tensor
from grilly_cupy.kernels import norm, pool

DTYPES = ("float32", "float64")
Arrays = list[np.ndarray]


def _random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _both(backend: Any, op: Any, *args: Any, **attrs: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Results on the backend and on NumPy."""

    def run(target: Any) -> Arrays:
        made = op(*[None if arg is None else tensor(arg, backend=target) for arg in args], **attrs)
        return [t.numpy() for t in ((made,) if isinstance(made, Tensor) else made)]

    with grilly.require_native():
        return list(zip(run(backend), run(resolve("numpy")), strict=True))


def _same(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Arrays:
    """Equal bit for bit; what was wanted."""
    for made, wanted in pairs:
        assert made.dtype == wanted.dtype and made.shape == wanted.shape
        assert made.tobytes() == wanted.tobytes()
    return [wanted for _, wanted in pairs]


def _close(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float = 1e-5) -> Arrays:
    for made, wanted in pairs:
        assert made.dtype == wanted.dtype and made.shape == wanted.shape
        most = np.abs(wanted).max(initial=0, where=np.isfinite(wanted))
        np.testing.assert_allclose(made, wanted, rtol=tolerance, atol=tolerance * (1 + most))
    return [wanted for _, wanted in pairs]


def _same_or_close(pairs: list[tuple[np.ndarray, np.ndarray]], window: dict[str, Any]) -> None:
    """Gradients: where windows overlap, NumPy adds them up in another order."""
    overlap = any(s < k for s, k in zip(window["stride"], window["kernel_size"], strict=True))
    _close(pairs) if overlap else _same(pairs)


def _window(kernel: int | tuple[int, int], stride: Any = None, padding: Any = 0) -> dict[str, Any]:
    two = [
        (e, e) if isinstance(e, int) else e for e in (kernel, kernel if stride is None else stride, padding)
    ]
    return dict(zip(("kernel_size", "stride", "padding"), two, strict=True))


POOLS = [
    ((3, 5, 28, 28), _window(2)),  # several blocks, all planes as one
    ((5, 7, 14, 14), _window(2)),
    ((2, 3, 9, 8), _window(2)),  # a leftover row
    ((2, 3, 8, 9), _window(2)),  # a leftover column
    ((4, 5, 15, 13), _window(2)),  # both, several blocks
    ((1, 1, 2, 2), _window(2)),
    ((1, 2, 1, 1031), _window((1, 4))),
    ((1, 2, 1031, 1), _window((4, 1))),
    ((2, 2, 11, 12), _window(3)),
    ((2, 2, 10, 11), _window(3)),
    ((1, 3, 9, 16), _window((2, 6))),  # a window whose last piece is cut in a row that starts on 16 bytes
    ((2, 1, 13, 10), _window(4)),
    ((1, 3, 5, 6), _window(1)),
    ((2, 2, 10, 15), _window(5)),  # larger than a thread writes
    ((2, 3, 9, 7), _window(3, 2, 1)),  # overlap
    ((1, 2, 7, 11), _window((3, 2), 1, (1, 0))),
    ((2, 2, 8, 8), _window(2, 2, 1)),  # side by side, but padded
    ((2, 2, 11, 13), _window((2, 1), (4, 3), (1, 0))),  # gaps
    ((2, 2, 9, 9), _window(2, 3)),
    ((0, 2, 4, 4), _window(2)),
    ((2, 0, 5, 5), _window(2)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, window", POOLS)
def test_pooling(backend: Any, dtype: str, shape: tuple[int, ...], window: dict[str, Any]) -> None:
    x = _random(*shape, dtype=dtype)
    y, index = _same(_both(backend, ops.max_pool2d, x, **window))
    g = _random(*y.shape, dtype=dtype, seed=1)
    back = dict(input_size=shape[2:], **window)
    made = _both(backend, ops.max_pool2d_vjp, g, index, **back)
    _same_or_close(made, window)
    _close(_both(backend, ops.avg_pool2d, x, **window))
    _close(_both(backend, ops.avg_pool2d_vjp, g, **back))


@pytest.mark.parametrize("window", [_window(2), _window(3), _window(3, 2, 1)])
def test_ties_and_special_values(backend: Any, window: dict[str, Any]) -> None:
    x = np.random.default_rng(0).integers(-1, 2, (3, 4, 17, 18)).astype("float32")
    chosen = np.random.default_rng(1).random(x.shape)
    x[chosen < 0.1], x[chosen > 0.9], x[0, 0] = np.nan, -np.inf, -np.inf
    x[1, 1] = 0.5
    y, index = _same(_both(backend, ops.max_pool2d, x, **window))
    g = _random(*y.shape)
    g[chosen[:, :, : y.shape[2], : y.shape[3]] < 0.2] = np.inf
    made = _both(backend, ops.max_pool2d_vjp, g, index, input_size=x.shape[2:], **window)
    _same_or_close(made, window)


def test_a_gradient_of_minus_zero_is_zero_in_every_way(backend: Any) -> None:
    g, index = np.full((1, 1, 2, 2), -0.0, "float32"), np.zeros((1, 1, 2, 2), "int32")
    for window in (_window(2), _window(2, 3)):
        placed = [tensor(a, backend=backend) for a in (g, index)]
        made = ops.max_pool2d_vjp(*placed, input_size=(5, 5), **window).numpy()
        assert not np.signbit(made).any()


def test_pooling_of_views(backend: Any) -> None:
    x = _random(4, 6, 3, 6)
    turned = ops.transpose(tensor(x, backend=backend), axes=(3, 0, 2, 1))
    y, index = ops.max_pool2d(turned, **_window((1, 2)))
    wanted = _both(backend, ops.max_pool2d, x.transpose(3, 0, 2, 1).copy(), **_window((1, 2)))
    _same([(y.numpy(), wanted[0][1]), (index.numpy(), wanted[1][1])])
    g = _random(*y.shape[::-1])
    back = dict(input_size=(3, 6), **_window((1, 2)))
    turned = ops.transpose(tensor(g, backend=backend), axes=(3, 2, 1, 0))
    made = ops.max_pool2d_vjp(turned, index, **back).numpy()
    _same([(made, _both(backend, ops.max_pool2d_vjp, g.T.copy(), wanted[1][1], **back)[0][1])])


# [M, C, L]: rows that are whole vectors or not, of a vector or less, and longer than a block.
NORMS = [
    (700, 40, 1), (3, 1, 1), (1, 5, 2), (9, 5, 3), (6, 3, 4), (5, 7, 5), (4, 3, 31), (4, 33, 32), (5, 3, 33),
    (7, 2, 49), (3, 5, 196), (2, 3, 784), (3, 2, 1031), (1, 1, 1031), (40, 2, 256), (1, 2, 4100),
]  # fmt: skip


def _parameters(channels: int, dtype: str) -> Arrays:
    return [_random(channels, dtype=dtype, seed=seed) for seed in (2, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", NORMS)
def test_batch_norm(backend: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    x, g = _random(*shape, dtype=dtype) + 3, _random(*shape, dtype=dtype, seed=1)
    x, (weight, bias) = x.astype(dtype), _parameters(shape[1], dtype)
    _, mean, var = _close(_both(backend, ops.batch_norm, x, weight, bias, eps=1e-2))
    _close(_both(backend, ops.batch_norm, x, None, None, eps=1e-2))
    _close(_both(backend, ops.batch_norm_vjp, g, x, mean, var, weight, eps=1e-2), 1e-4)


@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 1), (3, 2, 3, 3), (2, 4, 3, 33), (3, 2, 2, 196), (1, 3, 2, 1031)]
)
def test_batch_norm_of_every_step(backend: Any, shape: tuple[int, ...]) -> None:
    steps, _, channels, _ = shape
    x, g, weight = _random(*shape), _random(*shape, seed=1), _random(steps, channels, seed=2)
    _, mean, var = _close(_both(backend, ops.bn_through_time, x, weight, eps=1e-2))
    _close(_both(backend, ops.bn_through_time_vjp, g, x, mean, var, weight, eps=1e-2), 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*NORMS, (0, 3, 4), (2, 3, 0)])
def test_given_statistics_bit_for_bit(backend: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    x, (weight, bias) = _random(*shape, dtype=dtype), _parameters(shape[1], dtype)
    mean, var = bias[::-1].copy(), weight**2
    factors = (x.dtype.type(1.0) / np.sqrt(var + x.dtype.type(1e-2)))[:, None]
    centred = x - mean[:, None]
    for w, b in ((weight, bias), (weight, None), (None, None)):
        scaled = centred * (factors if w is None else factors * w[:, None])
        args = [None if a is None else tensor(a, backend=backend) for a in (x, mean, var, w, b)]
        made = ops.batch_norm_infer(*args, eps=1e-2).numpy()
        _same([(made, scaled if b is None else scaled + b[:, None])])


@pytest.mark.parametrize("length", [1, 31, 36])
def test_rows_that_start_between_vectors(backend: Any, length: int) -> None:
    x, (weight, bias) = _random(5, 3, length), _parameters(3, "float32")
    whole = tensor(np.concatenate([[0], x.ravel()]).astype("float32"), backend=backend)
    view = whole[1:].reshape(x.shape)
    placed = [tensor(a, backend=backend) for a in (weight, bias)]
    y, mean, var = (t.numpy() for t in ops.batch_norm(view, *placed, eps=1e-2))
    wanted = [w for _, w in _both(backend, ops.batch_norm, x, weight, bias, eps=1e-2)]
    _close(list(zip((y, mean, var), wanted, strict=True)))
    if view._data.flags.c_contiguous:
        assert view._data.data.ptr % 16 == 4


def test_more_elements_than_32_bits_count(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code for them, on few."""
    for module in (norm, pool):
        monkeypatch.setattr(module, "index_type", lambda size: "Long")
    x = _random(3, 4, 9, 11)
    for window in (_window(2), _window(3, 2, 1)):
        y, index = _same(_both(backend, ops.max_pool2d, x, **window))
        _close(_both(backend, ops.max_pool2d_vjp, y, index, input_size=(9, 11), **window))
    for shape in ((5, 3, 35), (5, 3, 3), (2, 2, 600)):
        x, g, weight = _random(*shape), _random(*shape, seed=1), _random(shape[1], seed=2)
        _, mean, var = _close(_both(backend, ops.batch_norm, x, weight, None, eps=1e-2))
        _close(_both(backend, ops.batch_norm_vjp, g, x, mean, var, weight, eps=1e-2), 1e-4)
