"""Operators and methods against NumPy, with arrays and numbers on either side."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.tensor import Tensor, tensor, zeros

pytestmark = pytest.mark.usefixtures("on_numpy")

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)
B = np.array([[2.0, -2.0, 0.5], [0.25, -4.0, 1.0]], np.float32)

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne]


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
@pytest.mark.parametrize("right", [B, B[0], B[:, :1], np.float32(2.0), 2.0, 1, B.tolist()], ids=str)
def test_binary_operators_on_both_sides(op: Any, right: Any) -> None:
    array = np.asarray(right, np.float32)
    for made, wanted in ((op(tensor(A), right), op(A, array)), (op(right, tensor(A)), op(array, A))):
        assert isinstance(made, Tensor)
        assert made.dtype == wanted.dtype and made.shape == wanted.shape
        np.testing.assert_array_equal(made.numpy(), wanted)
    made = op(tensor(A), tensor(array))
    np.testing.assert_array_equal(made.numpy(), op(A, array))


def test_an_array_on_the_left_stays_on_the_tape() -> None:
    x = tensor(A, requires_grad=True)
    (B * x).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), B)


def test_comparisons_with_nan() -> None:
    x = tensor([np.nan, 1.0])
    assert (x == x).tolist() == [False, True] and (x != x).tolist() == [True, False]
    assert (x > 0).tolist() == (x <= 1).tolist() == [False, True]


def test_unary_operators() -> None:
    x = tensor(A)
    np.testing.assert_array_equal((-x).numpy(), -A)
    np.testing.assert_array_equal(abs(x).numpy(), np.abs(A))
    assert (~tensor([True, False])).tolist() == [False, True]


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 5, -1, -2, 0.5, 1.5, True])
def test_power(exponent: Any) -> None:
    array = np.abs(A)
    np.testing.assert_allclose((tensor(array) ** exponent).numpy(), array**exponent, rtol=1e-6)


def test_power_of_negative_numbers() -> None:
    np.testing.assert_array_equal((tensor(A) ** 3).numpy(), A**3)
    assert np.isnan((tensor([-1.0]) ** 0.5).item())


@pytest.mark.parametrize("exponent", [tensor([2.0], backend="numpy"), "2", float("nan"), float("inf"), None])
def test_exponents_that_are_no_numbers(exponent: Any) -> None:
    with pytest.raises(ArgumentError, match="the exponent must be a finite Python number, got"):
        tensor([2.0]) ** exponent


@pytest.mark.parametrize(
    "left, right",
    [((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2))],
)
def test_matrix_products(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-4, 5, left).astype(np.float32), rng.integers(-4, 5, right).astype(np.float32)
    for made in (tensor(a) @ tensor(b), a @ tensor(b), tensor(a) @ b, tensor(a) @ b.tolist()):
        assert isinstance(made, Tensor) and made.shape == (a @ b).shape
        np.testing.assert_array_equal(made.numpy(), a @ b)


@pytest.mark.parametrize(
    "left, right, dtype, error, message",
    [
        ((2, 3), (2, 3), "float32", ShapeError, r"matmul: inner extents differ: \(2, 3\) @ \(2, 3\)"),
        ((), (2, 3), "float32", ShapeError, r"matmul: needs at least two axes on both sides, got \(\)"),
        ((2, 2, 3), (3, 3, 2), "float32", ShapeError, r"matmul: shapes \(2,\) and \(3,\) do not broadcast"),
        ((2, 2), (2, 2), "int32", DTypeError, "matmul: takes floats, not int32"),
    ],
)
def test_matrices_that_do_not_fit(left: Any, right: Any, dtype: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        zeros(left, dtype) @ zeros(right, dtype)


# Reductions


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (-1, 0), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    made = getattr(tensor(A), name)(axis=axis, keepdims=keepdims)
    wanted = getattr(np, name)(A, axis=axis, keepdims=keepdims)
    assert made.shape == wanted.shape
    np.testing.assert_allclose(made.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_smallest_integer(dtype: str) -> None:
    info = np.iinfo(dtype)
    array = np.array([[info.min, 5, info.max], [7, 6, info.max]], dtype)
    made = tensor(array).min(axis=1)
    assert made.dtype == dtype and made.tolist() == [info.min, 6]


def test_argmax_takes_the_first() -> None:
    x = tensor([[1.0, 3.0, 3.0], [np.nan, 5.0, 6.0]])
    assert x.argmax(axis=-1).tolist() == [1, 0] and x.argmax(1).dtype == np.int32


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: x.sum(axis=2), ShapeError, r"axis 2 does not exist in a tensor of shape \(2, 3\)"),
        (
            lambda x: x.sum(axis=(0, -2)),
            ArgumentError,
            r"sum: axis must be a tuple of different axes, got \(0, 0\)",
        ),
        (
            lambda x: (x > 0).sum(),
            DTypeError,
            r"sum: takes numbers, not bool; convert with x\.astype\('float32'\)",
        ),
        (lambda x: x.astype("int32").mean(), DTypeError, "does not fit a tensor of dtype int32"),
        (
            lambda x: zeros((0, 2)).max(axis=0),
            ShapeError,
            r"max: an empty axis of \(0, 2\) has no largest element",
        ),
        (lambda x: zeros((0, 2)).mean(axis=0), ShapeError, r"the mean over axes \(0,\) of shape \(0, 2\)"),
    ],
)
def test_reductions_that_cannot_be(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(tensor(A))


# Shapes


@pytest.mark.parametrize(
    "call, wanted",
    [
        (lambda x: x.reshape(3, 2), lambda a: a.reshape(3, 2)),
        (lambda x: x.reshape((-1,)), lambda a: a.reshape(-1)),
        (lambda x: x.reshape(1, -1, 2), lambda a: a.reshape(1, -1, 2)),
        (lambda x: x.flatten(), lambda a: a.reshape(-1)),
        (lambda x: x.flatten(1), lambda a: a),
        (lambda x: x.flatten(-1), lambda a: a),
        (lambda x: x.transpose(), lambda a: a.T),
        (lambda x: x.transpose(1, 0), lambda a: a.T),
        (lambda x: x.transpose((-1, 0)), lambda a: a.T),
        (lambda x: x.T, lambda a: a.T),
        (lambda x: x.swapaxes(0, -1), lambda a: a.T),
        (lambda x: x.expand_dims(0), lambda a: a[None]),
        (lambda x: x.expand_dims(-1), lambda a: a[..., None]),
        (lambda x: x.expand_dims(1).squeeze(1), lambda a: a),
        (lambda x: x.expand_dims(2).squeeze(-1), lambda a: a),
        (lambda x: x.broadcast_to((2, 2, 3)), lambda a: np.broadcast_to(a, (2, 2, 3))),
        (lambda x: x.abs().sqrt(), lambda a: np.sqrt(np.abs(a))),
        (lambda x: x.relu(), lambda a: np.maximum(a, 0)),
    ],
)
def test_methods(call: Any, wanted: Any) -> None:
    made = call(tensor(A))
    assert made.shape == wanted(A).shape
    np.testing.assert_array_equal(made.numpy(), wanted(A))


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_functions(name: str) -> None:
    np.testing.assert_allclose(getattr(tensor(A), name)().numpy(), getattr(np, name)(A), rtol=1e-6)


def test_sigmoid_does_not_overflow() -> None:
    assert tensor([-1e4, 0.0, 1e4]).sigmoid().tolist() == [0.0, 0.5, 1.0]


def test_log_and_sqrt_below_zero_are_nan() -> None:
    x = tensor([-1.0])
    assert np.isnan(x.log().item()) and np.isnan(x.sqrt().item()) and tensor([0.0]).log().item() == -np.inf


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: x.reshape(4, 2), r"reshape: \(2, 3\) has 6 elements, \(4, 2\) has 8"),
        (lambda x: x.reshape(-1, -1), r"reshape: at most one extent may be -1, got \(-1, -1\)"),
        (lambda x: x.reshape(4, -1), r"reshape: 6 elements do not fit \(4, -1\)"),
        (lambda x: x.reshape(-2, -3), r"reshape: at most one extent may be -1"),
        (lambda x: x.transpose(0), r"transpose: axes \(0,\) are not a permutation of the 2 axes of \(2, 3\)"),
        (lambda x: x.transpose(0, 0), "are not a permutation"),
        (lambda x: x.swapaxes(0, 2), "axis 2 does not exist"),
        (lambda x: x.expand_dims(4), "axis 4 does not exist in a tensor of 3 axes"),
        (lambda x: x.squeeze(0), r"squeeze: axis 0 of shape \(2, 3\) has extent 2, not 1"),
        (lambda x: x.broadcast_to((2, 4)), r"broadcast_to: shapes \(2, 3\) and \(2, 4\) do not broadcast"),
        (lambda x: x.broadcast_to((3,)), r"broadcast_to: \(2, 3\) cannot be broadcast to \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call(tensor(A))
