"""Golden cases of encoders, on every backend."""

from __future__ import annotations

import numpy as np
import pytest
from backends_under_test import backend_params
from oracle.golden import load, params

from grilly import functional
from grilly_core import selection
from grilly_core.tensor import tensor


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", params("encoder"))
def test_encoder(name: str, dtype: str, backend: str) -> None:
    if dtype not in selection.resolve(backend).dtypes:
        pytest.skip(f"backend {backend} has no {dtype}")
    case = load(name)
    spikes = getattr(functional, case.layer)(tensor(case["x"].astype(dtype), backend=backend), **case.args)
    assert spikes.dtype == dtype and spikes.backend == backend
    np.testing.assert_array_equal(spikes, case["y"])
