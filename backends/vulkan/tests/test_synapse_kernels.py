"""Synapses on the device: bit for bit what the bodies of their ops say, in one dispatch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip
from synapse_calls import STP, Call, body, calls, sum_scales

import grilly
from grilly import nn
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.tensor import Tensor


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def run(target: Any, call: Call, place: Any = None) -> list[np.ndarray]:
    put = place or (lambda a: grilly.tensor(a, backend=target))
    with no_grad():
        made = call.op(*[None if a is None else put(a) for a in call.args], **call.attrs)
    return [y.numpy() for y in ([made] if isinstance(made, Tensor) else made)]


def assert_right(call: Call, made: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    assert len(made) == len(wanted)
    for a, b, scale in zip(made, wanted, sum_scales(call, wanted), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert (np.abs(a - b) <= 1e-6 * scale).all(), call


@pytest.mark.parametrize(
    "steps, shape",
    [(1, (63,)), (4, (3, 5)), (7, (1031,)), (32, (65,)), (33, (64,)), (70, (257,)), (2, (256,)), (3, ()), (2, (0,)),
     (64, (1,)), (2, (2, 0, 3))],
)  # fmt: skip
def test_kernels_do_what_the_bodies_say(backend: Any, steps: int, shape: tuple[int, ...]) -> None:
    for call in calls(steps, shape, delays=(0, 3, 40)):
        assert_right(call, run(backend, call), body(call))


def transposed(backend: Any, array: np.ndarray) -> Tensor:
    return grilly.tensor(np.ascontiguousarray(array.T), backend=backend).transpose()


def spread(backend: Any, array: np.ndarray) -> Tensor:
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return grilly.tensor(wide, backend=backend)[..., ::2]


@pytest.mark.parametrize("place", [transposed, spread])
def test_views_of_any_layout(backend: Any, place: Any) -> None:
    for call in calls(5, (4, 9)):
        made = run(
            backend, call, lambda a: place(backend, a) if a.ndim else grilly.tensor(a, backend=backend)
        )
        assert_right(call, made, body(call))


def recorded(backend: Any, function: Any) -> tuple[Any, int]:
    before = backend.stream.ops
    result = function()
    return result, backend.stream.ops - before


def test_repeated_inputs_and_constant_states_are_read_in_place(backend: Any) -> None:
    picture = np.random.default_rng(1).standard_normal((3, 50)).astype(np.float32)
    x = ops.broadcast_to(grilly.tensor(picture, backend=backend), shape=(5, 3, 50))
    number = grilly.tensor(np.float32(0.25), backend=backend)
    state = ops.broadcast_to(number, shape=(3, 50))
    line = ops.broadcast_to(number, shape=(2, 3, 50))
    whole, held = np.repeat(picture[None], 5, axis=0), np.full((3, 50), 0.25, np.float32)
    decay, late = np.array(0.25, np.float32), np.full((2, 3, 50), 0.25, np.float32)
    none, backward = (None, None, None), {"delay": 2}
    for tensors, call in [
        ((x, state, number, line), Call(ops.synapse_filter, (whole, held, decay, late), {})),
        ((x, None, number, *none), Call(ops.synapse_filter_vjp, (whole, None, decay, *none), backward)),
        ((x, state, state, *[number] * 4), Call(ops.dual_timescale, (whole, held, held, *[decay] * 4), {})),
        ((x, state, state), Call(ops.stp_synapse, (whole, held, held), STP)),
        ((x, x, state, state), Call(ops.stp_synapse_vjp, (whole, whole, held, held), STP)),
    ]:  # fmt: skip
        made, count = recorded(backend, lambda tensors=tensors, call=call: call.op(*tensors, **call.attrs))
        assert count == 1, call.op
        assert_right(call, [y.numpy() for y in ([made] if isinstance(made, Tensor) else made)], body(call))


def test_a_grid_folded_into_two_dimensions(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in calls(3, (1500,)):
        flat = run(backend, call)
        monkeypatch.setattr("grilly_vulkan.stream._GROUPS_X", 3)
        for a, b in zip(run(backend, call), flat, strict=True):
            assert a.tobytes() == b.tobytes()
        monkeypatch.undo()


@pytest.mark.parametrize("delay", [0, 3])
def test_a_layer_is_one_dispatch_forward_and_one_backward(backend: Any, delay: int) -> None:
    rng = np.random.default_rng(2)
    layers = [nn.DualTimescaleSynapse(step_mode="m"), nn.STPSynapse(step_mode="m")]
    for layer in [nn.SynapseFilter(delay=delay, step_mode="m"), *(() if delay else layers)]:
        x = grilly.tensor(
            rng.standard_normal((6, 700)).astype(np.float32), backend=backend, requires_grad=True
        )
        g = grilly.tensor(rng.standard_normal((6, 700)).astype(np.float32), backend=backend)
        layer(x)  # constants are made once
        layer.reset()
        y, forwards = recorded(backend, lambda layer=layer, x=x: layer(x))
        _, backwards = recorded(backend, lambda y=y, g=g: y.backward(g))
        assert (forwards, backwards) == (1, 1), layer
        assert x.grad is not None and np.abs(x.grad.numpy()).max() > 0


def test_what_is_not_finite_stays_where_it_is(backend: Any) -> None:
    x = np.random.default_rng(3).standard_normal((5, 8)).astype(np.float32)
    x[1, :3] = [np.nan, np.inf, -np.inf]
    state, number = np.full(8, 0.5, np.float32), np.array(0.5, np.float32)
    with np.errstate(invalid="ignore"):
        for call in [
            Call(ops.synapse_filter, (x, state, number, None), {}),
            Call(ops.dual_timescale, (x, state, state, *[number] * 4), {}),
            Call(ops.stp_synapse, (x, state, state), STP),
        ]:
            for a, b in zip(run(backend, call), body(call), strict=True):
                np.testing.assert_array_equal(a, b)
