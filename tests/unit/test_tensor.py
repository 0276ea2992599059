"""Making tensors, reading them, moving them; NumPy in and out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from toy_backend import Toy

from grilly_core.abstract import ABSTRACT
from grilly_core.errors import (
    ArgumentError,
    ConfigError,
    DTypeError,
    GradientError,
    ShapeError,
    UnsupportedOpError,
)
from grilly_core.tensor import Tensor, full, ones, scalar, tensor, wrap, zeros, zeros_like

pytestmark = pytest.mark.usefixtures("on_numpy")

# Making


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1, "float32"),
        (2.5, "float32"),
        (True, "bool"),
        ([1, 2], "float32"),
        ([[True], [False]], "bool"),
        (np.float64(1.0), "float64"),
        (np.float32(1.0), "float32"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float32), "float32"),
        (np.ones(2, np.int64), "int32"),
        (np.ones(2, np.uint8), "int32"),
        (np.ones(2, np.uint32), "uint32"),
        (np.ones(2, np.int32), "int32"),
        (np.ones(2, bool), "bool"),
        (np.ones(2, ">f4"), "float32"),
        (np.zeros((0, 3)), "float64"),
    ],
)
def test_dtype_of_what_is_given(data: Any, dtype: str) -> None:
    made = tensor(data)
    assert made.dtype == dtype and made.shape == np.shape(data)
    np.testing.assert_array_equal(made.numpy(), np.asarray(data))


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), "<f4"])
def test_dtype_asked_for(dtype: Any) -> None:
    assert tensor(np.arange(3), dtype=dtype).dtype == np.float32
    assert zeros(3, dtype).dtype == ones(3, dtype).dtype == np.float32


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3).T, np.arange(8.0)[::-2], np.broadcast_to(1.0, (2, 3))]
)
def test_any_strides(array: np.ndarray) -> None:
    np.testing.assert_array_equal(tensor(array).numpy(), array)


def test_a_tensor_holds_a_copy() -> None:
    array = np.ones(2, np.float32)
    made = tensor(array)
    array[0] = 5
    assert made.tolist() == [1.0, 1.0]
    out = made.numpy()
    out[0] = 7
    assert made.tolist() == [1.0, 1.0]


def test_from_a_tensor() -> None:
    first = tensor([1.0], requires_grad=True)
    second = tensor(first * 2.0, dtype="float64", requires_grad=True)
    assert second.is_leaf and second.requires_grad and second.dtype == np.float64 and second.tolist() == [2.0]
    assert not tensor(first).requires_grad
    assert tensor([first, first]).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: tensor([[1.0], [1.0, 2.0]]), ShapeError, "cannot make an array of this: .*inhomogeneous"),
        (lambda: tensor(None), DTypeError, "an array of Python objects is not numeric"),
        (lambda: tensor([object()]), DTypeError, "an array of Python objects is not numeric"),
        (lambda: tensor("a"), DTypeError, "dtype str32 is not supported; convert to one of float32"),
        (lambda: tensor([1j]), DTypeError, "dtype complex128 is not supported"),
        (lambda: tensor([1j], dtype="float32"), DTypeError, "cannot convert dtype complex128 to float32"),
        (lambda: tensor(np.ones(1, np.float16)), DTypeError, r"float16 is not supported \(half precision is not"),
        (lambda: tensor([1.0], dtype="flaot32"), DTypeError, "'flaot32' is not a dtype; grilly has float32"),
        (lambda: tensor(np.array([2**31])), DTypeError, "integers of dtype int64 beyond 32 bits; grilly has int32"),
        (lambda: tensor([1, 2], dtype="int32", requires_grad=True), DTypeError, "only float tensors have gradients"),
        (lambda: tensor([1.0], backend="nunpy"), ConfigError, "no backend 'nunpy' is installed; did you mean 'numpy'"),
        (lambda: tensor([1.0], backend=3), ConfigError, "a backend is chosen by name"),
        (lambda: zeros((2, -1)), ArgumentError, r"extents cannot be negative: \(2, -1\)"),
        (lambda: ones(2, "half"), DTypeError, "dtype float16 is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_filled() -> None:
    assert zeros(3).tolist() == [0.0] * 3 and zeros(np.int64(2)).shape == (2,) and zeros(()).shape == ()
    made = ones([2, 1], "float64", requires_grad=True)
    assert made.tolist() == [[1.0], [1.0]] and made.requires_grad
    assert zeros_like(made).dtype == np.float64 and not zeros_like(made).requires_grad
    toy = Toy()
    assert zeros(2, backend=toy)._backend is toy and full((1,), 3, "int32", toy).tolist() == [3]


def test_constants_are_kept_per_backend_value_and_sign() -> None:
    backend = tensor(0.0)._backend
    assert scalar(0.5, "float32", backend) is scalar(0.5, "float32", backend)
    assert scalar(0.5, "float64", backend).dtype == np.float64
    assert math.copysign(1.0, scalar(-0.0, "float32", backend).item()) == -1.0
    assert math.copysign(1.0, scalar(0.0, "float32", backend).item()) == 1.0
    assert math.isnan(scalar(math.nan, "float32", backend).item())


def test_constants_do_not_pile_up() -> None:
    toy = Toy()
    for number in range(3000):
        scalar(float(number), "float32", toy)
    assert len(toy.__dict__["_scalars"]) <= 1024


def test_wrap_takes_a_handle() -> None:
    toy = Toy()
    made = wrap(np.ones((2, 1), np.float32), toy)
    assert (
        made.shape == (2, 1) and made.dtype == np.float32 and made.backend == "toy" and made.device == "a toy"
    )


# Reading


def test_what_a_tensor_says_of_itself() -> None:
    x = tensor(np.ones((2, 3), np.float64))
    assert (x.shape, x.ndim, x.size, x.nbytes, len(x)) == ((2, 3), 2, 6, 48, 2)
    assert x.dtype is np.dtype("float64") and x.backend == "numpy" and "CPU" in x.device and x.is_leaf
    assert x.T.shape == (3, 2) and not (x * 2.0).requires_grad


@pytest.mark.parametrize(
    "made, text",
    [
        (lambda: tensor([1.0, 2.5]), "Tensor([1. , 2.5], dtype=float32, backend=numpy)"),
        (lambda: tensor(np.array([[1], [2]])), "Tensor([[1],\n        [2]], dtype=int32, backend=numpy)"),
        (
            lambda: tensor(1.0, requires_grad=True),
            "Tensor(1., dtype=float32, backend=numpy, requires_grad=True)",
        ),
        (
            lambda: tensor([1.0], requires_grad=True) + 1,
            "Tensor([2.], dtype=float32, backend=numpy, made_by=add)",
        ),
        (lambda: zeros((0, 3)), "Tensor([], shape=(0, 3), dtype=float32, backend=numpy)"),
    ],
)
def test_repr(made: Any, text: str) -> None:
    assert repr(made()) == text


def test_repr_of_many_elements_is_short_and_gives_the_shape() -> None:
    text = repr(zeros((30, 40)))
    assert "shape=(30, 40)" in text and "..." in text and len(text) < 700


def test_repr_of_a_tensor_behind_a_hook_and_of_nodes() -> None:
    x = tensor([1.0], requires_grad=True).register_hook(lambda g: None)
    assert "made_by=hook" in repr(x)
    assert repr(x._node) == "<hook backward>" and repr((x * 2.0)._node) == "<mul backward>"


def test_item_and_python_numbers() -> None:
    assert tensor(2.5).item() == 2.5 and isinstance(tensor([[3]], dtype="int32").item(), int)
    assert float(tensor([2.5])) == 2.5 and int(tensor([2.5])) == 2
    assert [10, 20, 30][tensor(2, dtype="int32")] == 30
    assert bool(tensor([1.0])) and not tensor(False)
    assert tensor([[1.0, 2.0]]).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("call", [Tensor.item, float, int, bool])
def test_item_of_several(call: Any) -> None:
    with pytest.raises(ShapeError, match=r"item\(\) needs exactly one element; this tensor has shape \(2,\)"):
        call(zeros(2))


def test_what_is_no_index_and_has_no_length() -> None:
    with pytest.raises(TypeError, match="a tensor of dtype float32 is not an index"):
        [1, 2][tensor(1.0)]
    with pytest.raises(TypeError, match="without axes"):
        len(tensor(1.0))
    with pytest.raises(TypeError, match="without axes"):
        iter(tensor(1.0))


def test_iteration_and_membership() -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = list(x)
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0]] and all(
        row.requires_grad for row in rows
    )
    assert 2.0 in tensor([1.0, 2.0]) and 5.0 not in tensor([1.0, 2.0])


def test_tensors_can_be_keys_though_equality_is_elementwise() -> None:
    x, y = zeros(2), zeros(2)
    assert {x: 1, y: 2}[x] == 1
    assert (x == y).tolist() == [True, True]


# NumPy and DLPack


def test_as_a_numpy_array() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    assert isinstance(np.asarray(x), np.ndarray) and np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype="float64").dtype == np.float64
    assert np.array(x * 2.0).tolist() == [2.0, 4.0] and np.asarray(x.sum()).shape == ()
    with pytest.raises(ValueError, match="cannot be viewed as a NumPy array without a copy"):
        np.asarray(x, copy=False)


def test_functions_of_numpy_give_arrays() -> None:
    x = tensor([1.0, 4.0])
    assert type(np.sqrt(x)) is np.ndarray and np.sqrt(x).tolist() == [1.0, 2.0]
    assert np.add(x, x, dtype="float64").dtype == np.float64
    assert np.add.reduce(x) == 5.0
    assert np.maximum(x, 2.0).tolist() == [2.0, 4.0]


def test_dlpack_shares_memory() -> None:
    x = tensor([1.0, 2.0])
    assert np.shares_memory(np.from_dlpack(x), np.asarray(x._data))
    assert x.__dlpack_device__() == (1, 0)
    assert np.from_dlpack(x.sum()) == 3.0
    assert tensor(np.from_dlpack(x)).tolist() == [1.0, 2.0]


def test_dlpack_of_what_cannot_be_shared() -> None:
    with pytest.raises(GradientError, match=r"requires a gradient cannot be exported; use x\.detach\(\)"):
        np.from_dlpack(tensor([1.0], requires_grad=True))
    hollow = wrap((), ABSTRACT, zeros(2).spec)
    with pytest.raises(
        UnsupportedOpError, match=r"backend abstract cannot share its memory through DLPack; use x\.numpy"
    ):
        hollow.__dlpack__()


# Moving


def test_to_changes_nothing_needlessly() -> None:
    x = tensor([1.0])
    assert (
        x.to() is x
        and x.to("numpy") is x
        and x.to(x._backend, dtype="float32") is x
        and x.astype("float32") is x
    )


def test_to_another_backend_is_differentiable() -> None:
    toy = Toy()
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2.0).to(toy)
    assert y.backend == "toy" and not y.is_leaf
    (y * y).backward([1.0, 1.0])
    assert x.grad is not None and x.grad.backend == "numpy" and x.grad.tolist() == [8.0, 16.0]
    assert not x.detach().to(toy).requires_grad


def test_to_another_dtype_is_differentiable() -> None:
    x = tensor([1.0], requires_grad=True)
    x.to(dtype="float64").sum().backward()
    assert x.grad is not None and x.grad.dtype == np.float32


def test_to_a_backend_and_a_dtype_that_only_one_side_has() -> None:
    toy = Toy()
    assert tensor([1.5], backend=toy).to("numpy", dtype="float64").dtype == np.float64
    assert tensor([1.5], dtype="float64").to(toy, dtype="float32").tolist() == [1.5]
    assert tensor(tensor([1.5], backend=toy), dtype="float64", backend="numpy").dtype == np.float64
    with pytest.raises(DTypeError, match="cast: backend toy has no float64"):
        tensor([1.5], backend=toy).to(toy, dtype="float64")


def test_tensors_are_immutable() -> None:
    x = zeros(2)
    with pytest.raises(
        TypeError, match=r"tensors are immutable; build the new values with ops\.where, or assign in NumPy"
    ):
        x[0] = 1.0
    y = x
    y += 1.0
    assert x.tolist() == [0.0, 0.0] and y.tolist() == [1.0, 1.0]
