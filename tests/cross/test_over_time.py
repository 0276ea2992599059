"""However a network is taken over time, it computes the same: all steps or one by one, in containers, in pieces."""

from __future__ import annotations

import pytest
from backends_under_test import backend_params
from hypothesis import given
from hypothesis import strategies as st

from grilly_core.selection import resolve

from .draws import grid_plans, real_plans
from .plans import FORMS, Plan
from .profile import PROFILE
from .runs import agree, agree_up_to_margin, meaning, run


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=grid_plans(v_seq=False), form=st.sampled_from(FORMS[1:]))
def test_every_form_computes_the_same(name: str, plan: Plan, form: str) -> None:
    backend = resolve(name)
    agree(run(plan, backend, form), run(plan, backend))


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=real_plans(any_form=True), form=st.sampled_from(FORMS[1:]))
def test_every_form_agrees_on_any_numbers(name: str, plan: Plan, form: str) -> None:
    agree_up_to_margin(run(plan, resolve(name), form), run(plan, meaning()))


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=grid_plans(least_steps=2, v_seq=False), form=st.sampled_from(FORMS), data=st.data())
def test_two_pieces_are_one_sequence(name: str, plan: Plan, form: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, plan.steps - 1), label="cut")
    backend = resolve(name)
    agree(run(plan, backend, form, cut=cut), run(plan, backend))
