"""Neurons with more than a leak on the device: spikes and states bit for bit those of NumPy, gradients close to them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly import nn
from grilly_core import ops
from grilly_core.surrogate import Surrogate
from grilly_core.tensor import Tensor
from grilly_core.testing.tolerances import neuron_scales, value_tolerance

KINDS: dict[str, dict[str, Any]] = {
    "klif": {"rate": 0.3, "decay_input": True},
    "cuba_lif": {"c_decay": 0.6, "v_decay": 0.7},
    "alif": {"rate": 0.3, "decay_input": False, "a_decay": 0.9, "beta": 0.17},
}
SIZES = [(1, (63,)), (4, (3, 5)), (7, (1031,)), (32, (65,)), (33, (64,)), (70, (257,))]
RESETS = [0.0, -0.25, None]


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def draw(shape: tuple[int, ...], seed: int, mean: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) + mean).astype(np.float32)


def inputs(kind: str, steps: int, shape: tuple[int, ...], inverse: bool = True) -> list[Any]:
    args: list[Any] = [draw((steps, *shape), steps, 0.7), draw(shape, 99) * 0.5]
    if kind == "klif":
        return [*args, np.float32(1.3), np.float32(1 / 1.3) if inverse else None]
    return [*args, np.abs(draw(shape, 7)) * 0.5]


def attributes(kind: str, v_reset: float | None, **more: Any) -> dict[str, Any]:
    fire = {"v_threshold": 0.75, "v_reset": v_reset, "detach_reset": False, "surrogate": nn.ATan()}
    return {**fire, **KINDS[kind], **more}


def call(target: Any, name: str, args: list[Any], attrs: dict[str, Any]) -> list[np.ndarray]:
    """The results of an op on arrays, None among them, on a backend."""
    placed = [None if a is None else grilly.tensor(a, backend=target) for a in args]
    return [y.numpy() for y in getattr(ops, name)(*placed, **attrs)]


@pytest.mark.parametrize("kind, v_reset", list(itertools.product(KINDS, RESETS)))
def test_forward_is_bit_equal(backend: Any, kind: str, v_reset: float | None) -> None:
    for steps, shape in SIZES:
        for save_v, inverse in ((True, True), (False, False)):
            args = inputs(kind, steps, shape, inverse)
            attrs = attributes(kind, v_reset, save_v=save_v)
            made, wanted = (call(t, f"{kind}_multi_step", args, attrs) for t in (backend, "numpy"))
            assert steps == 1 or 0.02 < wanted[0].mean() < 0.98
            for a, b in zip(made, wanted, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, v_reset", list(itertools.product(KINDS, RESETS)))
@pytest.mark.parametrize("detach_reset", [False, True])
def test_backward_is_close(backend: Any, kind: str, v_reset: float | None, detach_reset: bool) -> None:
    attrs = attributes(kind, v_reset, detach_reset=detach_reset)
    states = 1 if kind == "klif" else 2
    for (steps, shape), given in itertools.product(SIZES, (True, False)):
        arriving = [draw(shape, 11 + i) if given else None for i in range(states)]
        g_seq = draw((steps, *shape), 12) if given else None
        args = [draw((steps, *shape), 10), *arriving, g_seq, *inputs(kind, steps, shape, inverse=given)]
        name = f"{kind}_multi_step_vjp"
        made, wanted = (call(t, name, args, attrs) for t in (backend, "numpy"))
        for a, b, scale in zip(made, wanted, neuron_scales(name, wanted), strict=True):
            assert a.shape == b.shape
            assert (np.abs(a - b) <= value_tolerance(name).allowed(b, scale)).all(), (steps, shape, given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)])
def test_any_shape_of_state(backend: Any, kind: str, shape: tuple[int, ...]) -> None:
    args, attrs = inputs(kind, 3, shape), attributes(kind, None)
    states = [None] * (1 if kind == "klif" else 2)
    for name, given in [("", args), ("_vjp", [draw((3, *shape), 1), *states, None, *args])]:
        made, wanted = (call(t, f"{kind}_multi_step{name}", given, attrs) for t in (backend, "numpy"))
        for a, b in zip(made, wanted, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_inputs_and_constant_states_are_read_in_place(backend: Any, kind: str) -> None:
    args = inputs(kind, 1, (5, 13))
    attrs = attributes(kind, 0.0)

    def run(target: Any) -> list[np.ndarray]:
        x, _, *rest = [grilly.tensor(a, backend=target) for a in args]
        wide = x.broadcast_to((9, 5, 13))
        constant = grilly.tensor(np.float32(0.25), backend=target).broadcast_to((5, 13))
        return [y.numpy() for y in getattr(ops, f"{kind}_multi_step")(wide, constant, *rest, **attrs)]

    for a, b in zip(run(backend), run("numpy"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_surrogate_without_a_shader_runs_the_formulas(backend: Any, kind: str) -> None:
    class Triangle(Surrogate):
        def derivative(self, u: Tensor) -> Tensor:
            return (1.0 - u.abs()).relu()

    args = inputs(kind, 5, (33,))
    attrs = attributes(kind, 0.0, surrogate=Triangle())
    grads = []
    for target in (backend, "numpy"):
        x, *rest = [grilly.tensor(a, backend=target, requires_grad=True) for a in args]
        getattr(ops, f"{kind}_multi_step")(x, *rest, **attrs)[0].sum().backward()
        assert x.grad is not None
        grads.append(x.grad.numpy())
    assert grads[1].any()
    np.testing.assert_allclose(*grads, rtol=1e-4, atol=1e-6)
