"""What the strategies promise: values on the grid, layouts that change no value, cases that are exact in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import grilly_core.testing.cases  # noqa: F401 - registers the cases
from grilly_core import ops
from grilly_core.errors import DeclarationError
from grilly_core.op import Op, registry
from grilly_core.spec import DTYPES, FLOATS
from grilly_core.surrogate import Surrogate
from grilly_core.testing import strategies as gs
from grilly_core.testing.case import Case, case_for, case_of, flat
from grilly_core.testing.cases.neuron import SURROGATES
from grilly_core.testing.evaluate import PLACES, evaluate, expected, place, reference
from grilly_core.testing.tolerances import EXACT, NEURONS, value_tolerance

FEW = settings(max_examples=25, deadline=None, derandomize=True)
CASES = list(registry().values())
EXACT_OPS = [
    op
    for op in CASES
    if op.name in NEURONS or op in (ops.matmul, ops.linear, ops.conv1d, ops.conv2d, ops.scatter_add, ops.sum)
]


def _widened(arg: Any) -> Any:
    return arg if arg is None or arg.dtype.kind != "f" else arg.astype("float64")


def _potentials(case: Case) -> np.ndarray:
    return expected(Case(case.op, case.args, {**case.attrs, "save_h": True}))[2]


def names(picked: list[Op]) -> list[str]:
    return [op.name for op in picked]


@FEW
@given(data=st.data())
def test_values_lie_on_the_grid(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    array = data.draw(gs.grid(data.draw(gs.shapes()), dtype))
    assert array.dtype.name == dtype
    step = gs.GRID if dtype in FLOATS else 1
    assert np.all(array.astype(float) % step == 0)
    assert np.all(np.abs(array.astype(float)) <= gs.LIMIT * (1 if dtype in FLOATS else 1 / gs.GRID))


@FEW
@given(data=st.data())
def test_layouts_change_no_value(data: st.DataObject) -> None:
    array = data.draw(gs.grid(data.draw(gs.shapes())))
    for layout in gs.LAYOUTS:
        np.testing.assert_array_equal(gs.laid_out(array, layout), array)
    for how in PLACES:
        np.testing.assert_array_equal(place(array, reference(), how).numpy(), array)


def test_layouts_differ() -> None:
    array = np.arange(12.0).reshape(3, 4)
    strides = {gs.laid_out(array, layout).strides for layout in gs.LAYOUTS}
    assert len(strides) == 5
    assert not gs.laid_out(array, "readonly").flags.writeable


@FEW
@given(shape=st.lists(st.integers(0, 2000), max_size=5), most=st.integers(1, 5000))
def test_fit_keeps_within_the_limit(shape: list[int], most: int) -> None:
    fitted = gs.fit(shape, most)
    assert math.prod(fitted) <= most
    assert len(fitted) == len(shape)


@pytest.mark.parametrize("op", CASES, ids=names(CASES))
@FEW
@given(data=st.data())
def test_cases_are_valid_and_small(op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op))
    arrays = [arg for arg in flat(case.args) if arg is not None]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert sum(array.size for array in arrays) <= 40000
    assert all(np.isfinite(array).all() for array in arrays)
    assert {array.dtype.name for array in arrays} <= set(DTYPES)
    assert all(isinstance(result, np.ndarray) for result in evaluate(case, reference()))


@pytest.mark.parametrize("op", EXACT_OPS, ids=names(EXACT_OPS))
@FEW
@given(data=st.data())
def test_results_on_the_grid_are_exact_in_float32(op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, {"float32"}))
    wide = Case(op, tuple(_widened(arg) for arg in case.args), case.attrs)
    for narrow, exact in zip(expected(case), expected(wide), strict=True):
        np.testing.assert_array_equal(narrow.astype("float64"), exact)


@pytest.mark.parametrize("op", [op for op in CASES if op.differentiable], ids=lambda op: op.name)
@FEW
@given(data=st.data())
def test_cases_for_gradients_have_one(op: Op, data: st.DataObject) -> None:
    case = data.draw(case_for(op, DTYPES, gradient=True))
    assert any(arg.dtype.name in FLOATS for arg in flat(case.args) if arg is not None)


REACHED = {
    "no element": lambda case: case.args[0].size == 0,
    "no axis": lambda case: case.args[1].ndim == 0,
    "seven steps": lambda case: case.args[0].shape[0] == 7,
    "one step": lambda case: case.args[0].shape[0] == 1,
    "tail of a workgroup": lambda case: case.args[1].size in (63, 65, 257, 1031),
    "soft reset": lambda case: case.attrs["v_reset"] is None,
    "hard reset elsewhere": lambda case: case.attrs["v_reset"] == -0.25,
    "input not decayed": lambda case: not case.attrs["decay_input"],
    "reset detached": lambda case: case.attrs["detach_reset"],
    "potentials kept": lambda case: case.attrs["save_h"],
    "at the threshold": lambda case: bool((_potentials(case) == case.attrs["v_threshold"]).any()),
    **{
        f"{surrogate}": lambda case, wanted=surrogate: case.attrs["surrogate"] == wanted
        for surrogate in SURROGATES
    },
}


@pytest.mark.parametrize("what", REACHED)
def test_neuron_cases_reach(what: str) -> None:
    limits = settings(max_examples=3000, deadline=None, derandomize=True, phases=(Phase.generate,))
    assert find(case_for(ops.lif_multi_step, {"float32"}), REACHED[what], settings=limits) is not None


def test_every_built_in_surrogate_is_drawn() -> None:
    known = {cls for sub in Surrogate.__subclasses__() for cls in (sub, *sub.__subclasses__())}
    built_in = {
        cls for cls in known if cls.__module__ == "grilly_core.surrogate" and not cls.__name__.startswith("_")
    }
    assert {type(surrogate) for surrogate in SURROGATES} == built_in


def test_ops_of_the_neurons_have_no_tolerance() -> None:
    assert all(value_tolerance(name) == EXACT for name in NEURONS)


def test_a_second_strategy_for_an_op_is_refused() -> None:
    with pytest.raises(DeclarationError, match="add has two strategies"):

        @case_of(ops.add)
        def again(draw: st.DrawFn, op: Op, wanted: object) -> Case:
            return draw(case_for(op))


def test_a_case_has_an_argument_per_parameter() -> None:
    with pytest.raises(DeclarationError, match="a case of add needs"):
        Case(ops.add, (np.ones(2),))
