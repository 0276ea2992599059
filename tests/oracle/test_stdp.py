"""Golden cases of spike-timing-dependent plasticity: the change of a weight, at once and in two halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import VALUES, close, load, params

from grilly import functional as F
from grilly_core import selection
from grilly_core.tensor import tensor


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("stdp"))
def test_stdp_update(name: str, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case = load(name)
    weight, pre, post = (
        tensor(case[key].astype(dtype), backend=backend) for key in ("p_weight", "pre", "post")
    )
    wanted = case["p_weight"] + case["dw"]
    at_once, *traces = F.stdp_update(weight, pre, post, **case.args)
    close(at_once, wanted, dtype, "weight")
    half, *kept = F.stdp_update(weight, pre[:3], post[:3], **case.args)
    again, *after = F.stdp_update(half, pre[3:], post[3:], *kept, **case.args)
    close(again, wanted, dtype, "weight in two halves")
    for found, expected in zip(after, traces, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    changed: Any = F.stdp_update(weight, pre, post, **{**case.args, "a_post": case.args["a_post"] * 1.001})[0]
    assert np.abs(changed.numpy() - wanted).max() > VALUES[dtype] * np.abs(wanted).max()
