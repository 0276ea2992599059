"""Golden cases of what exists besides neurons, and the list of what does not exist yet.

Threshold-dependent batch norm is batch norm over time and batch with another initial weight, temporal effective batch
norm multiplies that by a number per step, and batch norm through time is one per step, so those cases check
``BatchNorm1d`` and ``BatchNorm2d`` in step mode 'm'.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import GRADIENTS, Golden, close, kinds, load, names, params

from grilly import functional, nn
from grilly_core import selection
from grilly_core.ops import stack
from grilly_core.tensor import tensor

COVERED = {"neuron", "stdp", "encoder", "converter", "bntt", "synapse", "tdbn", "tebn"}

NOT_YET = {
    "attention": ("SpikingSelfAttention", "QKAttention"),
    "bntt": ("BatchNormThroughTime1d", "BatchNormThroughTime2d"),
    "neunorm": ("NeuNorm",),
    "tdbn": ("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d"),
    "tebn": ("TemporalEffectiveBatchNorm1d", "TemporalEffectiveBatchNorm2d"),
    "twa": ("TemporalWiseAttention",),
}
"""Kinds of cases and the layers they are of, which grilly does not have; the day it does, they are to be tested here."""


def test_every_kind_of_case_is_known() -> None:
    assert kinds(names()) <= COVERED | set(NOT_YET)


def test_every_layer_of_the_cases_is_known() -> None:
    known = {
        "IFNode",
        "LIFNode",
        "ParametricLIFNode",
        "Converter",
        "SynapseFilter",
        "latency_encode",
        "stdp_update",
        *(layer for row in NOT_YET.values() for layer in row),
    }
    assert {load(name).layer for name in names()} <= known


@pytest.mark.parametrize("layer", [layer for row in NOT_YET.values() for layer in row])
def test_a_layer_that_exists_is_not_listed_as_missing(layer: str) -> None:
    assert not hasattr(nn, layer) and not hasattr(functional, layer), f"test the golden cases of {layer} here"


def ready(dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")


def joint(case: Golden, dtype: str, backend: str, **more: np.ndarray) -> Any:
    """Batch norm with the case's parameters."""
    channels, spatial = case["x"].shape[2], case["x"].ndim == 5
    norm: Any = (nn.BatchNorm2d if spatial else nn.BatchNorm1d)(channels, step_mode="m")
    norm.to(backend, dtype=dtype)
    state = {"weight": case["p_weight"], "bias": np.zeros(channels), **more}
    norm.load_state_dict(
        {**norm.state_dict(), **{name: array.astype(dtype) for name, array in state.items()}}
    )
    return norm


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("tdbn", "tebn"))
def test_batch_norm_over_time_and_batch(name: str, dtype: str, backend: str) -> None:
    ready(dtype, backend)
    case = load(name)
    norm = joint(case, dtype, backend, bias=case["p_bias"])
    x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
    steps = case["x"].shape[0]
    scale = case["p_scale"] if "p_scale" in case else np.ones(steps)
    factor = tensor(
        scale.astype(dtype).reshape(steps, *[1] * (x.ndim - 1)), backend=backend, requires_grad=True
    )
    y = norm(x) * factor
    close(y, case["y"], dtype, "y")
    (y * tensor(case["g_y"].astype(dtype), backend=backend)).sum().backward()
    close(x.grad, case["d_x"], dtype, "gradient at x", GRADIENTS)
    close(norm.weight.grad, case["d_weight"], dtype, "gradient at weight", GRADIENTS)
    close(norm.bias.grad, case["d_bias"], dtype, "gradient at bias", GRADIENTS)
    if "d_scale" in case:
        assert factor.grad is not None
        close(factor.grad.reshape(steps), case["d_scale"], dtype, "gradient at scale", GRADIENTS)
    close(norm.running_mean, case["running_mean"], dtype, "running mean")
    close(norm.running_var, case["running_var"], dtype, "running variance")
    norm.eval()
    close(norm(x) * factor, case["y_eval"], dtype, "y in evaluation")


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("bntt"))
def test_a_batch_norm_per_step(name: str, dtype: str, backend: str) -> None:
    ready(dtype, backend)
    case = load(name)
    x = tensor(case["x"].astype(dtype), backend=backend, requires_grad=True)
    norms = [joint(case, dtype, backend, weight=weight) for weight in case["p_weight"]]
    y = stack([norm(x[t : t + 1])[0] for t, norm in enumerate(norms)])
    close(y, case["y"], dtype, "y")
    (y * tensor(case["g_y"].astype(dtype), backend=backend)).sum().backward()
    close(x.grad, case["d_x"], dtype, "gradient at x", GRADIENTS)
    found = np.stack([norm.weight.grad.numpy() for norm in norms])
    close(found, case["d_weight"], dtype, "gradient at weight", GRADIENTS)
    for running in ("running_mean", "running_var"):
        found = np.stack([getattr(norm, running).numpy() for norm in norms])
        close(found, case[running], dtype, running)
