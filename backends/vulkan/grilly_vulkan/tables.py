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


class Tables:
    """The tables of one device, the least recently used of them dropped first.

    A dropped table may still be read by recorded work: its memory is reused in stream order, as any array's.
    """

    def __init__(self, device: VulkanBackend) -> None:
        self._device = device
        self._tables: OrderedDict[Hashable, DeviceArray] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], np.ndarray]) -> DeviceArray:
        """The table of ``key``; ``build`` makes its contents (4- or 8-byte numbers), uploaded unless it is kept already."""
        found = self._tables.get(key)
        if found is not None:
            self._tables.move_to_end(key)
            return found
        table = self._device.from_numpy(build().reshape(-1).view(np.uint32))
        self._tables[key] = table
        if len(self._tables) > _KEPT:
            self._tables.popitem(last=False)
        return table

    def addresses(self, arrays: Iterable[DeviceArray]) -> DeviceArray:
        """A table of the arrays' addresses, 8 bytes each."""
        key = tuple([a.addr for a in arrays])
        return self.get(key, lambda: np.array(key, np.uint64))

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
