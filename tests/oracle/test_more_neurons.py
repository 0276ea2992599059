"""More neurons and recurrent containers against SpikingJelly 2.0.0: spikes, states and gradients in ``more_neurons.npz``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, close

import grilly
from grilly import nn
from grilly_core import ops, selection
from grilly_core.tensor import Tensor, tensor

with np.load(Path(__file__).with_name("more_neurons.npz")) as _file:
    ARRAYS = {name: _file[name] for name in _file.files}
CASES: list[dict[str, Any]] = json.loads(str(ARRAYS.pop("meta")))["cases"]
ROWS = [pytest.param(i, id=f"{i}-{case['layer']}") for i, case in enumerate(CASES)]


def build(layer: str, args: dict[str, Any], mode: str) -> Any:
    args = {**args, "step_mode": mode}
    if layer == "LinearRecurrentContainer":
        return nn.LinearRecurrentContainer(nn.Sequential(nn.Linear(6, 3), nn.LIFNode()), **args)
    if layer == "ElementWiseRecurrentContainer":
        return nn.ElementWiseRecurrentContainer(nn.LIFNode(v_reset=None), lambda y, x: x + y * 0.5, **args)
    return getattr(nn, layer)(**args)


def modes(case: dict[str, Any]) -> tuple[str, ...]:
    """The step modes in which a layer can give these results."""
    only_whole = (
        case["layer"] == "PSN" or case["args"].get("lambda_init", 1.0) < 1.0 or case["args"].get("decode")
    )
    return ("m",) if only_whole else ("m", "s")


def run(net: Any, x: Tensor, mode: str) -> Tensor:
    out: Tensor = net(x) if mode == "m" else ops.stack([net(x[t]) for t in range(x.shape[0])])
    return out


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", ROWS)
def test_layer(number: int, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case, start = CASES[number], f"{number}_"
    held = {name.removeprefix(start): a for name, a in ARRAYS.items() if name.startswith(start)}
    learned = [name for name in held if name.startswith("p_")]
    for mode in modes(case):
        with grilly.backend(backend):
            net = build(case["layer"], case["args"], mode).to(backend, dtype=dtype)
            net.load_state_dict({name[2:]: held[name].astype(dtype) for name in learned}, strict=False)
            x = tensor(held["x"].astype(dtype), backend=backend, requires_grad=True)
            y = run(net, x, mode)
            if case["layer"] == "NonSpikingLIFNode":
                close(y, held["y"], dtype, "potentials")
            else:
                np.testing.assert_array_equal(y, held["y"], err_msg=f"spikes in {mode}")
            for state in {"v", "w", "c"} & set(held):
                close(getattr(net, state), held[state], dtype, state)
            y.backward(tensor(held["g_y"].astype(dtype), backend=backend))
        assert x.grad is not None
        close(x.grad, held["d_x"], dtype, f"gradient at x in {mode}", GRADIENTS)
        parameters = dict(net.named_parameters())
        assert set(parameters) == {name[2:] for name in learned}
        for name, parameter in parameters.items():
            assert parameter.grad is not None
            close(parameter.grad, held[f"d_{name}"], dtype, f"gradient at {name} in {mode}", GRADIENTS)


def test_every_layer_with_a_counterpart_there_is_covered() -> None:
    layers = {case["layer"] for case in CASES}
    assert len(layers) == 13 and all(hasattr(nn, layer) for layer in layers)
