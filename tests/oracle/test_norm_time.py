"""Golden cases of the norms over time, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, Golden, close, load, params

from grilly import nn
from grilly_core import selection
from grilly_core.ops import stack
from grilly_core.tensor import tensor


def build(case: Golden, dtype: str, backend: str, **more: Any) -> Any:
    """The layer of a case with its parameters."""
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    layer = getattr(nn, case.layer)(**case.args, **more).to(backend, dtype=dtype)
    own = {name: value.numpy() for name, value in layer.state_dict().items()}
    given = {name: case[f"p_{name}"].astype(dtype) for name in own if f"p_{name}" in case}
    assert given.keys() == {name for name, _ in layer.named_parameters()}
    layer.load_state_dict({**own, **given})
    return layer


def check_gradients(case: Golden, layer: Any, x: Any, y: Any, dtype: str, backend: str) -> None:
    (y * tensor(case["g_y"].astype(dtype), backend=backend)).sum().backward()
    close(x.grad, case["d_x"], dtype, "gradient at x", GRADIENTS)
    for name, parameter in layer.named_parameters():
        close(parameter.grad, case[f"d_{name}"], dtype, f"gradient at {name}", GRADIENTS)


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("bntt", "tdbn", "tebn"))
def test_batch_norms(name: str, dtype: str, backend: str) -> None:
    case = load(name)
    layer = build(case, dtype, backend)
    x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
    y = layer(x)
    close(y, case["y"], dtype, "y")
    check_gradients(case, layer, x, y, dtype, backend)
    for running in ("running_mean", "running_var"):
        close(getattr(layer, running), case[running], dtype, running)
    close(layer.eval()(x), case["y_eval"], dtype, "y in evaluation")


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("name", params("neunorm"))
def test_neunorm(name: str, mode: str, dtype: str, backend: str) -> None:
    case = load(name)
    layer = build(case, dtype, backend, step_mode=mode)
    x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
    y = layer(x) if mode == "m" else stack([layer(step) for step in x])
    close(y, case["y"], dtype, "y")
    check_gradients(case, layer, x, y, dtype, backend)
