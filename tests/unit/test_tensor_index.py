"""``tensor[...]`` against NumPy, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_core.errors import DTypeError, ShapeError
from grilly_core.tensor import tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

X = np.arange(120.0).reshape(4, 5, 6)

INDICES = [
    0,
    -1,
    np.int64(2),
    (1, 2, 3),
    (1, -2, -3),
    slice(None),
    slice(1, 3),
    slice(-3, -1),
    slice(None, None, 2),
    slice(1, 10, 3),
    slice(3, 1),
    slice(10, 20),
    (slice(None), 2),
    (slice(1, 3), slice(None), slice(0, 5, 2)),
    ...,
    (..., 0),
    (0, ...),
    (0, ..., 1),
    (..., slice(1, 2)),
    (1, 2, 3, ...),
    (),
    None,
    (None, 0),
    (0, None, slice(None), None),
    (..., None),
    (None, ..., None, 0),
    [0, 2, 0],
    [-1, 1],
    np.array([3, 0]),
    np.array([], np.int64),
    np.array(2),
    np.array([[0, 1], [-1, 2]]),
    (slice(None), [1, 3]),
    (slice(1, 3), np.array([0, -1]), 2),
    (None, slice(None), np.array([[1], [0]])),
    (..., [0, 5]),
    (slice(None, None, 2), ..., np.array([1, 1])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_forward(index: Any) -> None:
    made = tensor(X)[index]
    assert made.shape == X[index].shape and made.dtype == X.dtype
    np.testing.assert_array_equal(made.numpy(), X[index])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_backward(index: Any) -> None:
    x = tensor(X, requires_grad=True)
    g = np.random.default_rng(0).standard_normal(X[index].shape)
    x[index].backward(g)
    wanted = np.zeros_like(X)
    np.add.at(wanted, index, g)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-14)


def test_an_index_can_be_a_tensor() -> None:
    x = tensor(X, requires_grad=True)
    for index in (np.array([2, 0], np.int32), np.array(1, np.int32)):
        np.testing.assert_array_equal(x[tensor(index)].numpy(), X[index])
    np.testing.assert_array_equal(x[:, tensor(np.array([1, 4, 1], np.int32))].numpy(), X[:, [1, 4, 1]])


def test_a_whole_slice_is_no_op() -> None:
    x = tensor(X)
    assert x[:] is x and x[...] is x


@pytest.mark.parametrize(
    "index, error, message",
    [
        (4, IndexError, r"index 4 is out of range for shape \(4, 5, 6\)"),
        ((0, -6), IndexError, "index -6 is out of range"),
        ([0, 4], IndexError, r"indices from 0 to 4 are out of range for shape \(4, 5, 6\)"),
        (np.array([-5]), IndexError, "indices from -5 to -5 are out of range"),
        ((0, 0, 0, 0), ShapeError, r"4 indices for a tensor of shape \(4, 5, 6\)"),
        ((..., 0, ...), ShapeError, "an index can hold only one ellipsis"),
        (
            slice(None, None, -1),
            ShapeError,
            "slices with a negative step are not supported; gather with a reversed",
        ),
        (([0], [0]), ShapeError, "only one array may be used in an index"),
        (True, DTypeError, r"indexing with bool is not supported; use ops\.where"),
        (
            np.array([True] * 4),
            DTypeError,
            "an index array must hold integers, not bool; bool masks: use ops.where",
        ),
        ([True, False, True, True], DTypeError, "an index array must hold integers, not bool"),
        (tensor([True] * 4, backend="numpy"), DTypeError, "gather: the index must be int32, not bool"),
        (1.0, DTypeError, r"an index must be ints, slices, None, \.\.\. or an integer array, got 1\.0"),
        ("a", DTypeError, "or an integer array, got 'a'"),
        ([0.5], DTypeError, "an index array must hold integers, not float64"),
    ],
)
def test_indices_that_cannot_be(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tensor(X)[index]
