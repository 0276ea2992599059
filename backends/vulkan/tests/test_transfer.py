"""Uploads and readbacks: staging memory reused only when the device is done with it, and never piled up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core.errors import OutOfMemoryError, UnsupportedOpError
from grilly_vulkan import transfer

Make = Callable[..., Any]


def arrays(count: int, size: int = 1000) -> list[np.ndarray]:
    return [np.full(size, i, np.int32) for i in range(count)]


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bool"])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 257, 1031, 70000])
def test_there_and_back(make: Make, dtype: str, size: int) -> None:
    backend = make()
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 1000, size).astype(dtype)
    for array in (values, np.repeat(values, 3)[::3], values[::-1]):
        back = backend.to_numpy(backend.from_numpy(array))
        assert back.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(back, array)
        assert back.flags.owndata and back.flags.writeable


def test_counters(make: Make) -> None:
    backend = make()
    x = grilly.tensor(np.ones((2, 3), np.float32), backend=backend)
    y = x.T + 1.0
    assert (backend.transfer.uploads, backend.transfer.reads) == (1, 0)
    y.numpy()
    y.sum().item()
    backend.to_numpy(backend.empty((0, 3), "float32"))
    assert (backend.transfer.uploads, backend.transfer.reads) == (1, 2), "what is empty moves nothing"


def test_staging_of_recorded_uploads_is_left_alone(make: Make) -> None:
    """Nothing is sent before the first read, so that every upload needs memory of its own."""
    backend = make(flush_at=10_000)
    given = arrays(50)
    there = [backend.from_numpy(array) for array in given]
    assert backend.stream.submitted == 0
    assert backend.staging.live >= 50 * 4000
    for handle, array in zip(there, given, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(handle), array)


def test_staging_is_reused_when_done(make: Make) -> None:
    backend = make(flush_at=1)
    slots = set()
    get = backend.staging.get
    backend.staging.get = lambda size: slots.add((slot := get(size)).addr) or slot
    for array in arrays(50):
        handle = backend.from_numpy(array)
        backend.synchronize()
    np.testing.assert_array_equal(backend.to_numpy(handle), array)
    assert len(slots) <= 2
    assert backend.staging.held == 16 << 20


def test_a_host_far_ahead_waits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_MOST_IN_FLIGHT", 100_000)
    backend = make(flush_at=10_000)
    given = arrays(100)
    there = []
    for array in given:
        there.append(backend.from_numpy(array))
        assert backend.staging.live <= 100_000 + 4096
    assert backend.stream.submitted >= 3
    for handle, array in zip(there, given, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(handle), array)


def test_large_staging_memory_is_given_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_MOST_KEPT", 20 << 20)
    backend = make()
    large = np.arange(9 << 20, dtype=np.int32)
    handle = backend.from_numpy(large)
    np.testing.assert_array_equal(backend.to_numpy(handle), large)
    assert backend.staging.held >= large.nbytes
    for _ in range(2):
        backend.to_numpy(backend.from_numpy(np.ones(3, np.float32)))
    assert backend.staging.held < 20 << 20


@pytest.mark.parametrize("when", ["before it is sent", "while waiting"])
def test_an_interrupted_read_leaves_staging_in_order(
    make: Make, faulty: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Ctrl-C during a read: the copy may still run, so that its target must not be handed out before it has."""
    backend = make(flush_at=10_000)
    handle = backend.from_numpy(np.full(1000, 7, np.int32))
    backend.synchronize()

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if when == "before it is sent":
            patch.setattr(backend.stream, "flush", lambda for_host: interrupt(0))
        else:
            patch.setitem(faulty.results, "vkWaitSemaphores", interrupt)
        with pytest.raises(KeyboardInterrupt):
            backend.to_numpy(handle)
    assert backend.staging.live >= 4000, "the copy will write there yet"
    given = arrays(5)
    there = [backend.from_numpy(array) for array in given]
    for uploaded, array in zip(there, given, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(uploaded), array)
    np.testing.assert_array_equal(backend.to_numpy(handle), np.full(1000, 7))


def test_no_staging_memory(make: Make, faulty: Any) -> None:
    backend = make()
    faulty.results["vkAllocateMemory"] = -1
    faulty.results["vkMapMemory"] = -5
    live = backend.memory.live
    with pytest.raises(OutOfMemoryError, match="out of host memory"):
        backend.from_numpy(np.ones(3, np.float32))
    faulty.results.clear()
    assert backend.to_numpy(backend.from_numpy(np.ones(3, np.float32))).tolist() == [1, 1, 1]
    backend.memory.settle()
    assert backend.memory.live == live


def test_more_elements_than_shaders_count(make: Make) -> None:
    backend = make()
    with pytest.raises(UnsupportedOpError, match=r"elements.*Split it"):
        backend.empty((1 << 20, 1 << 20), "float32")


def test_larger_than_the_device_gives_in_one_piece(make: Make, device: Any) -> None:
    backend = make()
    backend.memory.limit = 1 << 62
    elements = min(device.allocation // 4 + 1, (1 << 31) - 1)
    if 4 * elements <= device.allocation:
        pytest.skip("this device gives more in one piece than an array may have")
    with pytest.raises(OutOfMemoryError, match=r"gives at most [\d,]+ bytes in one piece"):
        backend.empty((elements,), "float32")
