"""Where a barrier is needed: an op that touches what an earlier one may still be writing.

Every slot carries the epoch in which it was last read (``r``) and written (``w``). An op that reads a slot written in
the current epoch, or writes one read or written in it, needs all earlier work finished: a global barrier, after which a
new epoch begins. Epochs go on over submissions, since a barrier covers everything submitted before it on the queue;
so a slot that is freed and handed out again keeps its hazards, and no wait is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from grilly_vulkan.memory import Slot

__all__ = ["Hazards"]


class Hazards:
    """The tracker of one stream.

    Attributes:
        epoch: number of barriers so far.
    """

    __slots__ = ("epoch",)

    def __init__(self) -> None:
        self.epoch = 0

    def enter(self, reads: Sequence[Slot], writes: Sequence[Slot]) -> bool:
        """Note an op; True if a barrier must be recorded before it."""
        epoch = self.epoch
        needed = False
        # Plain loops: this runs for every op.
        for slot in reads:
            if slot.w == epoch:
                needed = True
                break
        else:
            for slot in writes:
                if slot.w == epoch or slot.r == epoch:
                    needed = True
                    break
        if needed:
            self.epoch = epoch = epoch + 1
        for slot in reads:
            slot.r = epoch
        for slot in writes:
            slot.w = epoch
        return needed
