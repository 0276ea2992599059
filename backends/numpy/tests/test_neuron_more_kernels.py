"""Neurons with more than a leak on NumPy: many blocks are one, in float32, for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_core import ops
from grilly_core.surrogate import ATan
from grilly_core.tensor import tensor
from grilly_numpy.kernels import neuron

KINDS: dict[str, dict[str, Any]] = {
    "klif": {"rate": 0.3, "decay_input": True},
    "cuba_lif": {"c_decay": 0.6, "v_decay": 0.7},
    "alif": {"rate": 0.3, "decay_input": False, "a_decay": 0.9, "beta": 0.17},
}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_do_not_show(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((6, 7, 31)).astype(np.float32) + np.float32(m) for m in (0.7, 0.0))
    states = [rng.random((7, 31)).astype(np.float32) * np.float32(0.3) for _ in range(2)]
    given = [x, states[0], *([np.float32(1.2), np.float32(1 / 1.2)] if kind == "klif" else [states[1]])]
    back = [g, *([None] if kind == "klif" else [None, states[1]]), g, *given]
    attrs = {**KINDS[kind], "v_threshold": 0.75, "v_reset": -0.25, "surrogate": ATan()}

    def run() -> list[np.ndarray]:
        forward = getattr(ops, f"{kind}_multi_step")(*[tensor(a, backend="numpy") for a in given], **attrs)
        backward = getattr(ops, f"{kind}_multi_step_vjp")(
            *[None if a is None else tensor(a, backend="numpy") for a in back], **attrs, detach_reset=False
        )
        return [y.numpy() for y in (*forward, *backward)]

    whole = run()
    assert 0.05 < whole[0].mean() < 0.95
    monkeypatch.setattr(neuron, "_BLOCK_BYTES", 256)
    assert len(neuron.block_bounds(217, 4)) > 3
    for a, b in zip(run(), whole, strict=True):
        if a.shape == (2,) and kind == "klif":  # sums of blocks
            np.testing.assert_allclose(a, b, rtol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)
