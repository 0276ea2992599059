"""Hundreds of training steps: memory stays flat, and nothing crosses the bus but the batch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import grilly
import grilly.functional as F
from grilly import nn, optim
from grilly_core.selection import using
from grilly_vulkan.array import DeviceArray

Make = Callable[..., Any]
STEPS, WARM = 300, 30


class State(NamedTuple):
    """What must not grow."""

    live: int
    held: int
    staging: int
    arrays: int
    slots: int
    pipelines: int


def state(backend: Any) -> State:
    backend.memory.settle()
    backend.synchronize()
    return State(
        backend.memory.live,
        backend.memory.held,
        backend.staging.held,
        sum(type(item) is DeviceArray for item in gc.get_objects()),
        sum(block.live for block in backend.memory.blocks),
        len(backend.pipelines._kernels),
    )


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, step_mode="m"),
        nn.BatchNorm2d(4, step_mode="m"),
        nn.LIFNode(step_mode="m"),
        nn.MaxPool2d(2, step_mode="m"),
        nn.Flatten(step_mode="m"),
        nn.Linear(4 * 9, 3),
        nn.LIFNode(step_mode="m"),
    )


def test_training_steps(make: Make) -> None:
    backend = make()
    random = np.random.default_rng(0)
    with using(backend):
        grilly.seed(0)
        net = network()
        optimiser = optim.Adam(net.parameters(), lr=1e-3)
        after_warming = None
        gc.collect()
        gc.disable()  # reference counts alone must free every array of a step
        try:
            for i in range(STEPS):
                x, y = random.random((3, 2, 1, 6, 6), np.float32), random.integers(0, 3, 2).astype(np.int32)
                before = backend.transfer.uploads, backend.transfer.reads
                optimiser.zero_grad()
                loss = F.cross_entropy(net(grilly.tensor(x)).mean(0), grilly.tensor(y))
                loss.backward()
                optimiser.step()
                F.reset_net(net)
                moved = backend.transfer.uploads - before[0], backend.transfer.reads - before[1]
                if i >= WARM:
                    assert moved == (2, 0), (
                        f"step {i} moved {moved} arrays: images and labels go up, nothing back"
                    )
                if i == WARM:
                    after_warming = state(backend)
            assert state(backend) == after_warming
        finally:
            gc.enable()
        reads = backend.transfer.reads
        assert np.isfinite(loss.item())
        assert backend.transfer.reads == reads + 1, "what the program reads, and no more"
    assert len(backend.stream._ring) <= 16


def test_everything_comes_back(make: Make) -> None:
    backend = make()
    with using(backend):
        net = network()
        out = net(grilly.tensor(np.ones((3, 2, 1, 6, 6), np.float32)))
        out.sum().backward()
        backend.memory.settle()
        busy = backend.memory.live
        del net, out
        gc.collect()
    backend.memory.settle()
    # Constants that belong to the backend stay: 0-d numbers and small tables.
    assert backend.memory.live < busy / 2 and backend.memory.live <= 64 * 256
    backend.synchronize()
    backend.memory.trim()
    assert len(backend.memory.blocks) <= 1


def test_errors_keep_no_memory(make: Make) -> None:
    backend = make()
    x = grilly.tensor(np.ones((4, 5), np.float32), backend=backend)
    backend.memory.settle()
    before = backend.memory.live
    for _ in range(20):
        try:
            F.linear(x + 1.0, x)
            x @ x
        except grilly.errors.ShapeError:
            pass
        else:
            raise AssertionError("shapes that do not fit")
    backend.memory.settle()
    assert backend.memory.live <= before + 256
