"""The golden case of a converted network: its rates, and those of the network it is made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import Golden, close, load, params

import grilly.functional as F
from grilly import nn
from grilly_core import selection
from grilly_core.autograd import no_grad
from grilly_core.tensor import tensor

_RATE = 5e-3
"""The largest neuron lands exactly on the threshold, so one spike of T more or less may fall to rounding."""


def network(case: Golden, dtype: str, backend: str) -> Any:
    layers: list[Any] = []
    for weight in [case[f"p_{i}_weight"] for i in (0, 2, 4)]:
        layers += [nn.Linear(weight.shape[1], weight.shape[0]), nn.ReLU()]
    net: Any = nn.Sequential(*layers[:-1])
    net.to(backend, dtype=dtype)
    net.load_state_dict({key: case[f"p_{key.replace('.', '_')}"].astype(dtype) for key in net.state_dict()})
    return net


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("name", params("converter"))
def test_rates_of_the_converted_network(name: str, mode: str, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case = load(name)
    net = network(case, dtype, backend)
    x = tensor(case["x"].astype(dtype), backend=backend)
    close(net(x), case["y_ann"], dtype, "the network that is converted")
    snn = nn.Converter(mode=case.args["mode"])(net, x)
    F.set_step_mode(snn, mode)
    with no_grad():
        rates = F.multi_step_forward(snn, x, T=case.args["T"], repeat=True).mean(0)
    assert rates.backend == backend
    assert rates.dtype == dtype
    np.testing.assert_allclose(rates.numpy(), case["y_snn"], rtol=0, atol=_RATE)
