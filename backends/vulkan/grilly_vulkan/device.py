"""The logical device: queue, semaphore, kinds of memory; and what happens when it is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from grilly_core.extend import BackendUnavailable, DeviceLostError
from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new
from grilly_vulkan.capabilities import Capabilities
from grilly_vulkan.commands import Commands
from grilly_vulkan.instance import FORKED, keep_instance

__all__ = ["Device"]

_DEVICE_LOCAL, _HOST_VISIBLE, _COHERENT, _CACHED = 1, 2, 4, 8
_SPECIAL = (
    0x10 | 0x20 | 0x40 | 0x80
)  # lazily allocated, protected, AMD's coherent ones: only for who asked for them
_V12 = (
    "bufferDeviceAddress", "timelineSemaphore", "shaderFloat16", "vulkanMemoryModel", "vulkanMemoryModelDeviceScope",
    "scalarBlockLayout",
)  # fmt: skip
_SPIN_SECONDS = 2e-4
_POLL_NS = 100_000_000  # Ctrl-C is answered between waits

_alive: list[Device] = []


class Device:
    """A ``VkDevice`` with one compute queue and one timeline semaphore.

    Attributes:
        capabilities: what it can do.
        commands: functions that record commands.
        lock: held while anything is recorded or submitted.
        reason: why it cannot be used any more, '' while it can.
        abandoned: nothing of it may be destroyed: it is lost, another process's, or still at work.
        on_lost: called when it is lost.
        timestamp_bits: bits that count in a timestamp of its queue.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.lock = threading.RLock()
        self.reason = ""
        self.abandoned = False
        self._closer = 0
        self.on_lost: Callable[[], None] = lambda: None
        self.family, self.timestamp_bits = self._compute_family()
        self.handle = self._create()
        try:
            self.commands = Commands(self.handle)
            self.semaphore = self._timeline()
        except BaseException:
            _vk.lib.vkDestroyDevice(self.handle, ffi.NULL)
            raise
        queue = ffi.new("VkQueue*")
        _vk.lib.vkGetDeviceQueue(self.handle, self.family, 0, queue)
        self.queue = queue[0]
        self._memory = ffi.new("VkPhysicalDeviceMemoryProperties*")
        _vk.lib.vkGetPhysicalDeviceMemoryProperties(capabilities.handle, self._memory)
        _alive.append(self)

    def _compute_family(self) -> tuple[int, int]:
        """The first family that computes, without graphics if there is one; and its timestamps' bits."""
        count = ffi.new("uint32_t*")
        _vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.capabilities.handle, count, ffi.NULL)
        families = ffi.new("VkQueueFamilyProperties[]", count[0])
        _vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.capabilities.handle, count, families)
        able = [i for i in range(count[0]) if families[i].queueFlags & 2]
        if not able:
            raise BackendUnavailable(f"Vulkan device {self.capabilities.name} has no queue that computes")
        # Timestamps are wanted for profiling, and some compute-only families have none.
        plain = [i for i in able if not families[i].queueFlags & 1 and families[i].timestampValidBits]
        chosen = (plain or able)[0]
        return chosen, families[chosen].timestampValidBits

    def _create(self) -> Any:
        caps = self.capabilities
        v12 = new("VkPhysicalDeviceVulkan12Features", "PHYSICAL_DEVICE_VULKAN_1_2_FEATURES")
        v11 = new("VkPhysicalDeviceVulkan11Features", "PHYSICAL_DEVICE_VULKAN_1_1_FEATURES", pNext=v12)
        wanted = new("VkPhysicalDeviceFeatures2", "PHYSICAL_DEVICE_FEATURES_2", pNext=v11)
        for name in _V12:
            setattr(v12, name, name in caps.features)
        v11.storageBuffer16BitAccess = "storageBuffer16BitAccess" in caps.features
        wanted.features.shaderInt64 = "shaderInt64" in caps.features
        wanted.features.shaderInt16 = "shaderInt16" in caps.features
        names = [name for name in ("VK_KHR_portability_subset",) if name in caps.extensions]
        matrix = None
        if caps.matrices:
            names.append("VK_KHR_cooperative_matrix")
            matrix = new(
                "VkPhysicalDeviceCooperativeMatrixFeaturesKHR",
                "PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR",
            )
            matrix.cooperativeMatrix = True
            v12.pNext = matrix
        priority = ffi.new("float[]", [1.0])
        queue = new(
            "VkDeviceQueueCreateInfo", "DEVICE_QUEUE_CREATE_INFO", queueFamilyIndex=self.family, queueCount=1
        )
        queue.pQueuePriorities = priority
        strings = [ffi.new("char[]", name.encode()) for name in names]
        array = ffi.new("char*[]", strings)
        info = new("VkDeviceCreateInfo", "DEVICE_CREATE_INFO", pNext=wanted, queueCreateInfoCount=1)
        info.pQueueCreateInfos = queue
        info.enabledExtensionCount, info.ppEnabledExtensionNames = len(names), array
        out = ffi.new("VkDevice*")
        check(_vk.lib.vkCreateDevice(caps.handle, info, ffi.NULL, out), "vkCreateDevice")
        return out[0]

    def _timeline(self) -> Any:
        kind = new("VkSemaphoreTypeCreateInfo", "SEMAPHORE_TYPE_CREATE_INFO", semaphoreType=1)
        info = new("VkSemaphoreCreateInfo", "SEMAPHORE_CREATE_INFO", pNext=kind)
        out = ffi.new("VkSemaphore*")
        check(_vk.lib.vkCreateSemaphore(self.handle, info, ffi.NULL, out), "vkCreateSemaphore")
        return out[0]

    # Use and loss

    def check_alive(self) -> None:
        """Refuse work on a device that was lost, closed, or opened before a fork.

        Raises:
            DeviceLostError: with the reason.
        """
        if self.reason and self._closer != threading.get_ident():
            raise DeviceLostError(self.reason)

    def lose(self, reason: str) -> None:
        """Refuse all work from now on, and destroy nothing: a driver may hang or crash on a device that is gone."""
        self.reason = reason
        self.abandoned = True
        self.on_lost()

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Refuse the work of other threads, one of which might not let go of the lock otherwise; then take it."""
        self.reason = self.reason or "the Vulkan backend was closed; its tensors cannot be used any more"
        with self.lock:
            self._closer = threading.get_ident()
            try:
                yield
            finally:
                self._closer = 0

    def completed(self) -> int:
        """The last value of the timeline that the device has reached."""
        value = ffi.new("uint64_t*")
        check(
            _vk.lib.vkGetSemaphoreCounterValue(self.handle, self.semaphore, value),
            "vkGetSemaphoreCounterValue",
        )
        return int(value[0])

    def wait(self, value: int) -> None:
        """Return when the device has reached ``value``; Ctrl-C is answered within a tenth of a second."""
        if not self.capabilities.is_cpu and self._reached_soon(value):
            return
        semaphores, values = ffi.new("VkSemaphore[]", [self.semaphore]), ffi.new("uint64_t[]", [value])
        info = new("VkSemaphoreWaitInfo", "SEMAPHORE_WAIT_INFO", semaphoreCount=1)
        info.pSemaphores, info.pValues = semaphores, values
        while (code := _vk.lib.vkWaitSemaphores(self.handle, info, _POLL_NS)) == 2:
            self.check_alive()
        check(code, "vkWaitSemaphores")

    def _reached_soon(self, value: int) -> bool:
        """Look again and again for a moment: being woken costs more than most small steps take."""
        end = time.perf_counter() + _SPIN_SECONDS
        while self.completed() < value:
            if time.perf_counter() > end:
                return False
        return True

    # Memory

    def memory_type(self, wanted: int, avoid: int = 0) -> int | None:
        """The first memory type with all flags of ``wanted`` and none of ``avoid``."""
        for i in range(self._memory.memoryTypeCount):
            flags = self._memory.memoryTypes[i].propertyFlags
            if flags & wanted == wanted and not flags & (avoid | _SPECIAL):
                return i
        return None

    def local_types(self) -> list[int]:
        """Memory types for arrays, best first."""
        found = [self.memory_type(_DEVICE_LOCAL, _HOST_VISIBLE), self.memory_type(_DEVICE_LOCAL)]
        return list(dict.fromkeys(i for i in found if i is not None))

    def staging_types(self) -> list[int]:
        """Memory types for transfers, best first: the host reads uncached memory a thousand times slower."""
        visible = _HOST_VISIBLE | _COHERENT
        found = [self.memory_type(visible | _CACHED), self.memory_type(visible)]
        return list(dict.fromkeys(i for i in found if i is not None))

    def destroy(self) -> None:
        """Give the device back, once all that was made with it is; idempotent."""
        if self.handle is None:
            return
        if self in _alive:
            _alive.remove(self)
        handle, self.handle = self.handle, None
        if self.abandoned:
            keep_instance()
            return
        _vk.lib.vkDestroySemaphore(handle, self.semaphore, ffi.NULL)
        _vk.lib.vkDestroyDevice(handle, ffi.NULL)


def _after_fork() -> None:
    for device in _alive:
        device.lock = threading.RLock()
        device.lose(FORKED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
