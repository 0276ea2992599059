"""Device memory: slots cut from large blocks, kept for reuse, under a budget.

A slot that nobody holds any more goes back to a free list of its size class and may be handed out at once:
work is recorded in order, so that the hazards a slot carries (``r`` and ``w``, see ``hazards.py``) make the next
user wait on the device, never on the host. Nothing here calls Vulkan; ``source`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from grilly_core.extend import OutOfMemoryError

__all__ = ["Allocator", "Block", "Holder", "Slot", "size_class"]

_ALIGN = 256
_FINE = 1 << 20


class Block:
    """One allocation of the driver: an address range, mapped if the host can see it."""

    __slots__ = ("addr", "handles", "live", "mapped", "size", "top")

    def __init__(self, addr: int, size: int, handles: Any, mapped: Any = None) -> None:
        self.addr = addr
        self.size = size
        self.handles = handles
        self.mapped = mapped
        self.top = 0
        self.live = 0


class Slot:
    """A range of a block.

    Attributes:
        addr: device address.
        size: bytes, a size class.
        r, w: epoch of the last read and write recorded (``hazards.py``).
        block, offset: where it lies.
    """

    __slots__ = ("addr", "block", "offset", "r", "size", "w")

    def __init__(self, block: Block, offset: int, size: int) -> None:
        self.block = block
        self.offset = offset
        self.size = size
        self.addr = block.addr + offset
        self.r = self.w = -1


class Source(Protocol):
    """Where blocks come from."""

    def allocate(self, size: int) -> Block:
        """A new block of at least ``size`` bytes; OutOfMemoryError if there is none."""

    def release(self, block: Block) -> None:
        """Give a block back once the device is done with it."""


class Holder:
    """Keeps a slot until the last array in it is gone.

    Its end only appends to a list: no lock and no Vulkan, since the cycle collector may run it anywhere.
    """

    __slots__ = ("_give_back", "magnitude", "slot")

    def __init__(self, slot: Slot, give_back: Callable[[Slot], None]) -> None:
        self.slot = slot
        self.magnitude: tuple[int, int, Any] | None = (
            None  # see kernels/magnitude.py; None after a change in place
        )
        self._give_back = give_back

    def __del__(self) -> None:
        self._give_back(self.slot)


def size_class(size: int) -> int:
    """Bytes set aside for ``size`` bytes: four classes an octave, sixteen from 1 MiB on.

    Example:
        >>> size_class(1), size_class(300), size_class(5 << 20)
        (256, 512, 5242880)
    """
    if size <= _ALIGN:
        return _ALIGN
    step = 1 << ((size - 1).bit_length() - (3 if size < _FINE else 5))
    step = max(step, _ALIGN)
    return (size + step - 1) & -step


class Allocator:
    """Slots from blocks.

    Args:
        source: gives and takes blocks.
        block_size: bytes of a block; larger arrays get one of their own.
        limit: bytes that blocks may take together.

    Attributes:
        live: bytes in slots that are held; ``peak`` its maximum since ``reset_peak``.
        held: bytes of all blocks.
    """

    def __init__(self, source: Source, block_size: int, limit: int) -> None:
        self._source = source
        self._block_size = block_size
        self.limit = limit
        self.live = self.peak = self.held = 0
        self.blocks: list[Block] = []
        # Heaps by address: the lowest free slot is taken first, so that a loop finds its arrays where they were before,
        # and tables of addresses stay valid.
        self._free: dict[int, list[tuple[int, Slot]]] = {}
        self._returned: list[Slot] = []
        self.give_back = self._returned.append
        self.before_retry: Callable[[], None] = lambda: None

    def get(self, size: int) -> Slot:
        """A slot of at least ``size`` bytes.

        Raises:
            OutOfMemoryError: with what was asked for, what is held, what the limit is.
        """
        if self._returned:
            self.settle()
        wanted = size_class(size)
        free = self._free.get(wanted)
        slot = heappop(free)[1] if free else self._cut(wanted) or self._grow(wanted)
        slot.block.live += 1
        self.live += wanted
        if self.live > self.peak:
            self.peak = self.live
        return slot

    def hold(self, size: int) -> Holder:
        """A slot that comes back when the holder is gone."""
        return Holder(self.get(size), self.give_back)

    def settle(self) -> None:
        """Count what was given back; ``get`` does so by itself."""
        returned = self._returned
        while returned:
            slot = returned.pop()
            slot.block.live -= 1
            self.live -= slot.size
            heappush(self._free.setdefault(slot.size, []), (slot.addr, slot))

    def _cut(self, size: int) -> Slot | None:
        """A new slot from a block with room."""
        for block in reversed(self.blocks):
            if block.top + size <= block.size:
                slot = Slot(block, block.top, size)
                block.top += size
                return slot
        return None

    def _grow(self, size: int) -> Slot:
        """A slot from a new block; if there is no room for one, after waiting for the device and giving blocks back."""
        whole = size if size > self._block_size // 2 else self._block_size
        try:
            return self._new_block(whole, size)
        except OutOfMemoryError:
            self.before_retry()
            self.settle()
        if free := self._free.get(size):
            return heappop(free)[1]
        self.trim()
        problem: OutOfMemoryError | None = None
        for wanted in dict.fromkeys((whole, size)):
            try:
                return self._new_block(wanted, size)
            except OutOfMemoryError as error:
                problem = error
        raise OutOfMemoryError(
            f"out of device memory: {size:,} bytes wanted, {self.live:,} in use, {self.held - self.live:,} set aside for "
            f"reuse, limit {self.limit:,} ({problem}). Use a smaller batch or fewer steps, or free tensors"
        ) from problem

    def _new_block(self, size: int, first: int) -> Slot:
        """The first slot of a new block."""
        if self.held + size > self.limit:
            raise OutOfMemoryError(f"a block of {size:,} bytes does not fit the limit")
        block = self._source.allocate(size)
        self.blocks.append(block)
        self.held += block.size
        block.top = first
        return Slot(block, 0, first)

    def trim(self) -> None:
        """Give blocks without live slots back; the device must be done with them."""
        self.settle()
        empty = [block for block in self.blocks if not block.live]
        if not empty:
            return
        gone = set(map(id, empty))
        self._free = {
            size: kept
            for size, slots in self._free.items()
            if (kept := [entry for entry in slots if id(entry[1].block) not in gone])
        }
        for slots in self._free.values():
            heapify(slots)
        self.blocks = [block for block in self.blocks if id(block) not in gone]
        for block in empty:
            self.held -= block.size
            self._source.release(block)

    def release_all(self) -> None:
        """Give every block back, live or not (when the device is closed)."""
        blocks, self.blocks, self._free, self.held = self.blocks, [], {}, 0
        for block in blocks:
            self._source.release(block)

    def reset_peak(self) -> None:
        """Count the peak from here."""
        self.settle()
        self.peak = self.live
