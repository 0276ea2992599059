"""Plasticity on NumPy: blocks and threads change no bit, the kernels say what the declared bodies say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core.op import registry
from grilly_core.tensor import tensor
from grilly_numpy.kernels import neuron, plasticity

WINDOW: dict[str, Any] = dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)


def spikes(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng([seed, *shape]).random(shape) < 0.3).astype(np.float32)


def by_body(name: str, args: list[Any], attrs: dict[str, Any]) -> list[np.ndarray]:
    op = registry()[name]
    placed = [None if a is None else tensor(a, backend="numpy") for a in args]
    return [y.numpy() for y in op.run_body(placed, op.bind(attrs))]


@pytest.mark.parametrize("block", [64, 1 << 19])
def test_traces_of_many_neurons(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron, "_BLOCK_BYTES", block)
    s, start = spikes(7, 3, 1031), np.random.default_rng(1).random((3, 1031)).astype(np.float32)
    for given in (None, start):
        found = plasticity.stdp_trace(None, s, given, tau=3.0)
        for a, b in zip(found, by_body("stdp_trace", [s, given], {"tau": 3.0}), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "weight, pre, post, window",
    [
        ((5, 7), (6, 3, 7), (6, 3, 5), {}),
        ((4, 3, 3), (4, 2, 3, 11), (4, 2, 4, 5), dict(stride=(2,), padding=(0,), dilation=(1,))),
        ((4, 2, 3, 2), (3, 2, 4, 7, 6), (3, 2, 4, 4, 4), WINDOW),
        ((5, 7), (2, 0, 7), (2, 0, 5), {}),
    ],
)
def test_updates_are_those_of_the_body(
    weight: tuple[int, ...], pre: tuple[int, ...], post: tuple[int, ...], window: dict[str, Any], dtype: str
) -> None:
    rng = np.random.default_rng(0)
    args = [a.astype(dtype) for a in (rng.standard_normal(weight), spikes(*pre), spikes(*post, seed=1))]
    kept = [rng.random(shape[1:]).astype(dtype) for shape in (pre, post)]
    close = dict(rtol=1e-5, atol=1e-5) if dtype == "float32" else dict(rtol=1e-12, atol=1e-12)
    stdp: dict[str, Any] = dict(tau_pre=3.0, tau_post=2.0, a_pre=0.3, a_post=0.4, w_min=-1.0, w_max=1.5)
    before = [a.copy() for a in (*args, *kept)]
    calls = [("stdp_update", [*args, *kept], {**stdp, **window})]
    calls += [("hebbian_update", args, {"lr": 0.5, "decay": 0.25, **window})] * bool(pre[1])
    for name, given, attrs in calls:
        with grilly.require_native():
            made = registry()[name](*[tensor(a, backend="numpy") for a in given], **attrs)
        made = made if isinstance(made, tuple) else (made,)
        for found, wanted in zip(made, by_body(name, given, attrs), strict=True):
            np.testing.assert_allclose(found.numpy(), wanted, **close)
    for a, b in zip((*args, *kept), before, strict=True):
        np.testing.assert_array_equal(a, b)
