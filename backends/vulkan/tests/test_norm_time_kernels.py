"""Norms over time on the device: against formulas in float64, and NeuNorm bit for bit against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.testing.tolerances import value_tolerance

Array = np.ndarray[Any, np.dtype[Any]]

STEPS = [
    (1, 4, 3, 36), (4, 5, 2, 1), (3, 300, 3, 2), (2, 1, 4, 50), (7, 2, 1, 500), (2, 3, 2, 1031), (3, 600, 7, 1),
    (2, 4000, 3, 1), (2, 20, 65, 7), (3, 3, 257, 64), (2, 3000, 1, 1), (5, 70, 2, 49), (2, 1, 3, 9000),
    (2, 70, 300, 1), (2, 2, 1031, 3),
]  # fmt: skip
"""``[T, M, C, L]``."""

PLACES = [
    (1, 1, 1, 1), (7, 2, 3, 5), (2, 3, 65, 7), (1, 2, 63, 257), (2, 257, 3, 1), (3, 1, 1031, 1), (2, 5, 64, 64),
    (1, 300, 2, 1), (2, 1, 129, 36), (40, 3, 2, 4), (300, 4, 1, 2), (3, 2, 4, 0),
]  # fmt: skip
"""``[T, N, C, L]``."""


@pytest.fixture(params=["wide", "folded"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Also with a grid of at most seven workgroups along x, where there are more workgroups than needed."""
    opened = open_or_skip("vulkan")
    if request.param == "folded":
        from grilly_vulkan import stream

        monkeypatch.setattr(stream, "_GROUPS_X", 7)
    return opened


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32")


def on_grid(*shape: int, seed: int = 0) -> Array:
    """Multiples of 1/8 up to 2: their sums are exact."""
    return (np.random.default_rng([seed, *shape]).integers(-16, 17, shape) / 8).astype("float32")


def spread(v: Array) -> Array:
    return v[:, None, :, None]


def formula(x: Array, weight: Array | None, g: Array, eps: float) -> list[Array]:
    """Result, mean, variance; gradients of x and weight."""
    x, g = x.astype("float64"), g.astype("float64")
    mean, var = x.mean(axis=(1, 3)), x.var(axis=(1, 3))
    inverse = 1 / np.sqrt(spread(var) + eps)
    hat = (x - spread(mean)) * inverse
    w = 1.0 if weight is None else spread(weight.astype("float64"))
    along = (g * hat).mean(axis=(1, 3), keepdims=True)
    gx = w * inverse * (g - g.mean(axis=(1, 3), keepdims=True) - hat * along)
    return [hat * w, mean, var, gx, (g * hat).sum(axis=(1, 3))]


def run(backend: Any, x: Any, weight: Array | None, g: Any, eps: float) -> list[Array]:
    x, g, weight = (
        a if a is None or isinstance(a, grilly.Tensor) else grilly.tensor(a, backend=backend)
        for a in (x, g, weight)
    )
    y, mean, var = ops.bn_through_time(x, weight, eps=eps)
    return [t.numpy() for t in (y, mean, var, *ops.bn_through_time_vjp(g, x, mean, var, weight, eps=eps))]


def compare(got: list[Array], expected: list[Array]) -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.shape == b.shape and a.dtype == "float32"
        op = "bn_through_time" if i < 3 else "bn_through_time_vjp"
        assert (np.abs(a - b) <= value_tolerance(op).allowed(b.astype("float32"))).all(), i


@pytest.mark.parametrize("shape", STEPS, ids=str)
@pytest.mark.parametrize("weighted", [True, False])
def test_bn_through_time(backend: Any, shape: tuple[int, ...], weighted: bool) -> None:
    x, g = draw(*shape) + draw(shape[0], 1, shape[2], 1, seed=4), draw(*shape, seed=1)
    weight = draw(*shape[::2], seed=2) if weighted else None
    compare(run(backend, x, weight, g, 1e-3), formula(x, weight, g, 1e-3))


def test_bn_through_time_of_views_and_of_nothing(backend: Any) -> None:
    x, g = draw(5, 3, 40, 4), draw(3, 1, 1, 4)
    view = grilly.tensor(x, backend=backend).transpose(1, 2, 0, 3)
    upstream = ops.broadcast_to(grilly.tensor(g, backend=backend), shape=(3, 40, 5, 4))
    wanted = formula(x.transpose(1, 2, 0, 3), None, np.broadcast_to(g, (3, 40, 5, 4)), 1e-3)
    compare(run(backend, view, None, upstream, 1e-3), wanted)
    for shape in ((0, 2, 3, 4), (2, 2, 0, 3)):
        none = ops.bn_through_time(grilly.tensor(np.zeros(shape, "float32"), backend=backend))
        assert [t.shape for t in none] == [shape, shape[::2], shape[::2]]


@pytest.mark.parametrize("shape", [(3, 32, 3, 196), (2, 2000, 3, 1), (4, 700, 3, 4), (3, 800, 1, 2)], ids=str)
def test_every_step_has_its_own_centre(backend: Any, shape: tuple[int, ...]) -> None:
    """Means far above the deviation and different for each step: taken together, nothing would be left of y."""
    offset = 100.0 * (1 + np.arange(shape[0], dtype="float32")).reshape(-1, 1, 1, 1)
    x, g = (offset + 0.01 * draw(*shape)).astype("float32"), draw(*shape, seed=1)
    for i, (a, b) in enumerate(zip(run(backend, x, None, g, 1e-12), formula(x, None, g, 1e-12), strict=True)):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * float(np.abs(b).max()), err_msg=str(i))


def test_bn_through_time_is_the_same_every_time(backend: Any) -> None:
    x, g = draw(3, 300, 3, 100), draw(3, 300, 3, 100, seed=1)
    first, second = (run(backend, x, None, g, 1e-5) for _ in range(2))
    assert [a.tobytes() for a in first] == [a.tobytes() for a in second]


@pytest.mark.parametrize("shape", PLACES, ids=str)
@pytest.mark.parametrize("shared", [True, False])
def test_neunorm_has_the_bits_of_numpy(backend: Any, shape: tuple[int, ...], shared: bool) -> None:
    _, n, channels, extent = shape
    spikes = (draw(*shape) > 0).astype("float32")
    arrays = [spikes, draw(n, 1, extent), draw(1 if shared else channels, extent)]
    made, wanted = (
        [y.numpy() for y in ops.neunorm_multi_step(*[grilly.tensor(a, backend=b) for a in arrays], k=0.9)]
        for b in (backend, "numpy")
    )
    for a, b in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", PLACES, ids=str)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("with_states", [True, False])
def test_gradients_of_neunorm(backend: Any, shape: tuple[int, ...], shared: bool, with_states: bool) -> None:
    steps, n, channels, extent = shape
    g_states = draw(steps, n, 1, extent) if with_states else None
    w = on_grid(1 if shared else channels, extent, seed=1)
    arrays = [on_grid(*shape), g_states, draw(steps, n, 1, extent, seed=2), w]

    def gradients(where: Any) -> list[Array]:
        args = [None if a is None else grilly.tensor(a, backend=where) for a in arrays]
        return [y.numpy() for y in ops.neunorm_multi_step_vjp(*args, k=0.9)]

    (g_s, g_x, g_w), wanted = gradients(backend), gradients("numpy")
    np.testing.assert_array_equal(g_s, wanted[0])
    np.testing.assert_array_equal(g_x, wanted[1])
    assert g_w.shape == wanted[2].shape
    allowed = value_tolerance("neunorm_multi_step_vjp").allowed(wanted[2])
    assert (np.abs(g_w - wanted[2]) <= allowed).all()


def test_gradients_of_neunorm_run_through_its_kernel(backend: Any) -> None:
    args = [
        grilly.tensor(a, backend=backend, requires_grad=True)
        for a in (draw(3, 2, 4, 5), draw(2, 1, 5), draw(4, 5))
    ]
    with grilly.require_native():
        y, states = ops.neunorm_multi_step(*args, k=0.9)
    (y.sum() + states[2].sum()).backward()
    assert [a.grad.shape for a in args if a.grad is not None] == [(3, 2, 4, 5), (2, 1, 5), (4, 5)]
