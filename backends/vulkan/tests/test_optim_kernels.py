"""Optimiser kernels: many parameters in one dispatch, in place when they may be, nothing uploaded once warm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly import nn, optim
from grilly_core import ops
from grilly_core.testing.tolerances import value_tolerance

SHAPES = [(3, 4), (), (0, 5), (1,), (2, 1, 3), (1023,), (1024,), (1025,), (257, 31)]


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def draw(seed: int, low: float = -1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, 1.0, shape).astype(np.float32) for shape in SHAPES]


def update(name: str, target: Any, columns: list[list[np.ndarray]], **attrs: Any) -> list[np.ndarray]:
    given = [[grilly.tensor(a, backend=target) for a in column] for column in columns]
    got = getattr(ops, name)(*given, **attrs)
    if attrs["donate"] and target != "numpy":
        donated = [t for column in (given[0], *given[2:]) for t in column]
        assert all(new._data is old._data for new, old in zip(got, donated, strict=True))
    elif target != "numpy":
        for column, arrays in zip(given, columns, strict=True):
            for tensor, array in zip(column, arrays, strict=True):
                np.testing.assert_array_equal(tensor.numpy(), array)
    return [t.numpy() for t in got]


def same(name: str, backend: Any, columns: list[list[np.ndarray]], **attrs: Any) -> None:
    got, want = (update(name, target, columns, **attrs) for target in (backend, "numpy"))
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert (np.abs(a - b) <= value_tolerance(name).allowed(b)).all()


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(backend: Any, momentum: float, nesterov: bool, decay: float, donate: bool) -> None:
    columns = [draw(0), draw(1), draw(2) if momentum else []]
    settings = dict(lr=0.1, momentum=momentum, weight_decay=decay, nesterov=nesterov, donate=donate)
    same("sgd_update", backend, columns, **settings)


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("decay, decoupled", [(0.0, False), (0.01, False), (0.01, True)])
@pytest.mark.parametrize("step", [1, 1000])
def test_adam(backend: Any, step: int, decay: float, decoupled: bool, donate: bool) -> None:
    columns = [draw(0), draw(1), draw(2), draw(3, low=0.0)]
    same(
        "adam_update", backend, columns,
        lr=0.01, weight_decay=decay, decoupled=decoupled, step=step, donate=donate,
    )  # fmt: skip


def test_views_are_updated_in_copies(backend: Any) -> None:
    p = grilly.tensor(np.arange(6, dtype=np.float32).reshape(2, 3), backend=backend)
    g = ops.broadcast_to(grilly.tensor(np.ones(2, np.float32), backend=backend), shape=(3, 2))
    (new,) = ops.sgd_update([p.T], [g], [], lr=1.0, donate=True)
    np.testing.assert_array_equal(new.numpy(), p.numpy().T - 1.0)
    np.testing.assert_array_equal(p.numpy().ravel(), np.arange(6))


@pytest.mark.parametrize("sizes", [[], [0], [0, 0]])
def test_nothing_to_update(backend: Any, sizes: list[int]) -> None:
    arrays = [grilly.tensor(np.zeros(n, np.float32), backend=backend) for n in sizes]
    got = ops.sgd_update(arrays, arrays, [], lr=0.1)
    assert [t.shape for t in got] == [(n,) for n in sizes]


def net(backend: Any) -> tuple[nn.Module, grilly.Tensor, grilly.Tensor]:
    rng = np.random.default_rng(0)
    x = grilly.tensor(rng.standard_normal((4, 6)).astype(np.float32), backend=backend)
    y = grilly.tensor(rng.standard_normal((4, 2)).astype(np.float32), backend=backend)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).to(backend), x, y


def train(model: nn.Module, x: grilly.Tensor, y: grilly.Tensor, optimiser: Any) -> None:
    optimiser.zero_grad()
    ((model(x) - y) ** 2).mean().backward()
    optimiser.step()


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_warm_step_uploads_nothing_and_writes_in_place(backend: Any, kind: str) -> None:
    model, x, y = net(backend)
    parameters = list(model.parameters())
    optimiser: Any = optim.Adam(parameters) if kind == "adam" else optim.SGD(parameters, momentum=0.9)
    for _ in range(6):
        train(model, x, y, optimiser)
    uploads, places = backend.transfer.uploads, [p._data.addr for p in parameters]
    for step in range(6):
        optimiser.groups[0]["lr"] = 0.01 / (step + 1)
        train(model, x, y, optimiser)
    assert backend.transfer.uploads == uploads
    assert [p._data.addr for p in parameters] == places


def test_the_update_is_one_dispatch(backend: Any) -> None:
    model, x, y = net(backend)
    optimiser = optim.SGD(model.parameters(), momentum=0.9)
    for _ in range(3):
        train(model, x, y, optimiser)
    optimiser.zero_grad()
    ((model(x) - y) ** 2).mean().backward()
    before = backend.stream.ops
    optimiser.step()
    assert backend.stream.ops - before == 1


@pytest.mark.parametrize("keep", ["detached", "view", "handle"])
def test_what_somebody_else_holds_is_not_written(backend: Any, keep: str) -> None:
    model, x, y = net(backend)
    optimiser = optim.SGD(model.parameters(), lr=0.5)
    train(model, x, y, optimiser)
    train(model, x, y, optimiser)
    p = next(iter(model.parameters()))
    others = {
        "detached": lambda: p.detach(),
        "view": lambda: p.detach()[1:, ::2].T,
        "handle": lambda: p._data,
    }
    held = others[keep]()
    before = backend.to_numpy(held).copy() if keep == "handle" else held.numpy()
    train(model, x, y, optimiser)
    after = backend.to_numpy(held) if keep == "handle" else held.numpy()
    np.testing.assert_array_equal(after, before)
    assert not np.array_equal(p.numpy().ravel()[: before.size], before.ravel())


def test_views_of_one_memory_are_not_exclusive(backend: Any) -> None:
    whole = grilly.tensor(np.zeros((4, 4), np.float32), backend=backend)
    # Outside assert statements, which hold what they looked at.
    alone = backend.is_exclusive(whole._data)
    part = whole[1]
    seen = backend.is_exclusive(whole._data), backend.is_exclusive(part._data)
    del part
    again = backend.is_exclusive(whole._data)
    assert alone and again and not any(seen)


def test_tables_are_uploaded_once_and_dropped_when_unused(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grilly_vulkan import tables

    monkeypatch.setattr(tables, "_KEPT", 2)
    kept = tables.Tables(backend)

    def read(*numbers: int) -> list[int]:
        contents: list[int] = backend.to_numpy(
            kept.get(numbers, lambda: np.array(numbers, np.uint64))
        ).tolist()
        return contents

    uploads = backend.transfer.uploads
    assert read(1, 2**33) == read(1, 2**33) == [1, 0, 0, 2]
    assert backend.transfer.uploads - uploads == 1
    assert read(7) == [7, 0] and read(1, 2**33) == [1, 0, 0, 2] and read(8) == [8, 0]
    assert backend.transfer.uploads - uploads == 3
    assert read(1, 2**33) == [1, 0, 0, 2] and read(7) == [7, 0]
    assert backend.transfer.uploads - uploads == 4


def test_tables_start_over_when_their_memory_is_full(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from grilly_vulkan import tables

    monkeypatch.setattr(tables, "_ARENA", 8)
    kept = tables.Tables(backend)
    for first in (0, 10, 20):
        numbers = np.arange(first, first + 3, dtype=np.uint64)
        table = kept.get(first, lambda numbers=numbers: numbers)
        assert backend.to_numpy(table).reshape(-1, 2)[:, 0].tolist() == numbers.tolist()
    assert kept.get("long", lambda: np.arange(40, dtype=np.uint64)).size == 80
