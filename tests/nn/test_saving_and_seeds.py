"""grilly.save and load, and the random sequence that starting weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grilly
from grilly import nn, random
from grilly.errors import ArgumentError, CheckpointError, DTypeError, OutputError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.LIFNode(), nn.Flatten(), nn.Linear(9, 2))


def test_save_and_load(tmp_path: Path) -> None:
    net, other = network(), network()
    x = np.random.default_rng(0).standard_normal((4, 2, 5))
    net(x)
    path = tmp_path / "net.safetensors"
    grilly.save(net, path, metadata={"note": "first"})
    arrays = grilly.load(path, into=other)
    assert set(arrays) == set(net.state_dict())
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    net.eval()[2].reset()
    np.testing.assert_array_equal(net(x), other.eval()(x))


def test_save_named_arrays(tmp_path: Path) -> None:
    path = tmp_path / "named.safetensors"
    turned = np.arange(6.0).reshape(2, 3).T
    grilly.save({"a": grilly.tensor([1.0, 2.0]), "b": turned, "c": np.arange(3)}, path)
    found = grilly.load(path)
    assert found["a"].tolist() == [1.0, 2.0] and found["c"].dtype == np.int64
    np.testing.assert_array_equal(found["b"], turned)


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "layer.safetensors"
    grilly.save(nn.Linear(2, 3), path)
    layer = nn.Linear(3, 2)
    kept = layer.weight.numpy()
    with pytest.raises(CheckpointError, match=r"weight is \(3, 2\), not \(2, 3\)"):
        grilly.load(path, into=layer)
    np.testing.assert_array_equal(layer.weight, kept)
    with pytest.raises(CheckpointError):
        grilly.load(tmp_path / "missing.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError):
        grilly.load(path)
    with pytest.raises(ArgumentError, match="a module or a mapping of arrays, got list"):
        grilly.save([1.0], path)
    with pytest.raises(OutputError):
        grilly.save(layer, tmp_path / "no folder" / "x.safetensors")


def test_the_same_seed_gives_the_same_network() -> None:
    states: list[Any] = []
    for seed in (5, 5, 6):
        grilly.seed(seed)
        states.append({name: value.numpy() for name, value in network().state_dict().items()})
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
    assert (states[0]["0.weight"] != states[2]["0.weight"]).all()


def test_every_draw_is_new_and_the_sequence_can_be_continued() -> None:
    grilly.seed(3)
    first = grilly.rand(6).numpy()
    state = random.get_state()
    second = grilly.rand(6).numpy()
    assert state == (3, 1) and (first != second).any()
    random.set_state(state)
    np.testing.assert_array_equal(grilly.rand(6), second)


def test_distributions() -> None:
    grilly.seed(0)
    uniform, normal = grilly.rand((50, 100)).numpy(), grilly.randn((50, 100), dtype="float64").numpy()
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.03
    assert uniform.dtype == np.float32 and normal.dtype == np.float64
    assert grilly.rand(0).shape == (0,) and grilly.rand(()).shape == ()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: grilly.seed(-1),
            ArgumentError,
            r"a seed must be an integer from 0 to 18446744073709551615, got -1",
        ),
        (lambda: grilly.seed(1.5), ArgumentError, "a seed must be an integer"),
        (lambda: grilly.seed(2**64), ArgumentError, "a seed"),
        (
            lambda: grilly.rand(-1),
            ArgumentError,
            "an extent of shape must be an integer of at least 0, got -1",
        ),
        (lambda: grilly.rand((2, 0.5)), ArgumentError, "an extent"),
        (lambda: grilly.rand(2, "int32"), DTypeError, "rand draws float32 or float64, not int32"),
        (lambda: grilly.randn(2, "bool"), DTypeError, "randn draws"),
        (lambda: random.set_state((0, -1)), ArgumentError, "number of the next draw"),
    ],
)
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    before = random.get_state()
    with pytest.raises(error, match=message):
        call()
    assert random.get_state() == before
