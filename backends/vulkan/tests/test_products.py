"""Matrix products and convolutions in every variant: for CPUs and, forced here, the tiles meant for GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.selection import resolve


@pytest.fixture(params=["simple", "tiles", "matrix"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    from grilly_vulkan.kernels import magnitude

    opened: Any = open_or_skip("vulkan")
    if request.param == "matrix" and not opened.split_products:
        pytest.skip(f"{opened.device} has no matrix units of the kind that the shaders need")
    monkeypatch.setattr(opened, "simple_products", request.param == "simple")
    monkeypatch.setattr(opened, "split_products", request.param == "matrix")
    monkeypatch.setattr(magnitude, "_LEAST", 1)
    monkeypatch.setattr(magnitude, "_LEAST_WORK", 1)
    return opened


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32) / 8


def on(backend: Any, array: np.ndarray) -> grilly.Tensor:
    return grilly.tensor(array, backend=backend)


@pytest.mark.parametrize(
    "rows, inner, columns",
    [(1, 1, 1), (3, 0, 2), (65, 17, 63), (130, 257, 10), (10, 1031, 129), (257, 64, 130), (5, 2048, 3)],
)
@pytest.mark.parametrize("turned", ["", "x", "y", "xy"])
def test_products_of_any_size_and_order(
    backend: Any, rows: int, inner: int, columns: int, turned: str
) -> None:
    x, y = random(rows, inner), random(inner, columns, seed=1)
    a = on(backend, x.T.copy()).T if "x" in turned else on(backend, x)
    b = on(backend, y.T.copy()).T if "y" in turned else on(backend, y)
    np.testing.assert_array_equal(ops.matmul(a, b).numpy(), x @ y)


@pytest.mark.parametrize(
    "lead_x, lead_y",
    [((3,), (3,)), ((2, 1), (1, 3)), ((2, 1, 2), (3, 1)), ((2, 1, 2, 1), (1, 3, 1, 2)), ((0,), (1,))],
)
def test_leading_axes_broadcast(backend: Any, lead_x: tuple[int, ...], lead_y: tuple[int, ...]) -> None:
    x, y = random(*lead_x, 5, 70), random(*lead_y, 70, 3, seed=1)
    np.testing.assert_array_equal(ops.matmul(on(backend, x), on(backend, y)).numpy(), x @ y)


@pytest.mark.parametrize("inner", [33, 4096])
def test_linear_adds_its_bias_once(backend: Any, inner: int) -> None:
    x, w, b = random(2, 3, inner), random(7, inner, seed=1), random(7, seed=2)
    got = ops.linear(on(backend, x), on(backend, w), on(backend, b)).numpy()
    np.testing.assert_array_equal(got, x @ w.T + b)


@pytest.mark.parametrize("scale", [1.0, 2.0**-40, 2.0**60])
@pytest.mark.parametrize("spikes", [False, True])
def test_errors_are_those_of_float32(backend: Any, scale: float, spikes: bool) -> None:
    rng = np.random.default_rng(0)
    x = (
        (rng.random((96, 700)) < 0.1)
        if spikes
        else rng.standard_normal((96, 700)) * np.exp(rng.standard_normal((96, 700)))
    )
    y = rng.standard_normal((700, 80)) * scale
    x, y = x.astype(np.float32), y.astype(np.float32)
    exact = x.astype(np.float64) @ y.astype(np.float64)
    bound = np.abs(x).astype(np.float64) @ np.abs(y).astype(np.float64)
    got = ops.matmul(on(backend, x), on(backend, y)).numpy()
    assert np.max(np.abs(got - exact) / bound) < 5e-7


def test_zeros_and_constants_are_exact(backend: Any) -> None:
    x = np.zeros((70, 70), np.float32)
    assert not ops.matmul(on(backend, x), on(backend, random(70, 70))).numpy().any()
    np.testing.assert_array_equal(ops.matmul(on(backend, x + 3), on(backend, x + 0.1)).numpy().std(), 0)


CONVOLUTIONS = [
    dict(n=2, c=3, o=5, size=(7, 9), kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1),
    dict(n=3, c=4, o=6, size=(11, 8), kernel=(3, 2), stride=(2, 3), padding=(2, 0), dilation=(1, 2), groups=2),
    dict(n=1, c=6, o=6, size=(5, 5), kernel=(1, 1), stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=6),
    dict(n=2, c=1, o=70, size=(12, 13), kernel=(5, 3), stride=(1, 2), padding=(0, 2), dilation=(2, 1), groups=1),
    dict(n=9, c=16, o=33, size=(14, 14), kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1),
    dict(n=0, c=2, o=3, size=(4, 4), kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", CONVOLUTIONS, ids=lambda case: f"{case['c']}to{case['o']}k{case['kernel']}s{case['stride']}"
)
def test_convolution_and_both_gradients(backend: Any, case: dict[str, Any]) -> None:
    c, o, kernel, groups = case["c"], case["o"], case["kernel"], case["groups"]
    window = {name: case[name] for name in ("stride", "padding", "dilation", "groups")}
    arrays = [random(case["n"], c, *case["size"]), random(o, c // groups, *kernel, seed=1), random(o, seed=2)]
    results = []
    for target in (backend, resolve("numpy")):
        x, w, b = (grilly.tensor(a, backend=target, requires_grad=True) for a in arrays)
        y = ops.conv2d(x, w, b, **window)
        (y * on(target, random(*y.shape, seed=3))).sum().backward()
        results.append([t.numpy() for t in (y, x.grad, w.grad, b.grad)])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(
            got, expected, rtol=0, atol=2e-6 * max(1.0, float(np.abs(expected).max(initial=0)))
        )


def test_a_weight_changed_in_place_is_looked_at_again(backend: Any) -> None:
    p = on(backend, random(70, 70))
    x = on(backend, random(65, 70, seed=1))
    ops.matmul(x, p)  # its magnitude may be kept now
    (q,) = ops.sgd_update(
        [p], [on(backend, np.full((70, 70), -(2.0**30), np.float32))], [], lr=1.0, donate=True
    )
    np.testing.assert_array_equal(ops.matmul(x, q).numpy(), x.numpy() @ q.numpy())
    assert np.isfinite(ops.matmul(x, q).numpy()).all()


def test_factors_at_both_ends_of_the_range(backend: Any) -> None:
    x, y = np.full((40, 33), 2.0**126, np.float32), np.full((33, 40), 2.0**-126, np.float32)
    for a, b in ((x, y), (y.T.copy(), x.T.copy())):
        got = ops.matmul(on(backend, a), on(backend, b)).numpy()
        np.testing.assert_array_equal(got, np.full((40, 40), 33.0, np.float32))
