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

_SMALL_BLOCK = 16 << 20


class Transfer:
    """Uploads and readbacks.

    Attributes:
        uploads, reads: arrays moved each way so far.
    """

    def __init__(self, staging: Allocator, stream: Stream, pipelines: Pipelines) -> None:
        self._staging = staging
        self._stream = stream
        self._pipelines = pipelines
        self._busy: deque[tuple[int, Slot]] = deque()
        self.uploads = self.reads = 0

    def _slot(self, size: int) -> Slot:
        """Staging memory that no copy is reading any more."""
        done = self._stream.completed()
        while self._busy and self._busy[0][0] <= done:
            self._staging.give_back(self._busy.popleft()[1])
        return self._staging.get(size)

    def upload(self, array: np.ndarray, slot: Slot, addr: int) -> None:
        """Record a copy of ``array`` (at least one element) to ``addr`` in ``slot``."""
        words = array.astype(np.uint32) if array.dtype == bool else array
        source = self._slot(words.nbytes)
        np.copyto(_as_array(source, words.shape, words.dtype), words, casting="no")
        self._copy(words.size, source.addr, addr, source, slot)
        self._busy.append((self._stream.submitted + 1, source))
        self.uploads += 1

    def read(self, shape: tuple[int, ...], dtype: str, slot: Slot, addr: int) -> np.ndarray:
        """The elements at ``addr``, row-major; waits for all recorded work."""
        stored = np.dtype(np.uint32) if dtype == "bool" else numpy_dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        target = self._slot(4 * count)
        try:
            self._copy(count, addr, target.addr, slot, target)
            self._stream.wait(self._stream.flush(for_host=True))
            self.reads += 1
            return _as_array(target, shape, stored).astype(numpy_dtype(dtype))
        finally:
            self._busy.append((self._stream.submitted, target))

    def _copy(self, count: int, source: int, target: int, read: Slot, written: Slot) -> None:
        kernel = self._pipelines.get("copy")
        self._stream.op(kernel, -(-count // kernel.per_group), (read,), (written,), (source, target, count))


def _as_array(slot: Slot, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The host's view of staging memory."""
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(slot.block.mapped, dtype, count, slot.offset).reshape(shape)
