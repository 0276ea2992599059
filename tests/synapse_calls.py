"""Calls of the synapse ops on random numbers, and what their bodies make of them on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.op import Op
from grilly_core.tensor import tensor

__all__ = ["Call", "body", "calls", "sum_scales"]

STP: dict[str, Any] = {"decay_u": 0.9, "decay_r": 0.97, "use": 0.3}


class Call(NamedTuple):
    """An op, arrays or None, attributes."""

    op: Op
    args: tuple[Any, ...]
    attrs: dict[str, Any]


def calls(
    steps: int, shape: tuple[int, ...], dtype: str = "float32", delays: Sequence[int] = (0, 3)
) -> list[Call]:
    """Every op with and without what is optional."""
    rng = np.random.default_rng([steps, *shape])

    def rows(count: int = steps) -> np.ndarray:
        return np.asarray(rng.standard_normal((count, *shape))).astype(dtype)

    def state() -> np.ndarray:
        return np.asarray(rng.uniform(0.0, 1.0, shape)).astype(dtype)

    decay, decay_slow, w_fast, w_slow = (np.array(c, dtype) for c in (0.7, 0.96, 0.6, -0.35))
    coefficients = (decay, decay_slow, w_fast, w_slow)
    filters = []
    for delay in delays:
        line = rows(delay) if delay else None
        filters.append(Call(ops.synapse_filter, (rows(), state(), decay, line), {}))
        filters += [
            Call(ops.synapse_filter_vjp, (rows(), g_last, decay, *kept), {"delay": delay})
            for kept in ((None, None, None), (rows(), state(), line))
            for g_last in (None, state())
        ]
    dual = [
        Call(ops.dual_timescale_vjp, (rows(), *last, *coefficients, *kept), {})
        for kept in ((None, None, None), (rows(), state(), state()))
        for last in ((None, None), (state(), None), (None, state()), (state(), state()))
    ]
    return [
        *filters,
        Call(ops.dual_timescale, (rows(), state(), state(), *coefficients), {}),
        *dual,
        Call(ops.stp_synapse, (rows(), state(), state()), STP),
        Call(ops.stp_synapse_vjp, (rows(), rows(), state(), state()), STP),
    ]


def body(call: Call) -> list[np.ndarray]:
    """The results of the op's body on NumPy, one operation after the other."""
    with no_grad():
        args = [None if a is None else tensor(a, backend="numpy") for a in call.args]
        return [y.numpy() for y in call.op.run_body(args, call.op.bind(call.attrs))]


def sum_scales(call: Call, results: list[np.ndarray]) -> list[float]:
    """Per result, what its rounding is relative to: 0 where bits are equal, for sums a bound of their terms."""
    summed: tuple[int, ...] = ()
    if call.op in (ops.synapse_filter_vjp, ops.dual_timescale_vjp) and any(
        a is not None for a in call.args[-3:]
    ):
        summed = (len(results) - 1,)
    g = call.args[0]
    return [10.0 * float(np.abs(g).sum()) if i in summed else 0.0 for i in range(len(results))]
