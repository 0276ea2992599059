"""A network's weights and state go from backend to backend and stay what they are."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from backends_under_test import backend_params
from hypothesis import given
from hypothesis import strategies as st

import grilly
from grilly import nn
from grilly_core.backend import Backend
from grilly_core.selection import resolve
from grilly_core.testing.compare import first_difference

from .draws import grid_plans, real_plans
from .plans import Plan
from .profile import PROFILE
from .runs import meaning, run, run_moving, same


def _pair(name: str, turned: bool) -> tuple[Backend, Backend]:
    """A backend and another one, NumPy where there is a choice."""
    one, other = resolve(name), meaning() if name == "numpy" else resolve("numpy")
    return (other, one) if turned else (one, other)


def _contents(net: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=grid_plans() | real_plans(), turned=st.booleans(), by_file=st.booleans())
def test_a_state_dict_is_the_same_everywhere(name: str, plan: Plan, turned: bool, by_file: bool) -> None:
    source, target = _pair(name, turned)
    first, second = plan.build(source), replace(plan, seed=plan.seed + 1).build(target)
    held = _contents(first)
    if by_file:
        with tempfile.TemporaryDirectory() as folder:
            grilly.save(first, Path(folder) / "net.safetensors")
            grilly.load(Path(folder) / "net.safetensors", second)
    else:
        second.load_state_dict(first.state_dict())
    assert list(_contents(second)) == list(held)
    assert first_difference("array", list(_contents(second).values()), list(held.values())) is None
    assert {value.backend for value in second.state_dict().values()} <= {target.name}
    if plan.exact:
        same(run(plan, target, net=second, backwards=False), run(plan, source, net=first, backwards=False))


@pytest.mark.parametrize("name", backend_params())
@PROFILE
@given(plan=grid_plans(least_steps=2, v_seq=False), turned=st.booleans(), data=st.data())
def test_a_network_moves_between_two_steps(name: str, plan: Plan, turned: bool, data: st.DataObject) -> None:
    source, target = _pair(name, turned)
    cut = data.draw(st.integers(1, plan.steps - 1), label="cut")
    right = run(plan, source, backwards=False)
    output, states = run_moving(plan, source, target, cut)
    assert first_difference("output", [output], [right.output]) is None
    assert first_difference("memory", states, right.memories) is None
