"""Golden cases of attention, over tokens and over time steps, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, Golden, close, load, params

from grilly import nn
from grilly_core import selection
from grilly_core.tensor import Tensor, tensor

_PARTS = {"weight": "proj.weight", "gamma": "norm.weight", "beta": "norm.bias"}
_FLIPS = 1e-3
"""Share of spikes that may differ in float32, where a sum lands on the threshold."""


def name_of(key: str, layer: str) -> str:
    """Our name of the parameter that a case calls ``key``."""
    if layer == "TemporalWiseAttention":
        return key
    stage, part = key.split("_")
    return f"{stage}_{_PARTS[part]}"


def run(case: Golden, dtype: str, backend: str) -> tuple[Any, Tensor, Tensor]:
    """The layer after forward and backward, its input and its output."""
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    layer: Any = getattr(nn, case.layer)(**case.args).to(backend, dtype=dtype)
    given = {name_of(key[2:], case.layer): case[key] for key in case.arrays if key.startswith("p_")}
    assert given.keys() == {name for name, _ in layer.named_parameters()}
    layer.load_state_dict(
        {**layer.state_dict(), **{name: value.astype(dtype) for name, value in given.items()}}
    )
    x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
    y = layer(x)
    assert y.dtype == dtype and y.backend == backend
    (y * tensor(case["g_y"].astype(dtype), backend=backend)).sum().backward()
    return layer, x, y


def check_gradients(case: Golden, layer: Any, x: Tensor, dtype: str) -> None:
    close(x.grad, case["d_x"], dtype, "gradient at x", GRADIENTS)
    found = {name: parameter.grad for name, parameter in layer.named_parameters()}
    keys = [key for key in case.arrays if key.startswith("d_") and key != "d_x"]
    assert keys
    for key in keys:
        close(found[name_of(key[2:], case.layer)], case[key], dtype, f"gradient at {key[2:]}", GRADIENTS)


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("attention"))
def test_attention_over_tokens(name: str, dtype: str, backend: str) -> None:
    case = load(name)
    layer, x, y = run(case, dtype, backend)
    if dtype == "float64":
        np.testing.assert_array_equal(y.numpy(), case["y"])
        check_gradients(case, layer, x, dtype)
    else:
        flipped = (y.numpy() != case["y"]).mean()
        assert flipped <= _FLIPS, f"{flipped:.2%} of the spikes differ"


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("twa"))
def test_attention_over_steps(name: str, dtype: str, backend: str) -> None:
    case = load(name)
    layer, x, y = run(case, dtype, backend)
    close(y, case["y"], dtype, "y")
    check_gradients(case, layer, x, dtype)
    close(layer.eval()(x.detach()), case["y_eval"], dtype, "y in evaluation")
