"""What the networks are for: one wrong kernel among all is found, and the layer it is in is named."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from changed_backend import Changed, Changes
from hypothesis import Phase, given, settings

from grilly_core import ops
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_numpy.backend import NumpyBackend

from .draws import grid_plans, real_plans
from .plans import Plan
from .runs import Seen, agree, agree_up_to_margin, meaning, run

LOOK = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
)


def _right(op: Op) -> Callable[..., Any]:
    kernel = NumpyBackend.kernels.get(op)
    assert kernel is not None
    return kernel.function


def _with(op: Op, **changed: Callable[[Any], Any]) -> Callable[..., Any]:
    """The kernel of ``op``, some of its attributes changed on the way."""

    @functools.wraps(_right(op))
    def kernel(*args: Any, **attrs: Any) -> Any:
        return _right(op)(
            *args, **{name: changed.get(name, lambda value: value)(attrs[name]) for name in attrs}
        )

    return kernel


def _no_tail(device: Any, x: Any, y: Any, /) -> Any:
    """A product of matrices that forgets what is left of the inner axis after blocks of four."""
    whole = x.shape[-1] // 4 * 4 or x.shape[-1]
    return _right(ops.matmul)(device, x[..., :whole], y[..., :whole, :])


def _forgetful(device: Any, x: Any, y: Any, decay: Any, line: Any, /) -> Any:
    """A trace that is right but gives back its state before the last step."""
    out, last = _right(ops.synapse_filter)(device, x, y, decay, line)
    return out, (out[-2].copy() if len(out) > 1 else last)


def _coarse(device: Any, x: Any, /) -> Any:
    """A hyperbolic tangent of half precision."""
    return np.tanh(x.astype(np.float16)).astype(x.dtype)


def _late(by: float) -> Changes:
    """A neuron whose threshold is higher than it should be."""
    return {ops.lif_multi_step: _with(ops.lif_multi_step, v_threshold=lambda v: v * (1.0 + by))}


DETACHED: Changes = {ops.lif_multi_step_vjp: _with(ops.lif_multi_step_vjp, detach_reset=lambda given: True)}
"""A gradient through time whose reset is always detached."""

GRID: dict[str, tuple[Changes, str]] = {
    "a rounding late": (_late(2e-7), r"layer \d+ \(LIFNode\)"),
    "no tail": ({ops.matmul: _no_tail}, r"layer \d+ \((Linear|Conv.d)\)|gradient at"),
    "wrong gradient": (DETACHED, "gradient at"),
    "wrong state": ({ops.synapse_filter: _forgetful}, r"memory \d+"),
}
REAL: dict[str, tuple[Changes, str]] = {
    "late": (_late(0.02), r"layer \d+ \(LIFNode\)|memory"),
    "too coarse": ({ops.tanh: _coarse}, r"layer \d+ \(\w+\)"),
}


def _search(
    plans: Any, compare: Callable[..., Any], backend: Backend, look: settings = LOOK
) -> Callable[[], None]:
    @look
    @given(plan=plans)
    def search(plan: Plan) -> None:
        compare(run(plan, backend), run(plan, meaning()))

    return search


@pytest.mark.parametrize("fault", GRID)
def test_found_on_the_grid(fault: str) -> None:
    changes, said = GRID[fault]
    with pytest.raises(AssertionError, match=f"^({said})"):
        _search(grid_plans(), agree, Changed(fault, changes))()


@pytest.mark.parametrize("fault", REAL)
def test_found_on_any_numbers(fault: str) -> None:
    changes, said = REAL[fault]
    with pytest.raises(AssertionError, match=f"^({said})"):
        _search(real_plans(), agree_up_to_margin, Changed(fault, changes))()


def test_a_sound_backend_passes_the_same_search() -> None:
    few = settings(LOOK, max_examples=50)
    sound: Changes = {ops.add: _right(ops.add)}
    _search(grid_plans(), agree, Changed("sound", sound), few)()
    _search(real_plans(), agree_up_to_margin, Changed("sound", sound), few)()


def _seen(spikes: list[list[float]], doubt: list[list[float]]) -> Seen:
    name = "layer 0 (IFNode)"
    return Seen(
        {name: np.array(spikes, "float32")},
        {name: np.array(doubt, "float32")},
        gradients=[np.zeros(1, "float32")],
    )


def test_what_rounding_excuses() -> None:
    wanted = _seen([[1, 0], [0, 1]], [[0.5, -2e-5], [-0.3, 0.2]])
    assert agree_up_to_margin(wanted, wanted)
    doubtful = _seen(
        [[1, 1], [0, 0]], []
    )  # at step 0 within the margin; what follows at step 1 is excused with it
    assert not agree_up_to_margin(doubtful, wanted)
    with pytest.raises(
        AssertionError, match=r"1 neurons spike differently, the first 0\.2 from its threshold at step 1"
    ):
        agree_up_to_margin(_seen([[1, 0], [0, 0]], []), wanted)
