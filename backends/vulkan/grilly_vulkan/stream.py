"""One open command buffer, submitted late, with barriers where ``hazards.py`` finds them needed."""

from __future__ import annotations

import ctypes
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from grilly_core.extend import DeviceLostError, GrillyError
from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new
from grilly_vulkan.commands import handle
from grilly_vulkan.device import Device
from grilly_vulkan.hazards import Hazards
from grilly_vulkan.memory import Slot
from grilly_vulkan.pipeline import Kernel, push_buffer
from grilly_vulkan.profiler import Profiler

__all__ = ["Stream"]

_COMPUTE_STAGE, _HOST_STAGE = 0x800, 0x4000
_SHADER_READ, _SHADER_WRITE, _HOST_READ = 0x20, 0x40, 0x2000
_FIRST_FLUSH, _LAST_FLUSH = 16, 256
_LARGE = 8 << 20  # bytes written by an op that an idle device should start at once
_GROUPS_X = 65535
_NAMES = 5  # last shaders, named when the device is lost
_IN_FLIGHT = 16  # submissions that the host may be ahead
_PENDING = 1 << 64  # beyond every timeline value


class _Buffer:
    """A command buffer of the ring, with what submits it."""

    __slots__ = ("handle", "held", "raw", "submit", "value", "values")

    def __init__(self, device: Device, pool: Any) -> None:
        info = new("VkCommandBufferAllocateInfo", "COMMAND_BUFFER_ALLOCATE_INFO", commandPool=pool)
        info.commandBufferCount = 1
        out = ffi.new("VkCommandBuffer[]", 1)
        check(_vk.lib.vkAllocateCommandBuffers(device.handle, info, out), "vkAllocateCommandBuffers")
        self.raw, self.handle = out[0], handle(out[0])
        semaphores, self.values = ffi.new("VkSemaphore[]", [device.semaphore]), ffi.new("uint64_t[]", [0])
        timeline = new("VkTimelineSemaphoreSubmitInfo", "TIMELINE_SEMAPHORE_SUBMIT_INFO")
        timeline.signalSemaphoreValueCount, timeline.pSignalSemaphoreValues = 1, self.values
        self.submit = new(
            "VkSubmitInfo", "SUBMIT_INFO", pNext=timeline, commandBufferCount=1, signalSemaphoreCount=1
        )
        self.submit.pCommandBuffers, self.submit.pSignalSemaphores = out, semaphores
        self.held = (out, semaphores, timeline)
        self.value = 0


class Stream:
    """Records ops on one device, in order.

    Args:
        device: the device.
        flush_at: submit after this many ops; None for the usual rule (soon when idle, later when busy).
        serial: submit and wait after every op, naming the one that fails (``GRILLY_VK_SYNC=1``).

    Attributes:
        submitted: the timeline value of the last submission.
        recorded: the timeline value that will say that all recorded work is done.
        profiler: times every op while it is set.
        ops: how many were recorded.
    """

    def __init__(self, device: Device, flush_at: int | None = None, serial: bool = False) -> None:
        self.device = device
        self._serial = serial
        self._fixed = flush_at
        self._limit = 1 if serial else flush_at or _FIRST_FLUSH
        self._commands = device.commands
        self._push = push_buffer()
        self._push_pointer = ctypes.addressof(self._push)
        self._barrier = _memory_barrier(_SHADER_WRITE, _SHADER_READ | _SHADER_WRITE)
        self._to_host = _memory_barrier(_SHADER_WRITE, _HOST_READ)
        self._begin_info = new("VkCommandBufferBeginInfo", "COMMAND_BUFFER_BEGIN_INFO", flags=1)
        self._pool = self._create_pool()
        self._ring: list[_Buffer] = []
        self._open: _Buffer | None = None
        self._unsent: _Buffer | None = None
        self._bound: Kernel | None = None
        self._recorded = 0
        self._names: deque[str] = deque(maxlen=1 if serial else _NAMES)
        self._hazards = Hazards()
        self.submitted = 0
        self.ops = 0
        self.profiler: Profiler | None = None
        device.on_lost = self._drop

    def _create_pool(self) -> Any:
        info = new(
            "VkCommandPoolCreateInfo",
            "COMMAND_POOL_CREATE_INFO",
            flags=2,
            queueFamilyIndex=self.device.family,
        )
        out = ffi.new("VkCommandPool*")
        check(_vk.lib.vkCreateCommandPool(self.device.handle, info, ffi.NULL, out), "vkCreateCommandPool")
        return out[0]

    # Recording

    def op(
        self,
        kernel: Kernel,
        groups: int | tuple[int, int, int],
        reads: Sequence[Slot],
        writes: Sequence[Slot],
        values: Iterable[Any],
    ) -> None:
        """Record one dispatch.

        Args:
            kernel: the pipeline.
            groups: workgroups; a number is folded into x and y where the device wants that.
            reads, writes: the slots it touches.
            values: push constants, pointers first.
        """
        with self.device.lock:
            if self.profiler is not None:
                self.profiler.room()
            buffer = self._open or self._begin()
            commands = self._commands
            target = buffer.handle
            if self._hazards.enter(reads, writes):
                commands.barrier(
                    target, _COMPUTE_STAGE, _COMPUTE_STAGE, 0, 1, self._barrier, 0, None, 0, None
                )
            if self._bound is not kernel:
                commands.bind(target, 1, kernel.pipeline)
                self._bound, kernel.value = kernel, self.submitted + 1
            kernel.pack(self._push, 0, *values)
            commands.push(target, kernel.layout, 0x20, 0, kernel.size, self._push_pointer)
            profiler = self.profiler
            if profiler is not None:
                profiler.before(target, kernel, self._barrier)
            if isinstance(groups, int):
                if groups <= _GROUPS_X:
                    commands.dispatch(target, groups, 1, 1)
                else:
                    commands.dispatch(target, _GROUPS_X, -(-groups // _GROUPS_X), 1)
            else:
                commands.dispatch(target, *groups)
            if profiler is not None:
                profiler.after(target)
            self._names.append(kernel.name)
            self._recorded += 1
            self.ops += 1
            if self._recorded >= self._limit:
                self._flush_when_full()
            elif writes and writes[0].size >= _LARGE and self._fixed is None and self._idle():
                self.flush()

    @property
    def barriers(self) -> int:
        """How many barriers were recorded."""
        return self._hazards.epoch

    @property
    def recorded(self) -> int:
        """The timeline value that will say that all recorded work is done."""
        return self.submitted + (self._open is not None or self._unsent is not None)

    def _begin(self) -> _Buffer:
        self.device.check_alive()
        if self._unsent is not None:
            self._send(self._unsent)
        done = self.completed()
        buffer = next((b for b in self._ring if b.value <= done), None)
        if buffer is None and len(self._ring) >= _IN_FLIGHT:
            # Far ahead of the device: what is freed meanwhile would pile up.
            buffer = min(self._ring, key=lambda b: b.value)
            self.wait(buffer.value)
        elif buffer is None:
            buffer = _Buffer(self.device, self._pool)
            self._ring.append(buffer)
        check(_vk.lib.vkBeginCommandBuffer(buffer.raw, self._begin_info), "vkBeginCommandBuffer")
        buffer.value = _PENDING
        self._open, self._bound, self._recorded = buffer, None, 0
        if self._fixed is None and not self._serial and done >= self.submitted:
            self._limit = _FIRST_FLUSH
        return buffer

    def _flush_when_full(self) -> None:
        if self._serial:
            self._one_by_one()
            return
        if self._fixed is None and self._limit < _LAST_FLUSH and not self._idle():
            # The device is busy: fewer, longer submissions cost the host less.
            self._limit *= 2
            return
        self.flush()

    def _idle(self) -> bool:
        """Whether the device has nothing to do."""
        return self.completed() >= self.submitted

    def _one_by_one(self) -> None:
        try:
            self.wait()
        except GrillyError as error:
            error.add_note(f"while running shader {self._names[-1]}")
            raise

    # Submitting and waiting

    def flush(self, for_host: bool = False) -> int:
        """Submit what was recorded; returns the timeline value that says it is done.

        Args:
            for_host: make results visible to the host.

        Raises:
            DeviceLostError: it was, or the driver could not keep what was recorded.
            OutOfMemoryError: nothing could be submitted now; what was recorded goes with the next submission.
        """
        with self.device.lock:
            if for_host:
                target = (self._open or self._begin()).handle
                self._commands.barrier(
                    target, _COMPUTE_STAGE, _HOST_STAGE, 0, 1, self._to_host, 0, None, 0, None
                )
            buffer, self._open = self._open, None
            if buffer is not None:
                if code := _vk.lib.vkEndCommandBuffer(buffer.raw):
                    raise self._lost(DeviceLostError(f"vkEndCommandBuffer: {_vk.result_name(code)}"))
                self._unsent = buffer
            if self._unsent is not None:
                self._send(self._unsent)
            return self.submitted

    def _send(self, buffer: _Buffer) -> None:
        """Submit a finished command buffer; if that fails for want of memory, once more when the device is idle."""
        self.device.check_alive()
        value = buffer.values[0] = self.submitted + 1
        code = _vk.lib.vkQueueSubmit(self.device.queue, 1, buffer.submit, ffi.NULL)
        if code == -1 or code in _vk.OUT_OF_MEMORY:
            self.wait(self.submitted)
            code = _vk.lib.vkQueueSubmit(self.device.queue, 1, buffer.submit, ffi.NULL)
        try:
            check(code, "vkQueueSubmit")
        except DeviceLostError as error:
            raise self._lost(error) from None
        self._unsent = None
        self.submitted = buffer.value = value

    def completed(self) -> int:
        """The last timeline value that the device has reached."""
        self.device.check_alive()
        try:
            return self.device.completed()
        except DeviceLostError as error:
            raise self._lost(error) from None

    def wait(self, value: int | None = None) -> None:
        """Return when the device has done everything up to ``value`` (all that was recorded if None)."""
        target = self.flush() if value is None or value > self.submitted else value
        self.device.check_alive()
        try:
            self.device.wait(target)
        except DeviceLostError as error:
            raise self._lost(error) from None

    def _lost(self, error: DeviceLostError) -> DeviceLostError:
        last = ", ".join(self._names) or "none"
        if self._serial:
            where, how = f"in shader {last}", "restart it, and update the GPU driver"
        else:
            where = f"the last shaders recorded were: {last}"
            how = "restart it, update the GPU driver, and set GRILLY_VK_SYNC=1 to find the shader"
        reason = f"{error}; {where}. The device cannot be used again in this process; {how}"
        self.device.lose(reason)
        return DeviceLostError(reason)

    def _drop(self) -> None:
        self._open = self._unsent = None

    def destroy(self) -> None:
        """Wait for what was submitted, and give command buffers back."""
        device = self.device
        if not device.abandoned:
            self._drop()
            try:
                self.wait(self.submitted)
            except DeviceLostError:
                pass
            except BaseException:
                # Interrupted: the device is at work on what would be destroyed.
                device.abandoned = True
                raise
        if not device.abandoned:
            _vk.lib.vkDestroyCommandPool(device.handle, self._pool, ffi.NULL)


def _memory_barrier(before: int, after: int) -> Any:
    """A ``VkMemoryBarrier`` as ctypes bytes, which the recording functions take."""
    return ctypes.create_string_buffer(struct.pack("=IxxxxQII", 46, 0, before, after))
