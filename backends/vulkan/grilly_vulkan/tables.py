"""Small tables in device memory (addresses of many arrays, where each piece of work lies), kept while they repeat."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grilly_vulkan.array import DeviceArray

if TYPE_CHECKING:
    from grilly_vulkan.backend import VulkanBackend

__all__ = ["Tables"]

_KEPT = 64
_ARENA = 1 << 18  # words


class Tables:
    """The tables of one device, the least recently used of them dropped first.

    A dropped table may still be read by recorded work: its memory goes back like that of any array.
    """

    def __init__(self, device: VulkanBackend) -> None:
        self._device = device
        self._kept: OrderedDict[Hashable, DeviceArray] = OrderedDict()
        self._arena: DeviceArray | None = None
        self._used = 0

    def get(self, key: Hashable, build: Callable[[], np.ndarray]) -> DeviceArray:
        """The table of ``key``, uploaded when it is new.

        Args:
            key: says all that it holds.
            build: makes its 4- or 8-byte numbers.
        """
        # Two threads must not be given the same piece of the arena.
        with self._device.stream.device.lock:
            table = self._kept.get(key)
            if table is None:
                table = self._upload(build().reshape(-1).view(np.uint32))
                if len(self._kept) == _KEPT:
                    self._kept.popitem(last=False)
                self._kept[key] = table
            self._kept.move_to_end(key)
            return table

    def _upload(self, words: np.ndarray) -> DeviceArray:
        """A new table in memory of the tables' own: elsewhere it would move the arrays whose addresses it holds."""
        size = -(-words.size // 2) * 2
        if self._arena is None or self._used + size > self._arena.size:
            self._arena = self._device.empty((max(size, _ARENA),), "uint32")
            self._used = 0
            self._kept.clear()
        table = self._arena.view((words.size,), None, self._used)
        self._used += size
        assert table.slot is not None
        self._device.transfer.upload(words, table.slot, table.addr)
        return table

    def addresses(self, arrays: Iterable[DeviceArray]) -> DeviceArray:
        """A table of the arrays' addresses, 8 bytes each. A loop meets few sets of them: memory is handed out alike."""
        wanted = tuple([a.addr for a in arrays])
        return self.get(wanted, lambda: np.array(wanted, np.uint64))

    def run(
        self,
        shader: str,
        groups: int,
        tables: Sequence[DeviceArray],
        reads: Sequence[DeviceArray],
        writes: Sequence[DeviceArray],
        scalars: Sequence[Any],
        constants: tuple[Any, ...],
    ) -> None:
        """Record a shader whose pointers are ``tables``; ``reads`` and ``writes`` are what it finds through them."""
        device = self._device
        device.forget_contents(writes)
        kernel = device.pipelines.get(shader, constants)
        if device.stream.profiler is not None:
            device.stream.profiler.pending_bytes = 4 * sum([a.size for a in (*reads, *writes)])
        device.stream.op(
            kernel,
            groups,
            [a.slot for a in (*tables, *reads) if a.slot is not None],
            [a.slot for a in writes if a.slot is not None],
            [*[table.addr for table in tables], *scalars],
        )
