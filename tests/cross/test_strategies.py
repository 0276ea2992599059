"""What the strategies of networks promise: nothing is left out, and on the grid nothing is rounded."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from grilly import nn
from grilly_core.surrogate import Rect
from grilly_core.testing.cases.neuron import STEPS, SURROGATES

from .draws import grid_plans, real_plans
from .neurons import GRID_NEURONS, REAL_NEURONS
from .plans import Layer, Plan
from .runs import meaning, run

ELSEWHERE = {
    "BaseNode": "a base class", "Module": "a base class", "StepNeuron": "made by nn.neuron of the user's own step",
    "ModuleList": "has no forward", "Sequential": "every network is one", "MultiStepContainer": "a form of every network",
    "SeqToANNContainer": "a form of every network",
    "LIFNeuron": "an older name", "SNNLayer": "an older name", "VoltageScaler": "made by conversion",
    "Converter": "converts",
    "PoissonEncoder": "draws its spikes", "LatencyEncoder": "makes time of values", "DeltaEncoder": "makes spikes of time",
    "STDPLayer": "learns without gradients", "HebbianLayer": "learns without gradients", "STDPLearner": "learns",
    "SpikingSelfAttention": "made of layers that are drawn", "QKAttention": "the same", "TokenQKAttention": "the same",
    "ChannelQKAttention": "the same", "TemporalWiseAttention": "the same",
}  # fmt: skip
"""Modules that are not drawn, and why; losses are not layers."""

SETTINGS = {
    "v_reset": {None, 0.0, -0.25, 0.5},
    "detach_reset": {True, False},
    "decay_input": {True, False},
    "store_v_seq": {True, False},
}

RARE = settings(max_examples=4000, deadline=None, derandomize=True, database=None, phases=(Phase.generate,))
LOOK = settings(max_examples=300, deadline=None, derandomize=True, database=None, phases=(Phase.generate,))


def _drawn(plans: st.SearchStrategy[Plan]) -> list[Layer]:
    layers: list[Layer] = []

    @LOOK
    @given(plan=plans)
    def draw(plan: Plan) -> None:
        layers.extend(found for layer in plan.layers for found in _with_inner(layer))
        layers.append(Layer(f"T={plan.steps}"))

    draw()
    return layers


def _with_inner(layer: Layer) -> Iterator[Layer]:
    yield layer
    for value in layer.settings.values():
        if isinstance(value, Layer):
            yield from _with_inner(value)


@pytest.fixture(scope="module")
def grid() -> list[Layer]:
    return _drawn(grid_plans())


@pytest.fixture(scope="module")
def real() -> list[Layer]:
    return _drawn(real_plans())


def test_every_layer_is_drawn_or_said_why_not(grid: list[Layer], real: list[Layer]) -> None:
    found = {name: getattr(nn, name) for name in nn.__all__}
    modules = {name for name, cls in found.items() if inspect.isclass(cls) and issubclass(cls, nn.Module)}
    layers = {name for name in modules if not name.endswith("Loss")}
    drawn = {layer.kind for layer in [*grid, *real]}
    assert not drawn & set(ELSEWHERE)
    for kind in layers - drawn - set(ELSEWHERE):
        find(
            real_plans(),
            lambda plan, kind=kind: any(layer.kind == kind for layer in plan.layers),
            settings=RARE,
        )


def test_every_setting_is_drawn(grid: list[Layer], real: list[Layer]) -> None:
    for drawn, neurons in ((grid, GRID_NEURONS), (real, REAL_NEURONS)):
        assert {f"T={steps}" for steps in STEPS} <= {layer.kind for layer in drawn}
        found = [layer for layer in drawn if layer.kind in neurons]
        assert {layer.kind for layer in found} == set(neurons)
        for name, values in SETTINGS.items():
            assert {layer.settings[name] for layer in found if name in layer.settings} == values
        surrogates = {
            layer.settings["surrogate_function"] for layer in found if "surrogate_function" in layer.settings
        }
        assert surrogates == {s for s in SURROGATES if drawn is grid or not isinstance(s, Rect)}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(plan=grid_plans())
def test_nothing_on_the_grid_is_rounded(plan: Plan) -> None:
    narrow = run(plan, meaning(), backwards=False)
    net = plan.build(meaning()).to(dtype="float64")
    wide = run(plan, meaning(), net=net, backwards=False)
    for name, exact in wide.layers.items():
        assert exact.dtype == np.float64
        np.testing.assert_array_equal(narrow.layers[name].astype("float64"), exact, err_msg=name)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(plan=grid_plans() | real_plans())
def test_a_plan_is_one_network(plan: Plan) -> None:
    first, again = run(plan, meaning(), backwards=False), run(plan, meaning(), backwards=False)
    np.testing.assert_array_equal(first.output, again.output)
    assert first.output.size
