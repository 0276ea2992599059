"""Barriers against brute force: every pair of ops that must not overlap has one between, and none is too many."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from grilly_vulkan.hazards import Hazards
from grilly_vulkan.memory import Allocator, Block, Slot


class Op(NamedTuple):
    reads: frozenset[int]
    writes: frozenset[int]

    def conflicts(self, later: Op) -> bool:
        """Whether ``later`` must not overlap this one: read after write, write after read, write after write."""
        return bool(self.writes & (later.reads | later.writes) or self.reads & later.writes)


def barriers(ops: list[Op], slots: dict[int, Slot]) -> list[bool]:
    """Whether the tracker wants a barrier before each op."""
    tracker = Hazards()
    return [tracker.enter([slots[i] for i in op.reads], [slots[i] for i in op.writes]) for op in ops]


def overlapping(ops: list[Op], before: list[bool]) -> list[tuple[int, int]]:
    """Pairs that conflict without a barrier between them."""
    return [
        (i, j)
        for j in range(len(ops))
        for i in range(j)
        if ops[i].conflicts(ops[j]) and not any(before[i + 1 : j + 1])
    ]


def check(ops: list[Op], slots: dict[int, Slot]) -> list[bool]:
    before = barriers(ops, slots)
    assert overlapping(ops, before) == []
    for k in [i for i, barrier in enumerate(before) if barrier]:
        fewer = [barrier and i != k for i, barrier in enumerate(before)]
        assert overlapping(ops, fewer), f"the barrier before op {k} is not needed"
    return before


def fresh_slots(count: int) -> dict[int, Slot]:
    block = Block(0, 256 * count, None)
    return {i: Slot(block, 256 * i, 256) for i in range(count)}


some = st.frozensets(st.integers(0, 4), max_size=3)
programs = st.lists(st.builds(Op, some, some), max_size=30)


@given(programs)
def test_random_programs(ops: list[Op]) -> None:
    check(ops, fresh_slots(5))


def chain(*pairs: tuple[set[int], set[int]]) -> list[bool]:
    return check([Op(frozenset(r), frozenset(w)) for r, w in pairs], fresh_slots(5))


def test_known_programs() -> None:
    assert chain(({0}, {1}), ({1}, {2}), ({2}, {3})) == [False, True, True], "each reads what the last wrote"
    assert chain(({0}, {1}), ({0}, {2}), ({0}, {3})) == [False] * 3, "independent ops overlap"
    assert chain(({0}, {1}), ({0}, {2}), ({1, 2}, {3}), ({1}, {4})) == [False, False, True, False]
    assert chain(({0}, {1}), ({2}, {0})) == [False, True], "write after read"
    assert chain(({0}, {1}), ({2}, {1})) == [False, True], "write after write"
    assert chain(({0}, {0}), ({0}, {0})) == [False, True], "in place"


def test_the_oracle_notices_a_missing_barrier() -> None:
    ops = [Op(frozenset(), frozenset({0})), Op(frozenset({0}), frozenset())]
    assert overlapping(ops, [False, False]) == [(0, 1)]
    assert overlapping(ops, [False, True]) == []


class _Source:
    def allocate(self, size: int) -> Block:
        return Block(1 << 20, size, None)

    def release(self, block: Block) -> None:
        raise AssertionError("a small program needs one block only")


@given(st.lists(st.tuples(st.sets(st.integers(0, 3), max_size=2), st.integers(0, 3)), max_size=30))
def test_a_freed_slot_keeps_its_hazards(steps: list[tuple[set[int], int]]) -> None:
    """Names get new memory at every step, as in a program that forgets old arrays: conflicts are those of addresses."""
    allocator = Allocator(_Source(), 1 << 16, 1 << 20)
    held = {name: allocator.hold(100) for name in range(4)}
    tracker, ops, before = Hazards(), [], []
    for sources, target in steps:
        reads = [held[name].slot for name in sources]
        del held[target]  # nobody looks at it any more, though an op may still be reading it
        held[target] = allocator.hold(100)
        written = held[target].slot
        ops.append(Op(frozenset(s.addr for s in reads), frozenset({written.addr})))
        before.append(tracker.enter(reads, [written]))
    assert overlapping(ops, before) == []
    assert len({address for op in ops for address in op.writes}) <= 5, "memory is reused"
