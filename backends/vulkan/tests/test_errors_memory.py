"""Out of memory at every allocation of a training step: said so, nothing leaked, and the backend works on."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
from grilly import nn, optim
from grilly_core.errors import OutOfMemoryError
from grilly_core.selection import using
from grilly_vulkan import backend as backend_module
from grilly_vulkan import tables

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small step asks the driver many times."""
    for name in ("_BLOCK", "_LARGE_BLOCK", "_STAGING_BLOCK"):
        monkeypatch.setattr(backend_module, name, 1 << 10)
    monkeypatch.setattr(tables, "_ARENA", 64)


def train(backend: Any, batch: int = 4) -> list[np.ndarray]:
    """One training step; the parameters afterwards."""
    with using(backend):
        grilly.seed(0)
        net = nn.Sequential(nn.Linear(12, 16), nn.LIFNode(step_mode="m"), nn.Linear(16, 3))
        optimiser = optim.Adam(net.parameters(), lr=1e-2)
        x = np.random.default_rng(0).random((4, batch, 12), np.float32)
        labels = np.arange(batch, dtype=np.int32) % 3
        F.cross_entropy(net(grilly.tensor(x)).mean(0), grilly.tensor(labels)).backward()
        optimiser.step()
        return [p.numpy() for p in net.parameters()]


def live(backend: Any) -> int:
    """Bytes in use, tables that kernels keep left out."""
    backend.tables = type(backend.tables)(backend)
    gc.collect()
    backend.memory.settle()
    return backend.memory.live  # type: ignore[no-any-return]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def fails(backend: Any, unless: Callable[[], bool] = lambda: False) -> str:
    """What a step says that has no memory; nothing if it needed none that was refused."""
    try:
        train(backend)
    except OutOfMemoryError as error:
        error.__traceback__ = None
        return str(error)
    assert unless(), "memory was refused and nothing said so"
    return ""


def warm(make: Make) -> tuple[Any, int]:
    """A backend that has its constants and no idle memory, and the bytes these take."""
    backend = make()
    train(backend)
    used = live(backend)
    backend.synchronize()
    for allocator in (backend.memory, backend.staging):
        allocator.trim()
    return backend, used


def allocations(make: Make, faulty: Any) -> int:
    """How often a step asks the driver."""
    backend, _ = warm(make)
    faulty.calls.clear()
    train(backend)
    return faulty.calls["vkAllocateMemory"]


def test_refused_once_at_every_allocation(make: Make, faulty: Any) -> None:
    """The device is waited for, idle blocks are given back, and the driver asked again: nobody notices."""
    count, expected = allocations(make, faulty), train(make())
    assert count >= 8
    for k in range(1, count + 1):
        backend, _ = warm(make)
        faulty.calls.clear()
        faulty.results["vkAllocateMemory"] = lambda n, k=k: -1 - k % 2 if n == k else None
        same(train(backend), expected)
        faulty.results.clear()


def test_refused_for_good_from_every_allocation_on(make: Make, faulty: Any) -> None:
    count, expected = allocations(make, faulty), train(make())
    for k in range(1, count + 1):
        backend, before = warm(make)
        blocks = len(backend.memory.blocks) + len(backend.staging.blocks)
        faulty.calls.clear()
        faulty.results["vkAllocateMemory"] = lambda n, k=k: -2 if n >= k else None
        said = fails(backend, unless=lambda k=k: faulty.calls["vkAllocateMemory"] < k)
        if not said:
            # Staging memory was free sooner than before, so that the last allocation was not needed.
            assert k == count
            faulty.results.clear()
            continue
        assert "out of device memory: " in said and "VK_ERROR_OUT_OF_DEVICE_MEMORY" in said
        assert "bytes wanted" in said and "Use a smaller batch" in said
        blocks -= len(backend.memory.blocks) + len(backend.staging.blocks)
        kept = faulty.calls["vkCreateBuffer"] - faulty.calls["vkDestroyBuffer"]
        assert kept == -blocks, "a buffer without memory is not kept"
        faulty.results.clear()
        assert live(backend) == before
        same(train(backend), expected)


@pytest.mark.parametrize("call", ["vkCreateBuffer", "vkBindBufferMemory", "vkMapMemory"])
def test_refused_on_the_way(make: Make, faulty: Any, call: str) -> None:
    backend = make()
    faulty.calls.clear()
    faulty.results[call] = lambda n: -2
    assert "out of device memory" in fails(backend)
    faulty.results.clear()
    blocks = len(backend.memory.blocks) + len(backend.staging.blocks)
    refused = faulty.calls["vkCreateBuffer"] - blocks - faulty.calls["vkDestroyBuffer"]
    assert refused == (faulty.calls["vkCreateBuffer"] - blocks if call == "vkCreateBuffer" else 0)
    allocated = faulty.calls["vkAllocateMemory"] - faulty.calls["vkFreeMemory"]
    assert allocated == blocks
    train(backend)


def test_under_every_limit(make: Make) -> None:
    backend, before = warm(make)
    least = backend.memory.held
    expected = train(backend)
    needed = backend.peak_memory()
    live(backend)
    for part in range(8):
        backend.memory.trim()
        backend.memory.limit = least + part * (needed - least) // 8
        assert f"limit {backend.memory.limit:,}" in fails(backend)
        assert backend.memory.held <= backend.memory.limit
        assert live(backend) == before
    backend.memory.limit = 1 << 30
    same(train(backend), expected)


def test_a_smaller_batch_fits(make: Make) -> None:
    backend = make()
    train(backend, 2)
    live(backend)
    backend.memory.trim()
    backend.memory.limit = backend.memory.held + (1 << 16)
    with pytest.raises(OutOfMemoryError, match="Use a smaller batch") as caught:
        train(backend, 1000)
    caught.value.__traceback__ = None
    small = train(backend, 2)
    same(small, train(make(), 2))


def test_the_limit_from_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_VK_MEMORY_MB", "1")
    backend = make()
    with pytest.raises(OutOfMemoryError, match=r": 4,\d+,\d+ bytes wanted.*limit 1,048,576"):
        grilly.tensor(np.ones(1_000_000, np.float32), backend=backend)
    assert grilly.tensor(np.ones(1000, np.float32), backend=backend).sum().item() == 1000
