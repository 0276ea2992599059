"""To the device and back, through staging memory that the host sees, copied by a shader.

The device's own copy engine ran at a tenth of a shader's speed, and reading mapped device memory at a
thousandth. ``reads`` counts arrays that went back to the host: a training step must cause none that the user did
not ask for.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from grilly_core.extend import numpy_dtype
from grilly_vulkan.memory import Allocator, Slot
from grilly_vulkan.pipeline import Pipelines
from grilly_vulkan.stream import Stream

__all__ = ["Transfer"]

_MOST_IN_FLIGHT = 256 << 20  # bytes of uploads that the device has not copied yet; then the host waits
_MOST_KEPT = 256 << 20  # bytes of staging memory kept for reuse


class Transfer:
    """Uploads and readbacks; threads may use it at once.

    Attributes:
        uploads, reads: arrays moved each way so far.
    """

    def __init__(self, staging: Allocator, stream: Stream, pipelines: Pipelines) -> None:
        self._staging = staging
        self._stream = stream
        self._device = stream.device
        self._pipelines = pipelines
        self._busy: deque[tuple[int, Slot]] = deque()
        self.uploads = self.reads = 0

    def _slot(self, size: int) -> Slot:
        """Staging memory that no copy is reading any more."""
        self._reclaim()
        while self._busy and self._staging.live + size > _MOST_IN_FLIGHT:
            self._stream.wait(self._busy[0][0])
            self._reclaim()
        if self._staging.held > _MOST_KEPT:
            self._staging.trim()
        return self._staging.get(size)

    def _reclaim(self) -> None:
        done = self._stream.completed()
        while self._busy and self._busy[0][0] <= done:
            self._staging.give_back(self._busy.popleft()[1])
        self._staging.settle()

    def upload(self, array: np.ndarray, slot: Slot, addr: int) -> None:
        """Record a copy of ``array`` (at least one element) to ``addr`` in ``slot``."""
        words = array.astype(np.uint32) if array.dtype == bool else array
        with self._device.lock:
            source = self._slot(words.nbytes)
            try:
                np.copyto(_as_array(source, words.shape, words.dtype), words, casting="no")
                self._copy(words.size, source.addr, addr, source, slot)
            finally:
                self._busy.append((self._stream.recorded, source))
            self.uploads += 1

    def read(self, shape: tuple[int, ...], dtype: str, slot: Slot, addr: int) -> np.ndarray:
        """The elements at ``addr``, row-major; waits for all recorded work."""
        stored = np.dtype(np.uint32) if dtype == "bool" else numpy_dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        with self._device.lock:
            target = self._slot(4 * count)
            try:
                self._copy(count, addr, target.addr, slot, target)
                value = self._stream.flush(for_host=True)
            except BaseException:
                self._busy.append((self._stream.recorded, target))
                raise
            self.reads += 1
        # Others may record and read meanwhile.
        try:
            self._stream.wait(value)
            result: np.ndarray = _as_array(target, shape, stored).astype(numpy_dtype(dtype))
        except BaseException:
            with self._device.lock:
                self._busy.append((value, target))
            raise
        self._staging.give_back(target)
        return result

    def _copy(self, count: int, source: int, target: int, read: Slot, written: Slot) -> None:
        kernel = self._pipelines.get("copy")
        if self._stream.profiler is not None:
            self._stream.profiler.pending_bytes = 8 * count
        self._stream.op(kernel, -(-count // kernel.per_group), (read,), (written,), (source, target, count))


def _as_array(slot: Slot, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The host's view of staging memory."""
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(slot.block.mapped, dtype, count, slot.offset).reshape(shape)
