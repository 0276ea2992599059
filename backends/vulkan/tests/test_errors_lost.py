"""A device lost at any call: the right exception at once, the same from then on, never a hang, a clean exit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
from grilly import nn
from grilly_core.errors import DeviceLostError
from grilly_core.selection import using

Make = Callable[..., Any]
CALLS = ["vkQueueSubmit", "vkWaitSemaphores", "vkGetSemaphoreCounterValue"]


def train(backend: Any) -> float:
    """One training step and its loss."""
    with using(backend):
        grilly.seed(0)
        x = grilly.tensor(np.ones((3, 2, 4), np.float32))
        net = nn.Sequential(nn.Linear(4, 3), nn.LIFNode(step_mode="m"))
        loss = (net(x) * x[:, :, :3]).sum()
        loss.backward()
        return loss.item()


def calls_of_a_step(make: Make, faulty: Any) -> dict[str, int]:
    backend = make(flush_at=3)
    train(backend)
    return {name: faulty.calls[name] for name in CALLS}


def uses(backend: Any) -> list[Callable[[], Any]]:
    return [
        lambda: train(backend),
        lambda: backend.from_numpy(np.ones(3, np.float32)),
        lambda: backend.empty((3,), "float32"),
        backend.synchronize,
        lambda: backend.pipelines.get("never seen"),
    ]


@pytest.mark.parametrize("call", CALLS)
def test_lost_at_every_call(make: Make, faulty: Any, call: str) -> None:
    count = calls_of_a_step(make, faulty)[call]
    assert count >= 1
    for k in range(1, count + 1):
        faulty.results.clear()
        backend = make(flush_at=3)
        faulty.calls.clear()
        faulty.results[call] = lambda n, k=k: -4 if n == k else None
        began = time.monotonic()
        with pytest.raises(DeviceLostError) as caught:
            train(backend)
        said = str(caught.value)
        assert f"{call}: the device was lost (VK_ERROR_DEVICE_LOST); the last shaders recorded were: " in said
        assert "restart it, update the GPU driver, and set GRILLY_VK_SYNC=1" in said
        faulty.results.clear()
        faulty.calls.clear()
        for use in uses(backend):
            with pytest.raises(DeviceLostError) as again:
                use()
            assert str(again.value) == said
        assert not [name for name in CALLS if faulty.calls[name]], "the device is not asked again"
        backend.close()
        assert time.monotonic() - began < 5
        assert faulty.calls["vkDestroyDevice"] == 0, "drivers hang or crash on what is gone"


def test_tensors_of_a_lost_device_say_so(make: Make, faulty: Any) -> None:
    backend = make()
    x = grilly.tensor(np.ones(3, np.float32), backend=backend)
    faulty.results["vkQueueSubmit"] = -4
    with pytest.raises(DeviceLostError, match="the last shaders recorded were: copy, copy"):
        x.numpy()
    faulty.results.clear()
    for use in (x.numpy, lambda: x + x, lambda: F.sigmoid(x), lambda: x.sum().item()):
        with pytest.raises(DeviceLostError, match="vkQueueSubmit: the device was lost"):
            use()


def test_a_lost_device_hurts_no_other(make: Make, faulty: Any) -> None:
    lost, other = make(), make()
    expected = train(other)
    faulty.results["vkQueueSubmit"] = -4
    with pytest.raises(DeviceLostError):
        train(lost)
    faulty.results.clear()
    assert train(other) == expected


def test_exit_after_a_loss(run: Any, device: Any) -> None:
    done = run(
        """
        import numpy as np, grilly
        from grilly_vulkan import _vk
        class Lost:
            def __getattr__(self, name):
                return (lambda *args: -4) if name == "vkQueueSubmit" else getattr(real, name)
        backend = grilly.use_backend("vulkan")
        x = grilly.tensor(np.ones(3, np.float32))
        real, _vk.lib = _vk.lib, Lost()
        for _ in range(3):
            try:
                (x + x).numpy()
            except grilly.errors.DeviceLostError as error:
                print("lost:", error)
        cycle = [x]
        cycle.append(cycle)
        """,
        GRILLY_PROFILE="1",
    )
    assert (done.code, done.err) == (0, "") and done.seconds < 5
    assert done.out.count("lost: vkQueueSubmit: the device was lost") == 3
