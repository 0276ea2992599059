"""Every neuron of the golden cases, in both step modes, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, Golden, close, load, params

from grilly import nn
from grilly_core import selection
from grilly_core.tensor import tensor

CASES = params("neuron")


def build(case: Golden, mode: str, dtype: str, backend: str) -> Any:
    args = dict(case.args)
    surrogate, alpha = args.pop("surrogate_function")
    node = getattr(nn, case.layer)(
        **args, surrogate_function=getattr(nn, surrogate)(alpha=alpha), step_mode=mode, store_v_seq=True
    )
    node.to(backend, dtype=dtype)
    if "p_w" in case:
        node.load_state_dict({"w": case["p_w"].astype(dtype)})
    return node


def run(node: Any, x: Any, mode: str) -> tuple[Any, list[Any]]:
    """Spikes of all steps as the node gives them, and the potentials after each."""
    if mode == "m":
        y = node(x)
        return y, list(node.v_seq)
    spikes, potentials = [], []
    for step in x:
        spikes.append(node(step))
        potentials.append(node.v)
    return spikes, potentials


def weighed(results: Any, weights: Any) -> Any:
    """The inner product that the case's gradients are of."""
    if isinstance(results, list):
        total = (results[0] * weights[0]).sum()
        for y, g in zip(results[1:], list(weights)[1:], strict=True):
            total = total + (y * g).sum()
        return total
    return (results * weights).sum()


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("name", CASES)
def test_neuron(name: str, mode: str, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case = load(name)

    def given(key: str) -> Any:
        return tensor(case[key].astype(dtype), backend=backend)

    node = build(case, mode, dtype, backend)
    x = given("x").requires_grad_()
    y, potentials = run(node, x, mode)
    spikes = np.stack([np.asarray(step) for step in y])
    assert spikes.dtype == dtype
    np.testing.assert_array_equal(spikes, case["y"], err_msg="spikes")
    close(node.v, case["v"], dtype, "v")
    close(np.stack([v.numpy() for v in potentials]), case["v_seq"], dtype, "v_seq")
    assert y[0].backend == backend and node.v.backend == backend

    (weighed(y, given("g_y")) + (node.v * given("g_v")).sum()).backward()
    close(x.grad, case["d_x"], dtype, "gradient at x", GRADIENTS)
    if "d_w" in case:
        close(node.w.grad, case["d_w"], dtype, "gradient at w", GRADIENTS)
