"""What is kept for windows, steps and shapes stays under a bound, however many of them a program goes through."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
import grilly_vulkan
from grilly_vulkan import pipeline
from grilly_vulkan.kernels import elementwise

Make = Callable[..., Any]
BOUND, WINDOWS = 6, 20
IMAGE = np.random.default_rng(0).integers(-8, 9, (1, 1, 5, 24)).astype(np.float32)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that a test can reach."""
    monkeypatch.setattr(pipeline, "_KEPT", BOUND, raising=False)


def largest(x: grilly.Tensor, width: int) -> grilly.Tensor:
    """A pool of a window of its own pipeline."""
    return F.max_pool2d(x, (1, width), (1, 1), (0, 0))


@functools.cache
def expected(width: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(IMAGE, width, axis=3).max(-1)


def on(backend: Any) -> grilly.Tensor:
    return grilly.tensor(IMAGE, backend=backend)


@pytest.mark.usefixtures("few")
def test_many_windows_keep_few_pipelines(faulty: Any, make: Make) -> None:
    backend = make()
    x = on(backend)
    for width in (*range(1, WINDOWS + 1), *range(1, WINDOWS + 1)):
        np.testing.assert_array_equal((-largest(x, width)).numpy(), -expected(width))
        assert len(backend.pipelines._kernels) <= BOUND
        assert len(backend.pipelines._dropped) <= 2, (
            "the device is done with them, all but the one bound last"
        )
    # Copy and negation, which all windows need, are never the ones used longest ago.
    assert faulty.calls["vkCreateComputePipelines"] == 2 * WINDOWS + 2
    backend.close()
    assert faulty.calls["vkDestroyPipeline"] == faulty.calls["vkCreateComputePipelines"]


@pytest.mark.usefixtures("few")
def test_recorded_work_keeps_its_pipelines(faulty: Any, make: Make) -> None:
    backend = make(flush_at=1000)
    x = on(backend)
    results = [largest(x, width) for width in range(1, WINDOWS + 1)]
    assert backend.stream.submitted == faulty.calls["vkDestroyPipeline"] == 0
    assert len(backend.pipelines._dropped) == WINDOWS + 1 - BOUND
    for width, result in enumerate(results, 1):
        np.testing.assert_array_equal(result.numpy(), expected(width))
    largest(x, WINDOWS + 1).numpy()
    assert len(backend.pipelines._dropped) <= 1
    assert faulty.calls["vkDestroyPipeline"] >= WINDOWS - BOUND


@pytest.mark.usefixtures("few")
def test_a_pipeline_about_to_be_recorded_is_not_destroyed(make: Make) -> None:
    """A thread has been given it, and waits for others that make many more."""
    backend = make()
    x = on(backend)
    negate = backend.pipelines.get("unary", (elementwise._UNARY.index("neg"), 1))
    for width in range(1, WINDOWS + 1):
        largest(x, width).numpy()
    assert negate in backend.pipelines._dropped
    given, out = x._data, backend.empty(IMAGE.shape, "float32")
    backend.stream.op(
        negate, 1, [given.slot], [out.slot], [given.addr, out.addr, out.size, *elementwise._SAME_1]
    )
    np.testing.assert_array_equal(backend.to_numpy(out), -IMAGE)
    assert negate in backend.pipelines._dropped
    del negate
    for width in (1, 2):
        largest(x, width).numpy()
    assert "unary" not in [kernel.name for kernel in backend.pipelines._dropped]


@pytest.mark.usefixtures("few")
def test_a_device_lost_while_room_is_made(faulty: Any, make: Make) -> None:
    backend = make(flush_at=1000)
    x = on(backend)
    for width in range(1, WINDOWS):
        largest(x, width)
    faulty.results["vkGetSemaphoreCounterValue"] = -4
    with pytest.raises(grilly.errors.DeviceLostError, match="last shaders recorded were: pool"):
        largest(x, WINDOWS)
    backend.close()
    assert not faulty.calls["vkDestroyPipeline"], "a driver may hang on a device that is gone"


@pytest.mark.usefixtures("few")
def test_threads_share_few_pipelines(make: Make) -> None:
    backend = make()
    x, wrong = on(backend), []

    def work(first: int) -> None:
        for i in range(WINDOWS):
            width = (first + i) % WINDOWS + 1
            if not np.array_equal(largest(x, width).numpy(), expected(width)):
                wrong.append(width)

    threads = [threading.Thread(target=work, args=(7 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(backend.pipelines._kernels) <= BOUND


def planners() -> Iterator[Any]:
    """Every cached function of the package that takes arguments."""
    for module in pkgutil.walk_packages(grilly_vulkan.__path__, "grilly_vulkan."):
        members = vars(importlib.import_module(module.name)).values()
        yield from (one for one in members if hasattr(one, "cache_info") and one is not pipeline.manifest)


def test_many_shapes_keep_few_plans(make: Make) -> None:
    backend = make()
    for n in range(1, 201):
        x = grilly.tensor(np.ones((2, n, 3), np.float32), backend=backend)
        shares = F.softmax(x, 1) * (x.transpose(2, 1, 0) + 1.0).sum((0, 1, 2))
        assert shares.sum().item() == pytest.approx(72.0 * n, rel=1e-5)
    assert len(backend.pipelines._kernels) <= 16, "extents make no pipelines"
    assert len(backend.tables._kept) <= 64
    assert all(planner.cache_info().maxsize <= 4096 for planner in planners())
