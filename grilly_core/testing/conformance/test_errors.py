"""Calls that do not fit an op are refused with the declared error before any kernel is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from grilly_core import plugins
from grilly_core.backend import Backend
from grilly_core.errors import BackendMismatchError, DTypeError
from grilly_core.op import Op
from grilly_core.selection import using
from grilly_core.tensor import tensor
from grilly_core.testing.case import misuses_of
from grilly_core.testing.evaluate import place
from grilly_core.testing.plugin import each_op


@each_op(lambda op, backend: bool(misuses_of(op)))
def test_misuse(backend: Backend, op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(op: Op, backend: Backend) -> None:
        raise AssertionError(f"a kernel of {op.name} was looked for before the call was checked")

    monkeypatch.setattr(plugins, "kernel_for", too_late)
    for misuse in misuses_of(op):
        args = [
            [place(item, backend) for item in arg]
            if isinstance(arg, list)
            else arg
            if arg is None
            else place(arg, backend)
            for arg in misuse.args
        ]
        with using(backend), pytest.raises(misuse.error) as caught:
            op(*args, **misuse.attrs) if op.inputs else op.on(backend, **misuse.attrs)
        assert str(caught.value), "an error must say what is wrong"


def test_float64_where_there_is_none(backend: Backend) -> None:
    if "float64" in backend.dtypes:
        pytest.skip("this backend has float64")
    with pytest.raises(DTypeError, match="float64"):
        tensor(np.ones(2), backend=backend)


def test_two_backends_in_one_call(backend: Backend, reference: Backend) -> None:
    if backend is reference:
        pytest.skip("the backend under test is the reference")
    with pytest.raises(BackendMismatchError, match=backend.name):
        tensor([1.0], backend=backend) + tensor([1.0], backend=reference)
