"""The gradient of short-term plasticity: at the input alone, whether there was a spike being constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_vjp

from grilly_core import ops
from grilly_core.tensor import tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

ATTRS: dict[str, Any] = {"decay_u": 0.9, "decay_r": 0.97, "use": 0.3}


def case(*shape: int) -> list[np.ndarray]:
    """x away from 0, where spikes begin; u and r."""
    rng = np.random.default_rng(len(shape))
    x = rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    return [x, rng.uniform(0.0, 0.5, shape[1:]), rng.uniform(0.2, 1.0, shape[1:])]


@pytest.mark.parametrize("shape", [(6, 2, 3), (1, 4), (5,)])
def test_gradient_at_x_is_the_derivative(shape: tuple[int, ...]) -> None:
    x, u, r = case(*shape)
    states = tensor(u), tensor(r)
    check_vjp(lambda x: ops.stp_synapse(x, *states, **ATTRS)[0], [x])


def test_the_body_has_the_same_gradient_and_nothing_flows_to_u_and_r() -> None:
    for run in (ops.stp_synapse, ops.stp_synapse.body):
        assert run is not None
        x, u, r = (tensor(a, requires_grad=True) for a in case(6, 3))
        y, u_last, r_last = run(x, u, r, **ATTRS)
        assert not u_last.requires_grad and not r_last.requires_grad
        y.sum().backward()
        assert u.grad is None and r.grad is None and x.grad is not None
        # y = x u R where x > 0: at the input arrives u R.
        fired = x.numpy() > 0
        assert fired.any() and not fired.all()
        np.testing.assert_allclose(
            x.grad, np.where(fired, y.numpy() / x.numpy(), 0.0), rtol=1e-12, err_msg=str(run)
        )
