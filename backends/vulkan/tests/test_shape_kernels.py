"""Moving elements: copies of views by each shader, pad, concat and stack."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def numbers(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 1 << 20, shape).astype(dtype)


def copied(backend: Any, tensor: grilly.Tensor) -> np.ndarray:
    """The elements after a copy on the device, whatever the op that made the view."""
    plain = backend.contiguous(tensor._data)
    assert plain.strides is None
    array: np.ndarray = backend.to_numpy(plain)
    return array


@pytest.mark.parametrize("divided", [1, 2, 3, 7, 10, 63, 64, 65, 1031, 2**16 + 1, 2**30, 2**31 - 1])
def test_division_by_a_product(backend: Any, divided: int) -> None:
    from grilly_vulkan.division import LIMIT, divisor

    multiplier, shift = divisor(divided)
    assert 0 <= multiplier < 2**32 and shift < 32
    near = [q * divided + r for q in (1, 2, LIMIT // divided) for r in (-1, 0, 1)]
    for i in [0, LIMIT, *(i for i in near if 0 <= i <= LIMIT)]:
        assert ((i * multiplier >> 32) + i) >> shift == i // divided


TRANSPOSED = [
    ((63, 65), (1, 0)), ((8, 8), (1, 0)), ((7, 300), (1, 0)), ((32, 33, 64), (0, 2, 1)), ((5, 40, 9), (2, 1, 0)),
    ((3, 2, 33, 31), (2, 0, 3, 1)), ((2, 3, 9, 10), (0, 2, 3, 1)), ((2, 9, 2, 2, 11), (4, 2, 0, 3, 1)),
    ((2, 2, 2, 2, 2, 9), (5, 3, 1, 0, 4, 2)), ((9, 2, 3, 2, 2, 2, 2, 9), (7, 1, 6, 2, 5, 3, 4, 0)),
]  # fmt: skip


@pytest.mark.parametrize("shape, axes", TRANSPOSED)
def test_transposed_views(backend: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = numbers(shape)
    view = ops.transpose(grilly.tensor(x, backend=backend), axes=axes)
    np.testing.assert_array_equal(copied(backend, view), x.transpose(axes))


def test_every_permutation_and_slice_of_four_axes(backend: Any) -> None:
    x = numbers((9, 2, 11, 10))
    tensor = grilly.tensor(x, backend=backend)
    for axes in itertools.permutations(range(4)):
        part = ops.transpose(tensor, axes=axes)[1:, :, ::2]
        np.testing.assert_array_equal(copied(backend, part), x.transpose(axes)[1:, :, ::2])


@pytest.mark.parametrize("size", [1, 63, 64, 65, 257, 1031])
def test_broadcast_and_sliced_views(backend: Any, size: int) -> None:
    x = numbers((size,))
    tensor = grilly.tensor(x, backend=backend)
    wide = ops.broadcast_to(tensor.reshape(size, 1), shape=(3, size, 9))
    np.testing.assert_array_equal(copied(backend, wide), np.broadcast_to(x[:, None], (3, size, 9)))
    np.testing.assert_array_equal(copied(backend, tensor[::3]), x[::3])
    turned = np.broadcast_to(x[:, None], (3, size, 9))[1:, ::2].T
    np.testing.assert_array_equal(copied(backend, wide[1:, ::2].T), turned)


PADS = [
    ((), (), (), None), ((0,), (2,), (3,), (4,)), ((1031,), (1,), (0,), None), ((5, 7), (0, 2), (1, 0), (2, 1)),
    ((2, 3, 6, 5), (0, 0, 1, 2), (0, 0, 2, 1), None), ((4, 3, 2), (2, 0, 0), (1, 0, 0), None),
    ((3, 1, 4), (0, 0, 0), (0, 0, 0), (1, 3, 0)), ((2, 3, 2), (1, 0, 0), (0, 0, 0), (2, 0, 0)),
    ((2,) * 8, (1,) * 8, (0, 1) * 4, (1, 0) * 4), ((2,) * 6, (1,) * 6, (0,) * 6, (1,) * 6), ((3, 0), (1, 0), (1, 0), None),
    ((1, 2, 1, 2, 1, 2, 1, 2), (0, 0, 0, 1, 0, 0, 0, 0), (0,) * 8, (0, 0, 0, 3, 0, 0, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize("shape, low, high, interior", PADS)
@pytest.mark.parametrize("dtype, value", [("float32", -1.5), ("int32", -3), ("uint32", 7), ("bool", 1)])
def test_pad(backend: Any, shape: Any, low: Any, high: Any, interior: Any, dtype: str, value: float) -> None:
    x = numbers(shape, dtype)
    got, want = (
        ops.pad(grilly.tensor(x, backend=target), low=low, high=high, interior=interior, value=value).numpy()
        for target in (backend, "numpy")
    )
    np.testing.assert_array_equal(got, want)


def test_pad_is_one_dispatch(backend: Any) -> None:
    x = grilly.tensor(numbers((2, 3, 4, 5)), backend=backend)
    before = backend.stream.ops
    ops.pad(x, low=(0, 0, 1, 1), high=(0, 0, 1, 1))
    assert backend.stream.ops - before == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("extents", [(1,), (2, 2), (3, 0, 1), (4,) * 9, (1, 1, 5, 5, 5, 2, 0, 0, 2), (0, 0)])
def test_concat(backend: Any, axis: int, extents: tuple[int, ...]) -> None:
    shape = [5, 13, 3]
    arrays = [numbers((*shape[:axis], n, *shape[axis + 1 :]), seed=i) for i, n in enumerate(extents)]
    got = ops.concat([grilly.tensor(a, backend=backend) for a in arrays], axis=axis).numpy()
    np.testing.assert_array_equal(got, np.concatenate(arrays, axis=axis))


@pytest.mark.parametrize("count, dispatches", [(1, 1), (8, 1), (9, 2), (32, 4)])
def test_stack_of_equal_pieces(backend: Any, count: int, dispatches: int) -> None:
    arrays = [numbers((17, 137), "int32", seed=i) for i in range(count)]
    tensors = [grilly.tensor(a, backend=backend) for a in arrays]
    before, uploads = backend.stream.ops, backend.transfer.uploads
    for axis in (0, 1, 2):
        np.testing.assert_array_equal(ops.stack(tensors, axis=axis).numpy(), np.stack(arrays, axis))
    # Reading the results back takes a copy each.
    assert backend.stream.ops - before == 3 * (dispatches + 1)
    assert backend.transfer.uploads == uploads


def test_concat_beyond_a_row_of_workgroups(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from grilly_vulkan.kernels import shape

    monkeypatch.setattr(shape, "_GROUPS", 2)
    arrays = [numbers((2, 1031), seed=i) for i in range(3)]
    got = ops.concat([grilly.tensor(a, backend=backend) for a in arrays], axis=1).numpy()
    np.testing.assert_array_equal(got, np.concatenate(arrays, axis=1))
