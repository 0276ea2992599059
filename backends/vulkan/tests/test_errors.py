"""Every result of Vulkan is a named exception; opening that fails leaves nothing behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core.errors import (
    BackendUnavailable,
    ConfigError,
    DeviceLostError,
    GrillyError,
    OutOfMemoryError,
)
from grilly_vulkan import _vk
from grilly_vulkan import device as device_module
from grilly_vulkan.backend import open_backend

CODES = _vk.ffi.typeof("VkResult").elements
EXPECTED = {
    -1: OutOfMemoryError, -2: OutOfMemoryError, -12: OutOfMemoryError, -1000069000: OutOfMemoryError,
    -1000161000: OutOfMemoryError, -3: BackendUnavailable, -6: BackendUnavailable, -7: BackendUnavailable,
    -8: BackendUnavailable, -9: BackendUnavailable, -4: DeviceLostError,
}  # fmt: skip


@pytest.mark.parametrize("code", [code for code in CODES if code != 0], ids=lambda code: CODES[code])
def test_every_code(code: int) -> None:
    with pytest.raises(GrillyError) as caught:
        _vk.check(code, "vkSomething")
    assert type(caught.value) is EXPECTED.get(code, _vk.VulkanError)
    assert "vkSomething" in str(caught.value) and CODES[code] in str(caught.value)


def test_success_and_codes_of_the_future() -> None:
    _vk.check(0, "vkSomething")
    with pytest.raises(_vk.VulkanError, match="vkSomething failed: VkResult -987654"):
        _vk.check(-987654, "vkSomething")
    assert len(CODES) > 40
    assert issubclass(OutOfMemoryError, MemoryError)


def balance(lib: Any) -> dict[str, int]:
    """Objects made and not destroyed, by kind."""
    made = {"vkCreateComputePipelines": "vkDestroyPipeline", "vkAllocateMemory": "vkFreeMemory"}
    for name in list(lib.calls):
        if name.startswith("vkCreate") and name not in made:
            made[name] = name.replace("Create", "Destroy")
    return {create: n for create, destroy in made.items() if (n := lib.calls[create] - lib.calls[destroy])}


@pytest.mark.parametrize(
    "call", ["vkCreateDevice", "vkCreateSemaphore", "vkCreatePipelineCache", "vkCreateCommandPool"]
)
@pytest.mark.parametrize(
    "code, said", [(-1, "out of host memory"), (-2, "out of memory"), (-10, "TOO_MANY_OBJECTS")]
)
def test_a_device_that_cannot_be_opened(faulty: Any, device: Any, call: str, code: int, said: str) -> None:
    faulty.results[call] = code
    alive = list(device_module._alive)
    with pytest.raises(BackendUnavailable, match=rf"Vulkan device .* cannot be opened: {call}.*{said}"):
        open_backend(None, False)
    assert device_module._alive == alive
    faulty.calls[call] -= 1  # that one made nothing
    assert balance(faulty) == {}


def test_an_unusable_setting_leaves_nothing_open(
    faulty: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("much", "0", "-5", "1.5"):
        monkeypatch.setenv("GRILLY_VK_MEMORY_MB", text)
        with pytest.raises(ConfigError, match=rf"GRILLY_VK_MEMORY_MB='{text}' must be a whole number"):
            open_backend(None, False)
    assert balance(faulty) == {}
    monkeypatch.setenv("GRILLY_VK_MEMORY_MB", "100")
    backend = open_backend(None, False)
    assert backend.memory.limit == 100 << 20
    backend.close()
    assert balance(faulty) == {}


def test_a_pipeline_that_the_driver_refuses(make: Any, faulty: Any) -> None:
    backend = make()
    faulty.results["vkCreateComputePipelines"] = -13
    with pytest.raises(_vk.VulkanError, match=r"vkCreateComputePipelines \(fill\) failed: VK_ERROR_UNKNOWN"):
        backend.filled((3,), 1.0, "float32")
    faulty.results.clear()
    assert backend.to_numpy(backend.filled((3,), 2.0, "float32")).tolist() == [2.0] * 3
    backend.close()
    faulty.calls["vkCreateComputePipelines"] -= 1
    assert balance(faulty) == {}


def test_a_driver_without_a_function(device: Any, faulty: Any) -> None:
    faulty.results["vkGetDeviceProcAddr"] = lambda n: _vk.ffi.NULL
    with pytest.raises(BackendUnavailable, match="the driver has no vkCmdBindPipeline; update it"):
        open_backend(None, False)
    assert balance(faulty) == {}


def test_using_what_is_closed(make: Any) -> None:
    backend = make()
    x = grilly.tensor(np.ones(3, np.float32), backend=backend)
    backend.close()
    backend.close()
    for use in (
        lambda: x + x,
        x.numpy,
        lambda: grilly.ones((3,), backend=backend) + 1.0,
        backend.synchronize,
    ):
        with pytest.raises(DeviceLostError, match="the Vulkan backend was closed"):
            use()
