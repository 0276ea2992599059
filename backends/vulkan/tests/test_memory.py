"""The allocator against a model of intervals, and what it does when there is no more."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grilly_core.errors import OutOfMemoryError
from grilly_vulkan.memory import Allocator, Block, Holder, size_class

BLOCK = 1 << 16


class Source:
    """Blocks of an address space; ``room`` bytes of it."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.room = room
        self.next = 1 << 12
        self.blocks: dict[int, Block] = {}
        self.allocated: list[int] = []

    def allocate(self, size: int) -> Block:
        if size + sum(block.size for block in self.blocks.values()) > self.room:
            raise OutOfMemoryError("the driver has no more")
        block = Block(self.next, size, None)
        self.next += size + 4096
        self.blocks[block.addr] = block
        self.allocated.append(size)
        return block

    def release(self, block: Block) -> None:
        assert block.live == 0, "a block with arrays in it"
        del self.blocks[block.addr]


def allocator(room: int = 1 << 40, limit: int = 1 << 40) -> tuple[Allocator, Source]:
    source = Source(room)
    return Allocator(source, BLOCK, limit), source


@given(st.integers(1, 1 << 40))
def test_size_classes(size: int) -> None:
    given_ = size_class(size)
    assert size <= given_ and given_ % 256 == 0
    assert given_ == size_class(given_), "a class holds itself"
    assert given_ - size <= max(256, size // (4 if size < 1 << 20 else 16)), "at most a quarter is wasted"
    assert size_class(size + 1) >= given_


def test_size_classes_are_few() -> None:
    assert len({size_class(n) for n in range(1, 1 << 15)}) < 40


@given(st.lists(st.integers(-8, 3 * BLOCK), max_size=60))
def test_against_intervals(program: list[int]) -> None:
    """A number above zero asks for so many bytes; others give back one of those held."""
    memory, source = allocator()
    held: list[tuple[int, Holder]] = []
    for step in program:
        if step > 0:
            held.append((step, memory.hold(step)))
            slot = held[-1][1].slot
            assert slot.size >= step and slot.offset % 256 == 0
            assert slot.addr == slot.block.addr + slot.offset
            assert slot.offset + slot.size <= slot.block.size and slot.block.addr in source.blocks
        elif held:
            held.pop(step % len(held))
        spans = sorted((kept.slot.addr, kept.slot.size) for _, kept in held)
        assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans)), "overlap"
    memory.settle()
    assert memory.live == sum(kept.slot.size for _, kept in held)
    assert memory.held == sum(block.size for block in source.blocks.values())
    assert memory.live <= memory.peak <= memory.held
    held.clear()
    memory.trim()
    assert memory.live == memory.held == 0 and not source.blocks


def test_a_steady_program_stops_growing() -> None:
    memory, source = allocator()
    sizes = random.Random(0).choices([100, 1000, 5000, BLOCK, 3 * BLOCK], k=200)

    def step() -> None:
        held = [memory.hold(size) for size in sizes[:20]]
        for i, size in enumerate(sizes):
            held[i % 20] = memory.hold(size)

    step()
    blocks, bytes_held = len(source.allocated), memory.held
    for _ in range(20):
        step()
    assert (len(source.allocated), memory.held) == (blocks, bytes_held)


def test_large_arrays_get_a_block_of_their_own() -> None:
    memory, source = allocator()
    kept = [memory.hold(BLOCK // 2 + 1), memory.hold(5 * BLOCK), memory.hold(10), memory.hold(BLOCK // 2)]
    assert source.allocated == [size_class(BLOCK // 2 + 1), 5 * BLOCK, BLOCK]
    assert kept[2].slot.block is kept[3].slot.block


def test_trim_keeps_what_is_used() -> None:
    memory, source = allocator()
    one, two = memory.hold(5 * BLOCK), memory.hold(7 * BLOCK)
    del two
    memory.trim()
    assert memory.held == 5 * BLOCK and len(source.blocks) == 1
    assert memory.hold(7 * BLOCK).slot.block.addr in source.blocks, (
        "no slot of a block that is gone is handed out"
    )
    assert one.slot.block.addr in source.blocks


def test_the_limit_holds() -> None:
    memory, _ = allocator(limit=4 * BLOCK)
    kept = [memory.hold(BLOCK) for _ in range(4)]
    with pytest.raises(OutOfMemoryError) as caught:
        memory.hold(300)
    said = str(caught.value)
    assert (
        "out of device memory: 512 bytes wanted, 262,144 in use, 0 set aside for reuse, limit 262,144" in said
    )
    assert "does not fit the limit" in said and "Use a smaller batch or fewer steps" in said
    assert memory.held == 4 * BLOCK
    kept.pop()
    memory.hold(300)
    assert memory.held <= 4 * BLOCK


def test_no_room_at_the_driver() -> None:
    memory, _ = allocator(room=4 * BLOCK)
    kept = [memory.hold(BLOCK) for _ in range(4)]
    with pytest.raises(OutOfMemoryError, match=r"the driver has no more"):
        memory.hold(5)
    assert memory.live == memory.held == 4 * BLOCK, "a failed request leaves nothing behind"
    kept.clear()
    assert memory.hold(3 * BLOCK).slot.size == 3 * BLOCK, "idle blocks make room"


def test_a_small_array_fits_where_a_whole_block_does_not() -> None:
    memory, source = allocator(room=BLOCK + 4096)
    first, second = memory.hold(BLOCK), memory.hold(4000)
    assert source.allocated == [BLOCK, 4096]
    assert first.slot.block is not second.slot.block


def test_waiting_for_the_device_comes_before_failing() -> None:
    memory, source = allocator(limit=2 * BLOCK)
    kept = [memory.hold(BLOCK), memory.hold(BLOCK)]
    waited = []

    def wait() -> None:
        waited.append(len(source.allocated))
        kept.pop()

    memory.before_retry = wait
    assert memory.hold(BLOCK).slot.size == BLOCK
    assert waited == [2], "once, and what became free meanwhile is taken without asking the driver"
    assert source.allocated == [BLOCK, BLOCK]


def test_peak() -> None:
    memory, _ = allocator()
    kept = [memory.hold(1000), memory.hold(1000)]
    kept.pop()
    assert memory.peak == 2048
    memory.reset_peak()
    assert memory.peak == memory.live == 1024


def test_release_all_forgets_everything() -> None:
    source = Source()
    memory = Allocator(source, BLOCK, 1 << 30)
    held = memory.hold(10)
    released = []
    source.release = released.append  # type: ignore[method-assign]
    memory.release_all()
    memory.release_all()
    assert len(released) == 1 and memory.held == 0
    del held  # harmless
