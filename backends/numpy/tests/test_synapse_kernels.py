"""The synapse kernels against the bodies of their ops, over several blocks and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synapse_calls import Call, body, calls, sum_scales

from grilly_core import ops
from grilly_numpy import threads
from grilly_numpy.kernels import neuron, synapse

SHAPES = [(4, (3, 5)), (1, (7,)), (3, ()), (5, (0,)), (6, (150,)), (2, (1, 1))]


@pytest.fixture
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 32 neurons and three threads."""
    monkeypatch.setattr(neuron, "_BLOCK_BYTES", 256)
    monkeypatch.setattr(threads, "_count", 3)
    monkeypatch.setattr(threads, "_executor", None)


def run(call: Call) -> list[np.ndarray]:
    made: Any = synapse.KERNELS[call.op.name](None, *call.args, **call.attrs)
    return list(made) if isinstance(made, tuple) else [made]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps, shape", SHAPES)
def test_kernels_do_what_the_bodies_say(
    steps: int, shape: tuple[int, ...], dtype: str, several_blocks: None
) -> None:
    precision = 1e-6 if dtype == "float32" else 1e-15
    for call in calls(steps, shape, dtype, delays=(0, 2, 9)):
        made, wanted = run(call), body(call)
        assert len(made) == len(wanted)
        for a, b, scale in zip(made, wanted, sum_scales(call, wanted), strict=True):
            assert isinstance(a, np.ndarray) and a.dtype == b.dtype == dtype and a.shape == b.shape
            assert (np.abs(a - b) <= precision * scale).all(), call


def test_sums_have_the_same_bits_for_any_number_of_threads(
    several_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [call for call in calls(6, (150,)) if call.op.name.endswith("_vjp")]
    before = [run(call) for call in chosen]
    monkeypatch.setattr(threads, "_count", 1)
    monkeypatch.setattr(threads, "_executor", None)
    for call, results in zip(chosen, before, strict=True):
        for a, b in zip(run(call), results, strict=True):
            assert a.tobytes() == b.tobytes()


def test_arguments_are_left_alone() -> None:
    for call in calls(3, (5,)):
        copies = [None if a is None else a.copy() for a in call.args]
        run(call)
        for a, b in zip(call.args, copies, strict=True):
            assert (a is None and b is None) or np.array_equal(a, b)


def test_views_are_taken() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 6, 8)).astype(np.float32)[:, ::2].transpose(0, 2, 1)
    y = np.broadcast_to(np.float32(0.5), x.shape[1:])
    decay = np.array(0.5, np.float32)
    for a, b in zip(
        run(Call(ops.synapse_filter, (x, y, decay, x[:2]), {})),
        run(Call(ops.synapse_filter, (x.copy(), y.copy(), decay, x[:2].copy()), {})),
        strict=True,
    ):
        assert np.array_equal(a, b)
