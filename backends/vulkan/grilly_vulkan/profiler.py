"""Time of every dispatch on the device, from timestamps; ops run one after the other while it is on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from grilly_core.extend import UnsupportedOpError
from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new
from grilly_vulkan.commands import handle

if TYPE_CHECKING:
    from grilly_vulkan.pipeline import Kernel
    from grilly_vulkan.stream import Stream

__all__ = ["Profiler", "Row", "format_rows", "profiling"]

_QUERIES = 8192
_COMPUTE, _BOTTOM = 0x800, 0x2000


class Row(NamedTuple):
    """One shader's total: calls, milliseconds on the device, bytes of the arrays it was given."""

    shader: str
    calls: int
    milliseconds: float
    bytes: int

    @property
    def gigabytes_per_second(self) -> float:
        """Bytes over time; more than the memory's bandwidth means that caches served them."""
        return self.bytes / self.milliseconds / 1e6 if self.milliseconds else 0.0


class Profiler:
    """Collects timestamps of one stream.

    Attributes:
        pending_bytes: bytes of the op about to be recorded.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._device = device = stream.device
        if not device.capabilities.timestamp_ns:
            raise UnsupportedOpError(
                f"Vulkan device {device.capabilities.name} has no timestamps to profile with"
            )
        info = new("VkQueryPoolCreateInfo", "QUERY_POOL_CREATE_INFO", queryType=2, queryCount=_QUERIES)
        out = ffi.new("VkQueryPool*")
        check(_vk.lib.vkCreateQueryPool(device.handle, info, ffi.NULL, out), "vkCreateQueryPool")
        self._pool, self._handle = out[0], handle(out[0])
        self._mask = (1 << device.timestamp_bits) - 1
        self._next = 0
        self._ops: list[tuple[str, int]] = []
        self._totals: dict[str, tuple[int, float, int]] = {}
        self.pending_bytes = 0

    def room(self) -> None:
        """Called before an op: read and forget old timestamps when the pool is full."""
        if self._next + 2 > _QUERIES:
            self.collect()

    def before(self, target: Any, kernel: Kernel, barrier: Any) -> None:
        """Record the first timestamp of an op, after everything before it."""
        commands = self._device.commands
        if self._next == 0:
            commands.reset_queries(target, self._handle, 0, _QUERIES)
        commands.barrier(target, _COMPUTE, _COMPUTE, 0, 1, barrier, 0, None, 0, None)
        commands.timestamp(target, _BOTTOM, self._handle, self._next)
        self._ops.append((kernel.name, self.pending_bytes))

    def after(self, target: Any) -> None:
        """Record the second one."""
        self._device.commands.timestamp(target, _BOTTOM, self._handle, self._next + 1)
        self._next += 2

    def collect(self) -> None:
        """Wait for the device and add up what was recorded."""
        self._stream.wait()
        if not self._ops:
            return
        count = self._next
        values = ffi.new("uint64_t[]", count)
        code = _vk.lib.vkGetQueryPoolResults(
            self._device.handle, self._pool, 0, count, 8 * count, values, 8, 1 | 2
        )
        check(code, "vkGetQueryPoolResults")
        tick = self._device.capabilities.timestamp_ns / 1e6
        for i, (name, nbytes) in enumerate(self._ops):
            calls, spent, moved = self._totals.get(name, (0, 0.0, 0))
            taken = (values[2 * i + 1] - values[2 * i] & self._mask) * tick
            self._totals[name] = (calls + 1, spent + taken, moved + nbytes)
        self._ops.clear()
        self._next = 0

    def rows(self) -> list[Row]:
        """Totals, the most expensive shader first."""
        self.collect()
        found = [Row(name, *figures) for name, figures in self._totals.items()]
        return sorted(found, key=lambda row: -row.milliseconds)

    def destroy(self) -> None:
        """Give the query pool back."""
        if not self._device.abandoned:
            self._stream.wait()
            _vk.lib.vkDestroyQueryPool(self._device.handle, self._pool, ffi.NULL)


def format_rows(rows: list[Row]) -> str:
    """A table for people."""
    total = sum(row.milliseconds for row in rows) or 1.0
    lines = [f"{'shader':<32}{'calls':>8}{'ms':>12}{'us/call':>12}{'MB/call':>12}{'GB/s':>10}{'share':>8}"]
    lines += [
        f"{row.shader:<32}{row.calls:>8}{row.milliseconds:>12.3f}{row.milliseconds / row.calls * 1e3:>12.2f}"
        f"{row.bytes / row.calls / 1e6:>12.3f}{row.gigabytes_per_second:>10.1f}{row.milliseconds / total:>8.1%}"
        for row in rows
    ]
    return "\n".join([*lines, f"{'all':<32}{sum(row.calls for row in rows):>8}{total:>12.3f}"])


@contextmanager
def profiling(stream: Stream, show: bool = True) -> Iterator[list[Row]]:
    """Profile ``stream`` inside the block; the list is filled at its end, and printed to standard error."""
    if stream.profiler is not None:
        raise UnsupportedOpError("the profiler of this device is already on")
    rows: list[Row] = []
    stream.flush()
    profiler = stream.profiler = Profiler(stream)
    try:
        yield rows
    finally:
        try:
            if not stream.device.abandoned:
                rows += profiler.rows()
        finally:
            stream.profiler = None
            profiler.destroy()
        if show and rows:
            print(format_rows(rows), file=sys.stderr)
