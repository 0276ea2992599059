"""Kernels of attention over time steps on the device against NumPy in float64, rows in chunks among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly import nn
from grilly_core import ops

Array = np.ndarray[Any, np.dtype[Any]]

SHAPES = [
    (1, 1), (2, 63), (3, 64), (64, 3), (5, 65), (1031, 2), (257, 7), (2, 257), (300, 40), (3, 1031), (1, 70_000),
    (2, 33_333), (0, 3),
]  # fmt: skip


@pytest.fixture(params=["wide", "folded"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Also with a grid of at most seven workgroups along x, where there are more workgroups than needed."""
    opened = open_or_skip("vulkan")
    if request.param == "folded":
        from grilly_vulkan import stream

        monkeypatch.setattr(stream, "_GROUPS_X", 7)
    return opened


def draw(*shape: int, seed: int = 0) -> Array:
    """A few different values, so that there are ties."""
    return (np.random.default_rng([seed, *shape]).integers(-8, 9, shape) / 4).astype("float32")


def close(found: Any, wanted: Array) -> None:
    assert found.dtype == "float32" and found.shape == wanted.shape
    scale = np.abs(wanted).max(initial=1.0)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows(backend: Any, shape: tuple[int, int]) -> None:
    arrays = [draw(*shape, seed=0), draw(*shape, seed=1), *(draw(shape[0], seed=seed) for seed in (2, 3, 4))]
    x, g, scale, shift, share = (grilly.tensor(a, backend=backend) for a in arrays)
    xs, gs, scales, shifts, shares = (a.astype("float64") for a in arrays)
    with grilly.require_native():
        total, top = ops.row_sum_max(x)
        dots, hits = ops.row_dots(g, x, top)
        y = ops.row_scale_vjp(g, x, top, scale, shift, share)
    hit = xs == xs.max(axis=1)[:, None]
    close(total, xs.sum(axis=1))
    np.testing.assert_array_equal(top.numpy(), xs.max(axis=1))
    close(dots, (gs * xs).sum(axis=1))
    np.testing.assert_array_equal(hits.numpy(), hit.sum(axis=1))
    close(y, gs * scales[:, None] + shifts[:, None] + hit * shares[:, None])


@pytest.mark.parametrize("extent", [3, 300, 40_000])
def test_nan_is_largest_and_hits_nothing(backend: Any, extent: int) -> None:
    x = -np.ones((3, extent), "float32")
    x[0, extent - 2], x[1] = np.nan, -np.inf
    device = grilly.tensor(x, backend=backend)
    total, top = ops.row_sum_max(device)
    np.testing.assert_array_equal(top.numpy(), [np.nan, -np.inf, -1.0])
    np.testing.assert_array_equal(total.numpy(), [np.nan, -np.inf, -extent])
    hits = ops.row_dots(device, device, top)[1]
    np.testing.assert_array_equal(hits.numpy(), [0, extent, extent])


def test_a_layer_of_long_sequences(backend: Any) -> None:
    """Forward and backward, also of views, like NumPy."""
    x, g = draw(4, 2, 5, 6, 7), draw(4, 2, 5, 7, 6, seed=1)
    weights = [draw(2, 4, seed=2), draw(4, 2, seed=3)]
    found = []
    for name in ("numpy", backend):
        layer: Any = nn.TemporalWiseAttention(4, reduction=2).to(name)
        layer.fc1.assign(weights[0])
        layer.fc2.assign(weights[1])
        leaf = grilly.tensor(x, backend=name, requires_grad=True)
        y = layer(leaf.swapaxes(3, 4))
        (y * grilly.tensor(g, backend=name)).sum().backward()
        found.append([a.numpy() for a in (y, leaf.grad, layer.fc1.grad, layer.fc2.grad)])
    for ours, wanted in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
