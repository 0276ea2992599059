"""What a backend says of itself, and that it has every primitive."""

from __future__ import annotations

import numpy as np
import pytest

from grilly_core.backend import FEATURES, Backend, Kernel, make_kernel
from grilly_core.config import split_backend
from grilly_core.errors import ConfigError
from grilly_core.op import Op
from grilly_core.plugins import available, kernel_for, load, open_backend
from grilly_core.spec import DTYPES, Spec
from grilly_core.testing.case import case_for, meaning_of, misuses_of
from grilly_core.testing.plugin import each_op


def _kernel(op: Op, backend: Backend) -> Kernel:
    kernel = kernel_for(op, backend)
    assert kernel is not None, f"{op.name} has no kernel"
    return kernel


def test_opens_by_name(backend: Backend, pytestconfig: pytest.Config) -> None:
    name, device = split_backend(pytestconfig.getoption("grilly_backend"), "--grilly-backend")
    assert backend.name == name
    assert load(name).name == name
    assert name in available()
    assert open_backend(name, device) is backend


def test_says_what_it_is(backend: Backend) -> None:
    assert backend.device, "the device in words is what reports and error messages show"
    assert set(DTYPES) - {"float64"} <= backend.dtypes <= set(DTYPES)
    assert backend.features <= FEATURES, f"unknown features {backend.features - FEATURES}"
    assert "float64" not in backend.features or "float64" in backend.dtypes


def test_refuses_a_device_it_does_not_have(backend: Backend) -> None:
    with pytest.raises(ConfigError, match="no such device"):
        open_backend(backend.name, "no such device")


def test_full(backend: Backend) -> None:
    for dtype in sorted(backend.dtypes):
        handle = backend.full((2, 3), 1, dtype)
        assert backend.spec(handle) == Spec((2, 3), dtype)
        made = backend.to_numpy(handle).reshape(2, 3)
        assert made.dtype.name == dtype
        np.testing.assert_array_equal(made, np.ones((2, 3)))
        assert backend.spec(backend.full((), 0, dtype)) == Spec((), dtype)
        assert backend.spec(backend.full((0, 2), 0, dtype)) == Spec((0, 2), dtype)
    assert backend.to_numpy(backend.full((1,), float("-inf"), "float32"))[0] == -np.inf
    backend.synchronize()


@each_op(lambda op, backend: op.is_primitive)
def test_primitive_is_native(backend: Backend, op: Op) -> None:
    kernel = _kernel(op, backend)
    assert kernel.dtypes & backend.dtypes, (
        f"the kernel takes {sorted(kernel.dtypes)}, none of the backend's dtypes"
    )


@each_op(lambda op, backend: kernel_for(op, backend) is not None)
def test_signature(backend: Backend, op: Op) -> None:
    make_kernel(op, _kernel(op, backend).function, dtypes=_kernel(op, backend).dtypes)


@each_op(lambda op, backend: True)
def test_every_op_has_a_case(op: Op) -> None:
    case_for(op)
    assert misuses_of(op), f"no call that {op.name} must refuse; register one with misuse({op.name}, ...)"
    assert op.body is not None or meaning_of(op), (
        f"the primitive {op.name} has no meaning in NumPy; see means()"
    )
