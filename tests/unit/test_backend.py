"""The table of kernels: what it takes, and what it says of a kernel that does not fit its op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toy_backend import Toy

from grilly_core import ops
from grilly_core.backend import Backend, Kernel, KernelTable, flat_specs, make_kernel
from grilly_core.errors import KernelError
from grilly_core.spec import DTYPES, Spec

F32, F64 = Spec((2,), "float32"), Spec((2,), "float64")


def add(device: Any, x: Any, y: Any, /) -> Any:
    return x + y


def test_a_table_holds_kernels_by_op() -> None:
    table = KernelTable("mine")
    assert table.register(ops.add, dtypes={"float32"})(add) is add
    assert ops.add in table and ops.mul not in table and list(table) == [ops.add] and len(table) == 1
    kernel = table.get(ops.add)
    assert kernel == Kernel(add, frozenset({"float32"}), None, "mine") and table.get(ops.mul) is None


def test_a_second_kernel_is_refused() -> None:
    table = KernelTable("mine")
    table.register(ops.add)(add)
    with pytest.raises(KernelError, match="mine: op add already has a kernel; remove one of the two"):
        table.register(ops.add)(add)


def test_all_dtypes_unless_told() -> None:
    assert make_kernel(ops.add, add).dtypes == set(DTYPES)
    with pytest.raises(
        KernelError, match=r"kernel of add: unknown dtypes \['float16'\]; known are float32, float64"
    ):
        make_kernel(ops.add, add, dtypes={"float16", "float32"})


def _kernels() -> list[Any]:
    def none() -> Any: ...
    def too_few(device: Any, x: Any, /) -> Any: ...
    def other_names(device: Any, a: Any, b: Any, /) -> Any: ...
    def either_kind(device: Any, x: Any, y: Any) -> Any: ...
    def too_many(device: Any, x: Any, y: Any, /, *, scale: Any) -> Any: ...
    def anything(device: Any, *args: Any) -> Any: ...
    def defaults(device: Any, x: Any, y: Any = None, /) -> Any: ...

    wanted = r"does not fit op add: it must take \(device, x, y, /\), it takes \("
    rows = [(f, wanted) for f in (too_few, other_names, either_kind, too_many, anything)]
    rows.append((none, "of op add takes no backend: its first parameter must be one"))
    rows.append((defaults, "of op add gives defaults for y; the op's declaration has them"))
    return [pytest.param(f, message, id=f.__name__) for f, message in rows]


@pytest.mark.parametrize("kernel, message", _kernels())
def test_a_signature_that_does_not_fit(kernel: Any, message: str) -> None:
    with pytest.raises(KernelError, match=rf"kernel .*test_backend.*\.{kernel.__name__} {message}"):
        KernelTable("mine").register(ops.add)(kernel)


def test_attributes_belong_to_the_signature() -> None:
    def clip(device: Any, x: Any, /, *, low: Any, high: Any) -> Any: ...
    def swapped(device: Any, x: Any, /, *, high: Any, low: Any) -> Any: ...

    make_kernel(ops.clip, clip)
    with pytest.raises(KernelError, match=r"must take \(device, x, /, \*, low, high\)"):
        make_kernel(ops.clip, swapped)


def test_a_kernel_declines_by_dtype_then_by_its_own_words() -> None:
    kernel = make_kernel(
        ops.add, add, dtypes={"float32", "int32"}, when=lambda x, y: "too short" if x.size < 2 else None
    )
    assert kernel.declines([F32, F32], {}) is None
    assert kernel.declines([F32, F64], {}) == "its kernel takes float32, int32, not float64"
    assert kernel.declines([Spec((1,), "float32"), F32], {}) == "too short"


def test_when_sees_attributes_lists_and_absent_arguments() -> None:
    seen: list[Any] = []

    def when(*specs: Any, **attrs: Any) -> None:
        seen.append((specs, attrs))

    def linear(device: Any, x: Any, weight: Any, bias: Any, /) -> Any: ...
    def concat(device: Any, xs: Any, /, *, axis: Any) -> Any: ...

    make_kernel(ops.linear, linear, when=when).declines([F32, F32, None], {})
    kernel = make_kernel(ops.concat, concat, dtypes={"float32"}, when=when)
    assert kernel.declines([[F32, F32]], {"axis": 1}) is None
    assert kernel.declines([[F32, F64]], {"axis": 1}) == "its kernel takes float32, not float64"
    assert seen == [((F32, F32, None), {}), (([F32, F32],), {"axis": 1})]


def test_flat_specs() -> None:
    assert list(flat_specs([F32, None, [F64, F32], []])) == [F32, F64, F32]


def test_a_backend_needs_its_four_methods() -> None:
    class Half(Backend):
        def from_numpy(self, array: np.ndarray) -> Any:
            return array

    with pytest.raises(TypeError, match=r"abstract methods? .*full.*spec.*to_numpy"):
        Half()  # type: ignore[abstract]


def test_what_every_backend_has_without_doing_anything() -> None:
    toy = Toy()
    toy.synchronize()
    toy.close()
    assert repr(toy) == "<backend toy: a toy>"
