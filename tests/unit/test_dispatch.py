"""From a call to a plan: numbers, dtypes, backends, caching, and which of kernel and composite runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from toy_backend import Toy

from grilly_core import dispatch, ops, selection
from grilly_core import op as op_module
from grilly_core.backend import make_kernel
from grilly_core.errors import (
    ArgumentError,
    BackendMismatchError,
    DTypeError,
    ShapeError,
    UnsupportedOpError,
)
from grilly_core.op import Dynamic, composite, registry
from grilly_core.spec import Spec
from grilly_core.tensor import Tensor, tensor, zeros

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op_module, "_registry", registry())


def ints(*values: int) -> Tensor:
    return tensor(np.array(values, np.int32))


# Python numbers and dtypes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2.0)])
def test_numbers_take_the_dtype_of_the_tensor(dtype: str, number: Any) -> None:
    x = tensor([1.0, 3.0], dtype=dtype)
    for made in (x * number, number * x, ops.mul(number, x)):
        assert made.dtype == dtype
        assert made.tolist() == [float(number), 3.0 * float(number)]


def test_numbers_with_integers() -> None:
    assert (ints(1, 2) + 3).tolist() == [4, 5] and (ints(1) + 3).dtype == np.int32
    assert (ints(1, 2) == True).tolist() == [True, False]  # noqa: E712
    x = tensor(np.array([0, 1], np.uint32))
    assert (x + (2**32 - 1)).tolist() == [2**32 - 1, 0]


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ints(1) + 1.5,
            r"add: the number 1\.5 does not fit a tensor of dtype int32; convert with x\.astype",
        ),
        (lambda: ints(1) + 2**31, "add: the number 2147483648 does not fit a tensor of dtype int32"),
        (
            lambda: tensor(np.ones(1, np.uint32)) - -1,
            "sub: the number -1 does not fit a tensor of dtype uint32",
        ),
        (lambda: tensor([True]) == 2, "equal: dtypes differ: bool and float32"),
        (
            lambda: tensor([1.0]) + tensor([1.0], dtype="float64"),
            "add: dtypes differ: float32 and float64; convert one",
        ),
        (
            lambda: tensor([1.0]) * ints(1),
            r"mul: dtypes differ: float32 and int32; convert one with x\.astype",
        ),
        (lambda: tensor([1.0]) + np.ones(1), "add: dtypes differ: float32 and float64"),
        (lambda: tensor([True]) + True, r"add: takes numbers, not bool; convert with x\.astype\('float32'\)"),
        (lambda: ints(1) / ints(1), "div: takes float32 or float64, not int32"),
        (
            lambda: ops.exp(ints(1)),
            r"exp: takes float32 or float64, not int32; convert with x\.astype\('float32'\)",
        ),
        (lambda: ops.where(tensor([1.0]), 1.0, 0.0), "where: the condition must be bool, not float32"),
        (
            lambda: ops.cast([1.0], dtype="float16"),
            "cast: unknown dtype 'float16'; grilly has float32, float64",
        ),
        (lambda: tensor([1.0]) + "a", "add: y: dtype str32 is not supported"),
        (lambda: ~tensor([1.0]), r"takes bool, not float32(.|\n)*in logical_not\(float32\[1\]\)"),
    ],
)
def test_dtypes_that_do_not_fit(call: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        call()


def test_a_bool_among_numbers_is_a_condition() -> None:
    made = ops.where(tensor([True, False]), tensor([1.0, 2.0], dtype="float64"), 0.0)
    assert made.dtype == np.float64 and made.tolist() == [1.0, 0.0]


def test_numbers_chosen_by_a_condition_alone_are_float32() -> None:
    for numbers in ((1.0, 0.0), (1, 0)):
        made = ops.where(tensor([True, False]), *numbers)
        assert made.dtype == np.float32 and made.tolist() == [1.0, 0.0]
    assert ops.where(tensor([True, False]), False, True).dtype == np.bool_


def test_shapes_that_do_not_fit_name_the_op() -> None:
    with pytest.raises(ShapeError, match=r"add: shapes \(2,\) and \(3,\) do not broadcast"):
        zeros(2) + zeros(3)
    with pytest.raises(ShapeError, match=r"in conv2d\(float32\[2\], float32\[2\], None\)"):
        ops.conv2d(zeros(2), zeros(2))


def test_a_dtype_the_backend_lacks() -> None:
    toy = Toy()
    with pytest.raises(DTypeError, match="cast: backend toy has no float64"):
        tensor([1.0], backend=toy).astype("float64")
    with pytest.raises(DTypeError, match="equal: backend toy has no bool"):
        tensor([1.0], backend=toy) == 1.0  # noqa: B015
    for call in (
        lambda: tensor([1.0], dtype="float64", backend=toy),
        lambda: zeros(2, "float64", backend=toy),
    ):
        with pytest.raises(DTypeError, match="backend toy has no float64; it has float32, int32"):
            call()
    with pytest.raises(DTypeError, match="backend toy has no float64; convert first"):
        tensor([1.0], dtype="float64").to(toy)


# Backends


def test_two_backends_in_one_call() -> None:
    here, there = tensor([1.0]), tensor([1.0], backend=Toy())
    message = (
        r"add: tensors of different backends: x on numpy \(.*\), y on toy \(a toy\)\. .*x\.to\(\"name\"\)"
    )
    with pytest.raises(BackendMismatchError, match=message):
        here + there
    with pytest.raises(BackendMismatchError, match="concat: tensors of different backends"):
        ops.concat([here, there])
    with pytest.raises(BackendMismatchError, match="where: tensors of different backends"):
        ops.where([True], here, there)


def test_two_devices_of_one_backend_are_two_backends() -> None:
    with pytest.raises(BackendMismatchError):
        tensor([1.0], backend=Toy()) + tensor([1.0], backend=Toy())


def test_results_stay_on_the_backend_of_the_arguments() -> None:
    toy = Toy()
    with selection.using("numpy"):
        made = tensor([1.0], backend=toy) * 2.0 + np.ones(1, np.float32)
    assert made._backend is toy and made.tolist() == [3.0] and toy.calls == ["mul", "add"]


# Kernel, composite, or an error


def test_an_op_without_kernel_and_body() -> None:
    x = tensor([1.0], backend=Toy())
    message = (
        r"backend toy cannot run exp on dtypes float32: it has no kernel\. Move the tensors to a backend that can, e\.g\. "
        r"x\.to\(\"numpy\"\), or convert them with x\.astype\(\.\.\.\)"
    )
    with pytest.raises(UnsupportedOpError, match=message):
        x.exp()


def test_a_kernel_of_other_dtypes() -> None:
    x = tensor(np.ones(2, np.int32), backend=Toy())
    with pytest.raises(
        UnsupportedOpError, match="cannot run mul on dtypes int32: its kernel takes float32, not int32"
    ):
        x * x


def test_a_kernel_that_declines() -> None:
    toy = Toy()
    with pytest.raises(
        UnsupportedOpError, match="cannot run matmul on dtypes float32: it takes two axes only"
    ):
        ops.matmul(zeros((1, 2, 2), backend=toy), zeros((1, 2, 2), backend=toy))
    assert ops.matmul(zeros((2, 2), backend=toy), zeros((2, 2), backend=toy)).shape == (2, 2)


def test_a_composite_runs_op_by_op() -> None:
    toy = Toy()
    assert ops.square(tensor([3.0], backend=toy)).tolist() == [9.0] and toy.calls == ["mul"]


def test_a_composite_that_needs_a_missing_primitive_names_it() -> None:
    with pytest.raises(UnsupportedOpError, match="backend toy cannot run tanh"):
        tensor([1.0], backend=Toy()).sigmoid()


def test_native_kernels_required() -> None:
    toy = Toy()
    x = tensor([3.0], backend=toy)
    message = (
        r"native kernels are required \(grilly\.require_native or GRILLY_REQUIRE_NATIVE=1\) but square would run as a "
        "composite on backend toy: it has no kernel"
    )
    with selection.require_native():
        assert (x * 2.0).tolist() == [6.0]
        with pytest.raises(UnsupportedOpError, match=message):
            ops.square(x)
        with selection.require_native(False):
            ops.square(x)
    ops.square(x)


def test_native_kernels_required_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_REQUIRE_NATIVE", "1")
    monkeypatch.setattr(selection, "_native_from_environment", None)
    with pytest.raises(UnsupportedOpError, match="native kernels are required"):
        ops.square(tensor([1.0]))


def test_a_kernel_takes_precedence_over_the_body() -> None:
    toy = Toy()

    @toy.kernels.register(ops.square)
    def square(device: Any, x: Any, /) -> Any:
        return x * 0 + 7

    assert ops.square(tensor([3.0], backend=toy)).tolist() == [7.0]


def test_a_kernel_without_rule_is_differentiated_through_its_body() -> None:
    toy = Toy()

    @toy.kernels.register(ops.square)
    def square(device: Any, x: Any, /) -> Any:
        toy.calls.append("square")
        return x * x

    x = tensor([3.0], backend=toy, requires_grad=True)
    ops.square(x).backward()
    assert toy.calls[0] == "square" and toy.calls.count("square") == 1
    assert x.grad is not None and x.grad.tolist() == [6.0]


@pytest.mark.usefixtures("own_registry")
def test_a_kernel_with_list_arguments_is_differentiated_through_its_body() -> None:
    @composite()
    def weighed(x: Tensor, ys: Sequence[Tensor], z: Tensor | None = None, /) -> Tensor:
        """``x`` times the sum of ``ys``."""
        total = ys[0]
        for y in ys[1:]:
            total = total + y * 2.0
        return total * x

    toy = Toy()
    kernel = make_kernel(weighed, lambda device, x, ys, z, /: x * (ys[0] + 2 * sum(ys[1:])))
    toy.__dict__.setdefault("_kernel_cache", {})[weighed] = kernel
    x, a, b, c = (tensor([n], backend=toy, requires_grad=True) for n in (2.0, 3.0, 5.0, 7.0))
    made = weighed(x, [a, b, c])
    assert made.tolist() == [54.0]
    made.backward()
    assert [t.grad.tolist() for t in (x, a, b, c) if t.grad is not None] == [[27.0], [2.0], [4.0], [4.0]]


# Plans


def test_plans_are_kept_per_specs_and_static_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops.pad, "plans", {})
    x = zeros((2,))
    for value, count in ((0.0, 1), (0.0, 1), (1.0, 2)):
        ops.pad(x, low=(1,), high=(0,), value=value)
        assert len(ops.pad.plans) == count
    ops.pad(zeros((3,)), low=(1,), high=(0,))
    ops.pad(x.astype("float64"), low=(1,), high=(0,))
    assert len(ops.pad.plans) == 4


@pytest.mark.usefixtures("own_registry")
def test_a_dynamic_attribute_takes_no_part_in_the_plan() -> None:
    seen: list[float] = []

    @composite()
    def step(x: Tensor, /, *, lr: Dynamic[float], decay: float = 0.0) -> Tensor:
        """A step."""
        seen.append(lr)
        return x * lr + decay

    x = tensor([1.0])
    assert [step(x, lr=lr).item() for lr in (0.5, 0.25, 0.125)] == [0.5, 0.25, 0.125]
    assert len(step.plans) == 1 and seen == [0.5, 0.5, 0.25, 0.125]
    step(x, lr=0.5, decay=1.0)
    assert len(step.plans) == 2


def test_plans_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_PLAN_LIMIT", 3)
    monkeypatch.setattr(ops.neg, "plans", {})
    for extent in range(10):
        ops.neg(zeros(extent))
        assert len(ops.neg.plans) <= 3


def test_an_error_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(ShapeError):
            zeros(2) + zeros(3)
    with pytest.raises(ArgumentError):
        ops.clip(zeros(2), low=0.0)


def test_infer_gives_specs_without_arrays() -> None:
    assert dispatch.infer(ops.matmul, [Spec((2, 3), "float32"), Spec((3, 1), "float32")], {}) == Spec(
        (2, 1), "float32"
    )
    values = ops.batch_norm.bind({})
    specs = dispatch.infer(ops.batch_norm, [Spec((2, 3, 4), "float64"), None, None], values)
    assert [spec.shape for spec in specs] == [(2, 3, 4), (3,), (3,)]
