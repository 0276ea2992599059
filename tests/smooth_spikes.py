"""Networks made smooth: a fixture for finite differences."""

from __future__ import annotations

from typing import Any

import pytest

from grilly_core import ops, plugins, selection
from grilly_core.backend import Kernel
from grilly_core.spec import FLOATS
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import wrap

__all__ = ["smooth_spike"]


@pytest.fixture
def smooth_spike(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ops.spike`` gives the surrogate's primitive instead of 0 and 1, wherever a body uses it."""

    def spike(device: Any, u: Any, /, *, surrogate: Surrogate) -> Any:
        return surrogate.primitive(wrap(u, device))._data

    backend = selection.resolve("numpy")
    plugins.kernel_for(ops.spike, backend)
    monkeypatch.setitem(backend.__dict__["_kernel_cache"], ops.spike, Kernel(spike, frozenset(FLOATS)))
    monkeypatch.setattr(ops.spike, "plans", {})
