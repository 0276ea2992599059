"""Memory of other libraries as tensors: shared, never written, and refused with the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toy_backend import Toy

import grilly
from grilly_core import ops
from grilly_core.errors import ArgumentError, DTypeError, UnsupportedOpError


class Elsewhere:
    """An array on a device that NumPy cannot read."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("it lies on a GPU")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def test_memory_is_shared() -> None:
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = grilly.from_dlpack(host, backend="numpy")
    host[1, 2] = -7.0
    assert x.backend == "numpy" and x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, -7.0]]
    assert np.shares_memory(np.from_dlpack(x), host)


def test_updates_do_not_write_into_it() -> None:
    host = np.ones(300, np.float32)
    x = grilly.from_dlpack(host, backend="numpy")
    assert not x._backend.is_exclusive(x._data)
    view = x.reshape(30, 10)
    del x
    assert not view._backend.is_exclusive(view._data)
    (made,) = ops.sgd_update([view], [view], [], lr=0.5)
    assert made.numpy().max() == 0.5 and host.min() == 1.0


def test_what_cannot_be_shared() -> None:
    with pytest.raises(ArgumentError, match=r"list has no __dlpack__.*grilly\.tensor"):
        grilly.from_dlpack([1.0], backend="numpy")
    with pytest.raises(UnsupportedOpError, match=r"Elsewhere: it lies on a GPU.*grilly\.tensor"):
        grilly.from_dlpack(Elsewhere(), backend="numpy")
    with pytest.raises(DTypeError, match="int64 cannot be shared"):
        grilly.from_dlpack(np.ones(2, np.int64), backend="numpy")
    with pytest.raises(UnsupportedOpError, match="backend toy cannot share memory"):
        grilly.from_dlpack(np.ones(2, np.float32), backend=Toy())
