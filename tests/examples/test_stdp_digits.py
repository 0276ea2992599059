"""The example of unsupervised plasticity, run small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import grilly

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[2] / "examples" / "stdp_digits.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("stdp_digits", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stdp_digits", module)
    spec.loader.exec_module(module)
    return module


def test_prototypes_of_digits_emerge(example: ModuleType, tmp_path: Path) -> None:
    with grilly.backend("numpy"):
        untrained = example.learn(neurons=24, epochs=0)
        result = example.learn(neurons=24, epochs=1)
    assert untrained.accuracy < 0.5 < 0.65 < result.accuracy
    assert len(set(result.digits.tolist())) >= 8
    np.testing.assert_allclose(np.linalg.norm(result.prototypes, axis=(1, 2)), 1.0, rtol=1e-5)
    assert result.prototypes.min() >= 0.0
    picture = tmp_path / "prototypes.png"
    example.draw(result, str(picture))
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_at_most_one_neuron_fires_at_a_step(example: ModuleType) -> None:
    with grilly.backend("numpy"):
        neuron = example.WinnerTakeAll(5, threshold=1.0)
        spikes = neuron([[0.5, 1.5, 1.2, 0.0, 0.0], [0.1] * 5])
        assert spikes.tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5]
        assert neuron.v[0].tolist() == [0.0] * 5 and neuron.v[1, 0].item() == pytest.approx(0.1)
        neuron.adapt(np.array([0.0, 1.0, 0.0, 0.0, 0.0]), rate=1.0)
        assert neuron.threshold.numpy().argmax() == 1
