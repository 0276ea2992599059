"""How a 2-D convolution is cut into blocks, and how a block is laid out for the matrix product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from grilly_numpy.kernels.blas import single_threaded
from grilly_numpy.kernels.scratch import Scratch
from grilly_numpy.kernels.windows import span
from grilly_numpy.threads import parallel_for

__all__ = ["Array", "Block", "Pair", "Plan"]

Pair = tuple[int, int]
Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 800 * 1024  # planes of one block, most of a common 1 MiB second-level cache
_MIN_COLUMNS = 256  # a narrower matrix product wastes the BLAS kernels
_FOLD_ROWS = 48  # with fewer rows per vertical tap, all taps go into one product
_MAX_TASKS = 32


class Block(NamedTuple):
    """Images ``[first, last)`` and output rows ``[top, bottom)``."""

    first: int
    last: int
    top: int
    bottom: int


class Plan:
    """Sizes of one convolution ``[N, G * cin, H, W] -> [N, G * cout, OH, OW]`` and its blocks.

    The *planes* of a block are ``[b, G, KW, cin, phases, rows, OW]``: its input, padded, once for each
    horizontal tap. A vertical tap is the same memory read from a later row, so it is a view that the BLAS
    takes as it is. With a vertical stride the rows are stored by their phase, so that what one tap reads
    stays in one run.

    Args:
        n: number of images.
        channels: of the input and of the output, all groups together.
        size: ``(H, W)``.
        out: ``(OH, OW)``.
        kernel: ``(KH, KW)``.
        stride: down and to the right.
        padding: may be negative, which crops.
        dilation: down and to the right.
        groups: number of groups.
        itemsize: bytes of a number.

    Example:
        >>> plan = Plan(2, (1, 4), (5, 5), (5, 5), (3, 3), (1, 1), (1, 1), (1, 1), 1, 4)
        >>> plan.blocks
        [Block(first=0, last=2, top=0, bottom=5)]
    """

    def __init__(
        self,
        n: int,
        channels: Pair,
        size: Pair,
        out: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        itemsize: int,
    ) -> None:
        self.n, self.groups, self.size, self.out, self.kernel = n, groups, size, out, kernel
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.cin, self.cout = channels[0] // groups, channels[1] // groups
        self.rows = kernel[1] * self.cin
        taps = [i * dilation[0] for i in range(kernel[0])]
        self.phases = sorted({tap % stride[0] for tap in taps})
        self.taps = [(self.phases.index(tap % stride[0]), tap // stride[0]) for tap in taps]
        self.reach = taps[-1] // stride[0]
        self.fold = kernel[0] > 1 and self.rows < _FOLD_ROWS
        self.direct = kernel == stride == (1, 1) and padding == (0, 0)  # the image is its own plane
        self.shifted = stride == (1, 1) and size[1] == out[1]
        self.blocks = list(self._cut(itemsize)) if min(out) > 0 else []

    def _cut(self, itemsize: int) -> Iterator[Block]:
        oh, ow = self.out
        per_row = self.rows * self.groups * ow * itemsize * len(self.phases)
        per_row *= 1 + self.fold * self.kernel[0]
        height = min(oh, max(-(-_MIN_COLUMNS // ow), _BLOCK_BYTES // per_row - self.reach))
        count = max(1, _BLOCK_BYTES // (per_row * (oh + self.reach))) if height == oh else 1
        for first in range(0, self.n, count):
            for top in range(0, oh, height):
                yield Block(first, min(self.n, first + count), top, min(oh, top + height))

    def tasks(self, most: int = _MAX_TASKS) -> list[list[Block]]:
        """The blocks in at most ``most`` runs; the cut depends on the shapes only, never on the threads."""
        return _runs(self.blocks, most)

    def image_tasks(self) -> list[list[Block]]:
        """As :meth:`tasks`, with all rows of an image in one run."""
        images: dict[int, list[Block]] = {}
        for block in self.blocks:
            images.setdefault(block.first, []).append(block)
        runs = _runs(list(images.values()), _MAX_TASKS)
        return [[block for image in run for block in image] for run in runs]

    def run(
        self, tasks: list[list[Block]], dtype: Any, body: Callable[[int, list[Block], Array], None]
    ) -> None:
        """Call ``body(i, tasks[i], planes)`` over the threads."""
        scratch = Scratch(lambda: self._planes(dtype))

        def borrowing(i: int) -> None:
            with scratch.borrow() as planes:
                body(i, tasks[i], planes)

        if len(tasks) > 1:
            with single_threaded():
                parallel_for(len(tasks), borrowing)
        else:
            parallel_for(len(tasks), borrowing)  # one task: the threads of the BLAS are all there is

    def _planes(self, dtype: Any) -> Array:
        if self.direct:
            return np.empty(0, dtype)
        height = max(block.bottom - block.top for block in self.blocks) + self.reach
        shape = self.kernel[1], self.cin, len(self.phases), height, self.out[1]
        return np.zeros((self.blocks[0].last, self.groups, *shape), dtype)

    def spans(self, block: Block) -> Iterator[tuple[tuple[Any, ...], slice, slice]]:
        """Where the planes of ``block`` meet the input: index into the planes, input rows and columns."""
        every = slice(None)
        for p, phase in enumerate(self.phases):
            offset = block.top * self.stride[0] + phase - self.padding[0]
            inside, rows = span(self.size[0], block.bottom - block.top + self.reach, offset, self.stride[0])
            for j in range(self.kernel[1]):
                left = j * self.dilation[1] - self.padding[1]
                across, cols = span(self.size[1], self.out[1], left, self.stride[1])
                yield (every, every, j, every, p, inside, across), rows, cols

    def columns(self, x: Array, block: Block, planes: Array) -> list[Array]:
        """Fill the planes from ``x``: ``[b, G, KW * cin, pixels]`` for each vertical tap, or one for all.

        What lies outside the image in every block must be zero on entry.
        """
        x = x[block.first : block.last]
        x = x.reshape(len(x), self.groups, self.cin, *self.size)
        if self.direct:
            x = x[..., block.top : block.bottom, :]
            return [x.reshape(*x.shape[:3], -1)]
        planes = planes[: len(x)]
        for index, rows, cols in self.spans(block):
            if self.shifted:
                self._shift(planes, x, index, rows)
            else:
                planes[index] = x[..., rows, cols]
            if block.bottom - block.top != self.out[0]:
                # A part of an image: rows that were outside before may be inside now, and the reverse.
                planes[*index[:5], : index[5].start] = 0
                planes[*index[:5], index[5].stop :] = 0
        views = self.views(planes, block)
        return [np.concatenate(views, axis=2)] if self.fold else views

    def _shift(self, planes: Array, x: Array, index: tuple[Any, ...], rows: slice) -> None:
        """Copy whole images instead of rows: output rows are as long as input rows, so a tap is a shift."""
        width, j, inside, across = self.size[1], index[2], index[5], index[6]
        left = j * self.dilation[1] - self.padding[1]
        start, stop = max(0, rows.start * width + left), min(self.size[0] * width, rows.stop * width + left)
        if inside.stop > inside.start and stop > start:
            by = (inside.start - rows.start) * width - left
            into = planes[:, :, j].reshape(*x.shape[:3], -1)
            into[..., start + by : stop + by] = x.reshape(*x.shape[:3], -1)[..., start:stop]
        planes[:, :, j, :, 0, :, : across.start] = 0
        planes[:, :, j, :, 0, :, across.stop :] = 0

    def views(self, planes: Array, block: Block) -> list[Array]:
        """``[b, G, KW * cin, pixels]`` for each vertical tap."""
        ow, stored = self.out[1], planes.shape[5]
        flat = planes.reshape(len(planes), self.groups, self.rows, -1)
        starts = [(phase * stored + row) * ow for phase, row in self.taps]
        return [flat[..., start : start + (block.bottom - block.top) * ow] for start in starts]

    def pixels(self, y: Array, block: Block) -> Array:
        """``y [N, G * cout, OH, OW]`` at the block as ``[b, G, cout, pixels]``: a view if possible."""
        y = y[block.first : block.last, :, block.top : block.bottom]
        return y.reshape(len(y), self.groups, self.cout, -1)


def _runs(items: list[Any], most: int) -> list[list[Any]]:
    count = min(len(items), most)
    return [items[len(items) * i // count : len(items) * (i + 1) // count] for i in range(count)]
