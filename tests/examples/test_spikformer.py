"""The example of a Spikformer: small, and as a user runs it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import grilly
from grilly import nn

pytest.importorskip("sklearn")

SCRIPT = Path(__file__).parents[2] / "examples" / "spikformer_digits.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("spikformer_digits", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "spikformer_digits", module)
    spec.loader.exec_module(module)
    return module


def test_a_small_one_learns(example: ModuleType) -> None:
    lines: list[str] = []
    with grilly.backend("numpy"):
        result = example.train(
            epochs=2, embed_dim=32, num_heads=2, steps=2, batch=16, images=512, say=lines.append
        )
    assert len(lines) == len(result.accuracy) == 2
    assert result.accuracy[-1] > 0.4  # chance: 0.1


def test_every_neuron_layer_fires_at_first(example: ModuleType) -> None:
    grilly.seed(0)
    rates: dict[str, float] = {}
    with grilly.backend("numpy"):
        net = example.Spikformer(embed_dim=32, num_heads=2, blocks=2)
        for name, node in net.named_modules():
            if isinstance(node, nn.LIFNode):
                node.register_forward_hook(
                    lambda _, args, y, name=name: rates.__setitem__(name, float(y.numpy().mean()))
                )
        scores = net(np.random.default_rng(0).random((4, 1, 8, 8)))
    assert scores.shape == (4, 10)
    assert len(rates) == 3 + 2 * (5 + 2)
    assert all(0.02 < rate < 0.98 for rate in rates.values()), rates


@pytest.mark.slow
def test_the_script_reaches_95_percent() -> None:
    # One BLAS thread: those of tests that run side by side would wait for each other.
    environment = {**os.environ, "GRILLY_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    found = [float(percent) for percent in re.findall(r"test accuracy ([\d.]+) %", run.stdout)]
    assert len(found) == 4
    assert found[-1] >= 95.0, run.stdout
