"""The pool of threads and the pool of memory."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from grilly_core.errors import ConfigError
from grilly_numpy import memory, threads
from grilly_numpy.threads import parallel_for, thread_count


@pytest.fixture(params=[1, 2, 4])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_count", request.param)
    monkeypatch.setattr(threads, "_executor", None)
    return int(request.param)


@pytest.mark.parametrize("calls", [0, 1, 2, 100])
def test_every_index_once(count: int, calls: int) -> None:
    seen: list[int] = []
    parallel_for(calls, seen.append)
    assert sorted(seen) == list(range(calls))


def test_threads_help(count: int) -> None:
    names = set()

    def body(i: int) -> None:
        names.add(threading.current_thread().name)
        time.sleep(0.01)

    parallel_for(8, body)
    assert len(names) == count


def test_exceptions_reach_the_caller_after_every_call_has_ended(count: int) -> None:
    running = set()

    def body(i: int) -> None:
        running.add(i)
        try:
            time.sleep(0.002)
            if i == 3:
                raise KeyError("three")
        finally:
            running.discard(i)

    with pytest.raises(KeyError, match="three"):
        parallel_for(50, body)
    assert not running
    test_every_index_once(count, 5)


def test_calls_nest(count: int) -> None:
    total = np.zeros((6, 6))

    def outer(i: int) -> None:
        def inner(j: int) -> None:
            time.sleep(0.0005)
            total[i, j] += 1

        parallel_for(6, inner)

    parallel_for(6, outer)
    assert (total == 1).all()


def test_no_floating_point_warnings_inside(count: int) -> None:
    parallel_for(4, lambda i: np.divide(np.ones(3), np.zeros(3)))


def test_one_call_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count", 4)
    monkeypatch.setattr(threads, "_executor", None)
    parallel_for(1, lambda i: None)
    assert threads._executor is None


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("GRILLY_NUM_THREADS", text)
    with pytest.raises(ConfigError, match=f"GRILLY_NUM_THREADS='{text}'.*set 1 or more"):
        thread_count()


def test_variable_sets_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("GRILLY_NUM_THREADS", "3")
    assert thread_count() == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setattr(threads, "_executor", None)
    parallel_for(8, lambda i: time.sleep(0.001))
    with threads._lock, memory._pool.lock:  # as if another thread held them at the fork
        child = os.fork()
        if child == 0:
            seen: list[int] = []
            parallel_for(8, seen.append)
            memory.empty((1 << 20,), np.dtype("float32")).fill(0)
            os._exit(0 if sorted(seen) == list(range(8)) and memory.idle_bytes() else 1)
    deadline = time.monotonic() + 5
    done = (0, 0)
    while done[0] == 0 and time.monotonic() < deadline:
        done = os.waitpid(child, os.WNOHANG)
        time.sleep(0.005)
    if done[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done[0] == child and os.waitstatus_to_exitcode(done[1]) == 0


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (1 << 17, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int32"])
def test_empty_is_like_numpys(shape: tuple[int, ...], dtype: str) -> None:
    made, want = memory.empty(shape, np.dtype(dtype)), np.empty(shape, dtype)
    assert (made.shape, made.dtype, made.strides, type(made)) == (
        want.shape,
        want.dtype,
        want.strides,
        np.ndarray,
    )
    assert made.flags.writeable and made.flags.aligned and made.flags.c_contiguous


def test_memory_of_large_arrays_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory._pool, "_limit", 8 << 20)
    memory.trim()
    shape, dtype = (1 << 18,), np.dtype("float32")
    first = memory.empty(shape, dtype)
    address, view = first.ctypes.data, first.reshape(2, -1)[1][::2]
    del first
    other = memory.empty(shape, dtype)
    assert memory.idle_bytes() == 0 and not np.shares_memory(view, other)
    del view
    assert memory.idle_bytes() == 1 << 20
    again = memory.empty(shape, dtype)
    assert again.ctypes.data == address and again.flags.writeable and again.flags.aligned
    del again, other
    kept = [memory.empty((3 << 18,), dtype) for _ in range(4)]
    del kept
    assert memory.idle_bytes() <= 8 << 20
    memory.trim()
    assert memory.idle_bytes() == 0


def test_memory_is_safe_while_threads_take_and_give() -> None:
    wrong = []

    def churn(number: int) -> None:
        for _ in range(60):
            a = memory.empty((1 << 17,), np.dtype("float64"))
            a.fill(number)
            wrong.extend(a[a != number][:1])

    workers = [threading.Thread(target=churn, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_pool_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    monkeypatch.setenv("GRILLY_NUMPY_POOL_MB", "0")
    assert memory.empty((1 << 20,), np.dtype("float32")).flags.owndata
    memory._pool._limit = None
    monkeypatch.setenv("GRILLY_NUMPY_POOL_MB", "much")
    with pytest.raises(ConfigError, match="GRILLY_NUMPY_POOL_MB='much'"):
        memory.empty((1 << 20,), np.dtype("float32"))
