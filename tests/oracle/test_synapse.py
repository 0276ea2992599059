"""Golden cases of the synapses, in both step modes, on every backend; the note of the cases says what each is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, Golden, close, load, params

from grilly import nn
from grilly_core import selection
from grilly_core.ops import stack
from grilly_core.tensor import tensor


def run(layer: nn.Module, x: Any, mode: str) -> Any:
    """The output of all steps."""
    return layer(x) if mode == "m" else stack([layer(x[t]) for t in range(x.shape[0])])


def layers(case: Golden, mode: str) -> list[nn.Module]:
    """The case's filter, fixed and learnable, and as one arm of two."""
    assert case.layer == "SynapseFilter"
    tau = case.args["tau_syn"]
    both = nn.DualTimescaleSynapse(tau, 3.0 * tau, w_fast=1.0, w_slow=0.0, step_mode=mode)
    learnable = nn.SynapseFilter(**case.args, learnable=True, step_mode=mode)
    return [nn.SynapseFilter(**case.args, step_mode=mode), learnable, both]


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("name", params("synapse"))
def test_synapse(name: str, mode: str, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case = load(name)
    for layer in layers(case, mode):
        layer.to(backend, dtype=dtype)
        if "w" in dict(layer.named_parameters()):
            # Rounded to float32 when it was made; the case has the exact constant.
            decay = np.exp(-1.0 / case.args["tau_syn"])
            layer.load_state_dict({"w": np.asarray(np.log(decay / (1.0 - decay)), dtype)})
        x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
        y = run(layer, x, mode)
        assert y.backend == backend
        close(y, case["y"], dtype, f"y of {layer!r}")
        (y * tensor(case["g_y"].astype(dtype), backend=backend)).sum().backward()
        close(x.grad, case["d_x"], dtype, f"gradient at x of {layer!r}", GRADIENTS)
