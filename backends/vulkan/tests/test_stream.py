"""Recording and submitting: same results whenever work is sent, buffers reused when done, barriers where needed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
from grilly import nn, optim
from grilly_core import ops
from grilly_core.errors import DeviceLostError, OutOfMemoryError
from grilly_core.selection import using

Make = Callable[..., Any]


def network(backend: Any, seed: int = 0) -> tuple[nn.Module, optim.Adam, grilly.Tensor, grilly.Tensor]:
    """A small network with its optimiser, inputs and labels."""
    with using(backend):
        grilly.seed(seed)
        net = nn.Sequential(nn.Linear(12, 16), nn.LIFNode(step_mode="m"), nn.Linear(16, 3))
        x = grilly.tensor(np.random.default_rng(seed).random((4, 5, 12), np.float32))
        labels = grilly.tensor(np.array([0, 1, 2, 1, 0], np.int32))
        return net, optim.Adam(net.parameters(), lr=1e-2), x, labels


def train(
    net: nn.Module, optimiser: optim.Adam, x: grilly.Tensor, labels: grilly.Tensor, steps: int
) -> list[np.ndarray]:
    """The parameters after some steps."""
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(net(x).mean(0), labels).backward()
        optimiser.step()
        F.reset_net(net)
    return [p.numpy() for p in net.parameters()]


def step(backend: Any) -> list[np.ndarray]:
    """Two training steps."""
    return train(*network(backend), steps=2)


class Log:
    """What a stream records: 'barrier' with its target stage, 'dispatch', and the addresses each op touches."""

    def __init__(self, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Any] = []
        commands, op = stream._commands, stream.op

        class Logged:
            bind, push = commands.bind, commands.push

            @staticmethod
            def barrier(target: Any, before: int, after: int, *rest: Any) -> None:
                self.events.append(("barrier", after))
                commands.barrier(target, before, after, *rest)

            @staticmethod
            def dispatch(*args: Any) -> None:
                self.events.append(("dispatch", self._touched))
                commands.dispatch(*args)

        def logged(kernel: Any, groups: Any, reads: Any, writes: Any, values: Any) -> None:
            self._touched = {s.addr for s in reads}, {s.addr for s in writes}
            op(kernel, groups, reads, writes, values)

        monkeypatch.setattr(stream, "_commands", Logged)
        monkeypatch.setattr(stream, "op", logged)

    def unordered(self) -> list[tuple[int, int]]:
        """Pairs of dispatches that conflict without a barrier between them."""
        found, ops = [], [(i, e[1]) for i, e in enumerate(self.events) if e[0] == "dispatch"]
        barriers = np.cumsum([e[0] == "barrier" for e in self.events])
        for n, (j, (reads, writes)) in enumerate(ops):
            for i, (earlier_reads, earlier_writes) in ops[:n]:
                conflict = earlier_writes & (reads | writes) or earlier_reads & writes
                if conflict and barriers[i] == barriers[j]:
                    found.append((i, j))
        return found


@pytest.mark.parametrize("flush_at", [1, 7, 1000])
def test_results_do_not_depend_on_when_work_is_sent(make: Make, flush_at: int) -> None:
    for usual, other in zip(step(make()), step(make(flush_at=flush_at)), strict=True):
        np.testing.assert_array_equal(usual, other)


def test_a_training_step_has_every_barrier(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = make()
    log = Log(backend.stream, monkeypatch)
    step(backend)
    assert sum(e[0] == "dispatch" for e in log.events) > 50
    assert log.unordered() == []
    needed = sum(e == ("barrier", 0x800) for e in log.events)
    assert needed == backend.stream.barriers < sum(e[0] == "dispatch" for e in log.events)


@pytest.mark.parametrize("flush_at", [1, 1000])
def test_reads_wait_behind_a_barrier_for_the_host(
    make: Make, monkeypatch: pytest.MonkeyPatch, flush_at: int
) -> None:
    """Also when the copy itself filled the command buffer and was submitted at once."""
    backend = make(flush_at=flush_at)
    x = grilly.tensor(np.arange(5, dtype=np.float32), backend=backend)
    log = Log(backend.stream, monkeypatch)
    np.testing.assert_array_equal((x + x).numpy(), 2 * np.arange(5))
    assert log.events[-1] == ("barrier", 0x4000)


def test_reads_see_what_was_written_last(make: Make) -> None:
    backend = make(flush_at=3)
    x = grilly.zeros((1000,), backend=backend)
    for i in range(20):
        x = x + 1.0
        assert x.numpy().tolist() == [i + 1.0] * 1000


def test_command_buffers_are_reused_when_done(make: Make) -> None:
    backend = make(flush_at=1)
    x = grilly.zeros((4,), backend=backend)
    for _ in range(100):
        x = x + 1.0
        backend.synchronize()
    assert backend.stream.submitted > 100
    assert len(backend.stream._ring) <= 4


def test_command_buffers_in_use_are_left_alone(make: Make, faulty: Any) -> None:
    """A device that seems not to advance: every submission needs another buffer, up to a bound; then the host waits."""
    backend = make(flush_at=1)
    faulty.results["vkGetSemaphoreCounterValue"] = 0  # a value that nobody wrote: zero
    x = grilly.zeros((4,), backend=backend)
    backend.synchronize()
    waits = faulty.calls["vkWaitSemaphores"]
    for _ in range(10):
        x = x + 1.0
    assert len(backend.stream._ring) > 10 and faulty.calls["vkWaitSemaphores"] == waits
    for _ in range(90):
        x = x + 1.0
    assert len(backend.stream._ring) == 16
    assert faulty.calls["vkWaitSemaphores"] > waits
    assert x.numpy().tolist() == [100.0] * 4


def test_work_is_sent_soon_while_the_device_is_idle(make: Make) -> None:
    backend = make()
    x = grilly.zeros((4,), backend=backend)
    before = backend.stream.submitted
    for _ in range(40):
        x = x + 1.0
    assert backend.stream.submitted > before


def test_wait_for_work_that_is_not_sent_yet(make: Make) -> None:
    backend = make(flush_at=1000)
    x = grilly.zeros((4,), backend=backend) + 1.0
    backend.stream.wait(backend.stream.recorded)
    assert backend.stream.completed() == backend.stream.recorded == backend.stream.submitted
    assert x.numpy().tolist() == [1.0] * 4


def test_a_submission_without_memory_is_tried_again(make: Make, faulty: Any) -> None:
    backend = make(flush_at=1000)
    x = grilly.zeros((4,), backend=backend) + 1.0
    faulty.results["vkQueueSubmit"] = lambda n: -2 if n == 1 else None
    assert x.numpy().tolist() == [1.0] * 4
    assert faulty.calls["vkQueueSubmit"] == 2


def test_a_submission_that_fails_is_kept_for_later(make: Make, faulty: Any) -> None:
    backend = make(flush_at=1000)
    x = grilly.zeros((4,), backend=backend) + 1.0
    faulty.results["vkQueueSubmit"] = -1
    with pytest.raises(OutOfMemoryError, match=r"vkQueueSubmit: out of host memory"):
        backend.synchronize()
    with pytest.raises(OutOfMemoryError):
        x.numpy()
    faulty.results.clear()
    assert (x + 1.0).numpy().tolist() == [2.0] * 4, "nothing recorded before is lost"
    assert backend.stream.completed() == backend.stream.submitted


def test_a_recording_that_the_driver_cannot_keep(make: Make, faulty: Any) -> None:
    backend = make(flush_at=1000)
    x = grilly.zeros((4,), backend=backend) + 1.0
    faulty.results["vkEndCommandBuffer"] = -1
    with pytest.raises(DeviceLostError, match=r"vkEndCommandBuffer: VK_ERROR_OUT_OF_HOST_MEMORY"):
        x.numpy()


def test_threads_train_at_once(make: Make) -> None:
    backend = make()
    networks = {n: network(backend, seed=n) for n in range(3)}
    alone = {n: train(*network(backend, seed=n), steps=20) for n in range(3)}
    results: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        results[number] = train(*networks[number], steps=20)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(results) == [0, 1, 2], "a thread failed"
    for n in range(3):
        for one, other in zip(results[n], alone[n], strict=True):
            np.testing.assert_array_equal(one, other)


def test_others_record_while_one_waits(make: Make, faulty: Any) -> None:
    """A read in one thread, of work that takes long, keeps no other from recording."""
    backend = make()
    x = grilly.tensor(np.ones(8, np.float32), backend=backend)
    backend.synchronize()
    waiting, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if threading.current_thread() is reader:
            waiting.set()
            assert go_on.wait(20)

    faulty.results["vkWaitSemaphores"] = hold
    got: list[np.ndarray] = []
    reader = threading.Thread(target=lambda: got.append(x.numpy()))
    reader.start()
    assert waiting.wait(20)
    try:
        assert (x + 1.0).numpy().tolist() == [2.0] * 8
    finally:
        go_on.set()
        reader.join()
    assert got[0].tolist() == [1.0] * 8


def test_one_by_one_names_the_shader(make: Make, faulty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_VK_SYNC", "1")
    backend = make()
    x = grilly.tensor(np.ones(3, np.float32), backend=backend)
    submitted = backend.stream.submitted
    y = (x + x) * x
    assert backend.stream.submitted == submitted + 2 == backend.stream.completed()
    faulty.results["vkWaitSemaphores"] = -4
    with pytest.raises(DeviceLostError, match=r"VK_ERROR_DEVICE_LOST\); in shader unary\. ") as caught:
        ops.exp(y)
    assert "GRILLY_VK_SYNC" not in str(caught.value)
