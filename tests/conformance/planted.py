"""Backends with one fault each, registered when pytest loads this module with ``-p planted``."""

from __future__ import annotations

from typing import Any

import numpy as np
from changed_backend import Changed, Changes

from grilly import backends
from grilly_core.extend import API_VERSION, Backend, BackendInfo, hookimpl, ops


def spike(device: Any, u: Any, /, *, surrogate: Any) -> Any:
    """``>`` for ``>=``."""
    return (u > 0).astype(u.dtype)


def lif_multi_step(
    device: Any,
    x: Any,
    v: Any,
    /,
    *,
    k: Any,
    v_threshold: Any,
    v_reset: Any,
    decay_input: Any,
    detach_reset: Any,
    surrogate: Any,
    save_h: Any,
) -> Any:
    """``>`` for ``>=``, the rest as it should be."""
    number = x.dtype.type
    s, h = np.empty_like(x), np.empty_like(x)
    for t in range(len(x)):
        leak = v - number(v_reset or 0)
        h[t] = v + (x[t] - leak) * number(k) if decay_input else (v - leak * number(k)) + x[t]
        s[t] = h[t] > number(v_threshold)
        if v_reset is None:
            v = h[t] - s[t] * number(v_threshold)
        else:
            v = (number(1) - s[t]) * h[t] + s[t] * number(v_reset)
    return (s, v, h) if save_h else (s, v)


def one_off(device: Any, x: Any, /, *, axis: Any, keepdims: Any) -> Any:
    """A sum that forgets the last element of long rows, as a kernel without a tail does."""
    if len(axis) == 1 and x.shape[axis[0]] > 64:
        x = x[(slice(None),) * axis[0] + (slice(None, x.shape[axis[0]] // 64 * 64),)]
    return np.asarray(x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype))


FAULTS: dict[str, Changes] = {
    "sound": {},
    "wrong-spike": {ops.spike: spike},
    "wrong-lif": {ops.lif_multi_step: lif_multi_step},
    "wrong-sum": {ops.sum: one_off},
    "no-tanh": {ops.tanh: None},
}


class _Planted(Changed):
    def __init__(self, name: str, device: str | None) -> None:
        super().__init__(name, FAULTS[name], device)
        if name == "sound":
            self.features = frozenset({"host_memory"})
            self.dtypes = self.dtypes - {"float64"}


class _Plugin:
    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def grilly_backend(self) -> BackendInfo:
        def open_planted(device: str | None, automatic: bool) -> Backend:
            return _Planted(self.name, device)

        return BackendInfo(name=self.name, api_version=API_VERSION, open=open_planted)


for _name in FAULTS:
    backends.register(_Plugin(_name), _name)
