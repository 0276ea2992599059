"""Blocks of device memory from the driver: one buffer and one allocation each."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from grilly_core.extend import OutOfMemoryError
from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new
from grilly_vulkan.device import Device
from grilly_vulkan.memory import Block

__all__ = ["BlockSource"]

_USAGE = 0x20 | 0x1 | 0x2 | 0x20000  # storage buffer, transfer source and target, device address
_DEVICE_ADDRESS = 2


class BlockSource:
    """Blocks of one kind of memory.

    Args:
        device: the device.
        types: memory types, best first.
        mapped: let the host see them; the types must allow it.
    """

    def __init__(self, device: Device, types: list[int], mapped: bool = False) -> None:
        self._device = device
        self._types = types
        self._mapped = mapped

    def allocate(self, size: int) -> Block:
        """A block of ``size`` bytes.

        Raises:
            OutOfMemoryError: no memory type has room, or the device makes no block of that size.
        """
        capabilities, handle, lib = self._device.capabilities, self._device.handle, _vk.lib
        if size > capabilities.allocation:
            raise OutOfMemoryError(
                f"Vulkan device {capabilities.name} gives at most {capabilities.allocation:,} bytes in one piece"
            )
        with ExitStack() as undo:
            buffer = self._buffer(size)
            undo.callback(lib.vkDestroyBuffer, handle, buffer, ffi.NULL)
            memory = self._allocate(buffer)
            undo.callback(lib.vkFreeMemory, handle, memory, ffi.NULL)
            check(lib.vkBindBufferMemory(handle, buffer, memory, 0), "vkBindBufferMemory")
            info = new("VkBufferDeviceAddressInfo", "BUFFER_DEVICE_ADDRESS_INFO", buffer=buffer)
            addr = int(lib.vkGetBufferDeviceAddress(handle, info))
            mapped = None
            if self._mapped:
                pointer = ffi.new("void**")
                check(lib.vkMapMemory(handle, memory, 0, size, 0, pointer), "vkMapMemory")
                mapped = ffi.buffer(pointer[0], size)
            undo.pop_all()
        return Block(addr, size, (buffer, memory), mapped)

    def _buffer(self, size: int) -> Any:
        info = new("VkBufferCreateInfo", "BUFFER_CREATE_INFO", size=size, usage=_USAGE)
        out = ffi.new("VkBuffer*")
        check(_vk.lib.vkCreateBuffer(self._device.handle, info, ffi.NULL, out), "vkCreateBuffer")
        return out[0]

    def _allocate(self, buffer: Any) -> Any:
        """Memory for ``buffer``, of the first type with room."""
        handle = self._device.handle
        needs = ffi.new("VkMemoryRequirements*")
        _vk.lib.vkGetBufferMemoryRequirements(handle, buffer, needs)
        flags = new("VkMemoryAllocateFlagsInfo", "MEMORY_ALLOCATE_FLAGS_INFO", flags=_DEVICE_ADDRESS)
        info = new("VkMemoryAllocateInfo", "MEMORY_ALLOCATE_INFO", pNext=flags, allocationSize=needs.size)
        out, code = ffi.new("VkDeviceMemory*"), -2
        for kind in self._types:
            if not needs.memoryTypeBits >> kind & 1:
                continue
            info.memoryTypeIndex = kind
            code = _vk.lib.vkAllocateMemory(handle, info, ffi.NULL, out)
            if code not in _vk.OUT_OF_MEMORY:
                break
        check(code, f"vkAllocateMemory of {needs.size:,} bytes")
        return out[0]

    def release(self, block: Block) -> None:
        """Destroy buffer and memory; the device must be done with them."""
        if self._device.abandoned:
            return
        buffer, memory = block.handles
        _vk.lib.vkDestroyBuffer(self._device.handle, buffer, ffi.NULL)
        _vk.lib.vkFreeMemory(self._device.handle, memory, ffi.NULL)
