"""Random networks give the same outputs, states and gradients on every backend as their primitives on NumPy."""

from __future__ import annotations

import pytest
from backends_under_test import backend_params
from hypothesis import event, given

from grilly_core.selection import resolve

from .draws import grid_plans, real_plans
from .plans import Plan
from .profile import PROFILE
from .runs import agree, agree_up_to_margin, meaning, run


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=grid_plans())
def test_networks_on_the_grid(name: str, plan: Plan) -> None:
    agree(run(plan, resolve(name)), run(plan, meaning()))


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=real_plans())
def test_networks_of_any_numbers(name: str, plan: Plan) -> None:
    whole = agree_up_to_margin(run(plan, resolve(name)), run(plan, meaning()))
    event("all compared" if whole else "a spike in doubt")
