"""Gather, its sum back (by comparison and by lists), one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.tensor import full
from grilly_core.testing.tolerances import value_tolerance


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def on(backend: Any, array: np.ndarray) -> grilly.Tensor:
    return grilly.tensor(array, backend=backend)


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 9, shape)
    return values.astype(dtype)


CASES = [
    ((1,), 0, (1,)), ((65,), 0, (257,)), ((3, 5), 0, (1031,)), ((3, 5), 1, (2, 33)), ((4, 7, 63), 1, (64,)),
    ((2, 3, 1), 2, (5, 0)), ((0, 3), 1, (4,)), ((257, 4), 0, ()),
]  # fmt: skip


@pytest.mark.parametrize("shape, axis, picks", CASES)
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bool"])
def test_gather(backend: Any, shape: tuple[int, ...], axis: int, picks: tuple[int, ...], dtype: str) -> None:
    x = numbers(shape, dtype)
    index = np.random.default_rng(1).integers(0, shape[axis], picks).astype(np.int32)
    got = ops.gather(on(backend, x), on(backend, index), axis=axis).numpy()
    np.testing.assert_array_equal(got, np.take(x, index, axis=axis))


def test_gather_out_of_range_reads_nothing(backend: Any) -> None:
    x, index = np.ones((3, 2), np.float32), np.array([-1, 1, 3], np.int32)
    got = ops.gather(on(backend, x), on(backend, index)).numpy()
    np.testing.assert_array_equal(got, [[0, 0], [1, 1], [0, 0]])


@pytest.fixture(params=["compare", "lists", "lists and long rows"])
def way(request: pytest.FixtureRequest, backend: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    from grilly_vulkan.kernels import indexing

    kind: str = request.param
    monkeypatch.setattr(indexing, "_COMPARISONS", 1 << 60 if kind == "compare" else -1)
    monkeypatch.setattr(indexing, "_LONGEST", 7 if "long" in kind else 2048)
    return kind


@pytest.mark.parametrize("shape, axis, picks", CASES)
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32"])
def test_scatter_add(
    backend: Any, way: str, shape: tuple[int, ...], axis: int, picks: tuple[int, ...], dtype: str
) -> None:
    index = np.random.default_rng(1).integers(0, shape[axis], picks).astype(np.int32)
    x = numbers(shape, dtype)
    src = numbers((*shape[:axis], *picks, *shape[axis + 1 :]), dtype, seed=2)
    want = x.copy()
    np.add.at(want, (*[slice(None)] * axis, index), src)
    got = ops.scatter_add(on(backend, x), on(backend, index), on(backend, src), axis=axis).numpy()
    np.testing.assert_array_equal(got, want)


def test_scatter_add_adds_in_order(backend: Any, way: str) -> None:
    rng = np.random.default_rng(3)
    index = (rng.integers(0, 40, 3000) % rng.integers(1, 41, 3000)).astype(np.int32)
    src = (rng.standard_normal((3000, 3)) * 10.0 ** rng.integers(-6, 7, (3000, 1))).astype(np.float32)
    want = np.ones((40, 3), np.float32)
    for at, row in zip(index, src, strict=True):
        want[at] += row
    for _ in range(3):
        got = ops.scatter_add(on(backend, np.ones((40, 3), np.float32)), on(backend, index), on(backend, src))
        np.testing.assert_array_equal(got.numpy().view(np.uint32), want.view(np.uint32))


def test_scatter_add_skips_what_is_out_of_range(backend: Any, way: str) -> None:
    index, src = np.array([0, -1, 2, 3, 0], np.int32), np.ones(5, np.float32)
    got = ops.scatter_add(on(backend, np.zeros(3, np.float32)), on(backend, index), on(backend, src))
    np.testing.assert_array_equal(got.numpy(), [2, 0, 1])


def test_scatter_add_onto_a_filled_tensor_and_of_views(backend: Any, way: str) -> None:
    index, src = numbers((70,), "int32"), numbers((3, 70), "float32", seed=1)
    base = full((9, 3), 2.0, "float32", backend)
    got = ops.scatter_add(base, on(backend, index), on(backend, src).T).numpy()
    want = np.full((9, 3), 2.0, np.float32)
    np.add.at(want, index, src.T)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bool"])
@pytest.mark.parametrize("shape, classes", [((0,), 3), ((), 1), ((65,), 10), ((7, 13), 63)])
def test_one_hot(backend: Any, shape: tuple[int, ...], classes: int, dtype: str) -> None:
    labels = np.random.default_rng(0).integers(-2, classes + 2, shape).astype(np.int32)
    got = ops.one_hot(on(backend, labels), classes=classes, dtype=dtype).numpy()
    want = (labels[..., None] == np.arange(classes)).astype(dtype)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_one_hot_and_cross_entropy_upload_nothing(backend: Any) -> None:
    logits, labels = numbers((5, 3), "float32"), np.array([0, 2, 1, 1, 0], np.int32)
    x, y = on(backend, logits), on(backend, labels)
    ops.cross_entropy(x, y)
    before, recorded = backend.transfer.uploads, backend.stream.ops
    ops.one_hot(y, classes=3)
    assert backend.stream.ops - recorded == 1
    loss = ops.cross_entropy(x, y)
    assert backend.transfer.uploads == before
    want = ops.cross_entropy(on("numpy", logits), on("numpy", labels)).numpy()
    assert abs(loss.item() - want) <= value_tolerance("cross_entropy").allowed(want)
