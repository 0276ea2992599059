"""Products of float32 on tensor cores: for which it pays, in which tiles, and how k is split over blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, launch, launch_each

__all__ = ["add_up", "divisor", "fours", "launch_tiles", "matmul", "on_tensor_cores", "splits", "tiles"]

Array = Any

# Rows and columns of a tile, and the shape of its warps.
_TILES = {
    (128, 128): dict(WARPS_M=2, TILES_M=4, TILES_N=4),
    (64, 128): dict(WARPS_M=2, TILES_M=2, TILES_N=4),
    (32, 128): dict(WARPS_M=1, TILES_M=2, TILES_N=2),
    (128, 32): dict(WARPS_M=4, TILES_M=2, TILES_N=2),
}
_NARROW = 32  # products with fewer rows or columns leave most of a tile empty
_LEAST_WORK = 1 << 31  # multiplications, below which cuBLAS is as fast or faster
_LEAST_K = 256  # of a split
_ROUND_K = 64  # two chunks
_BYTES_OF_LINE = 128  # of a chunk, split


def on_tensor_cores(device: Any, *arrays: Array) -> bool:
    """Whether the device's tensor cores multiply these."""
    return device.split_products and all(array.dtype == np.float32 for array in arrays)


def tiles(device: Any, rows: int, columns: int, whole: bool = False) -> tuple[int, dict[str, int]]:
    """How many tiles cover the results, and the constants that give a tile its shape.

    Args:
        device: the backend.
        rows, columns: of the result.
        whole: k is not split, so tiles are smaller where large ones would leave processors idle.
    """
    width = 32 if columns <= 32 else 128
    heights = [height for height, across in _TILES if across == width]
    fitting = [height for height in heights if height == min(heights) or rows > height // 2]

    def count(height: int) -> int:
        return -(-rows // height) * -(-columns // width)

    busy = [height for height in fitting if not whole or count(height) >= device.processors]
    height = max(busy) if busy else min(fitting)
    return count(height), _TILES[height, width]


def splits(device: Any, count: int, inner: int) -> tuple[int, int]:
    """Into how many parts k is split, so that every processor has a tile, and how long they are.

    A part is a multiple of the chunks that are summed without rounding.
    """
    most = max(1, min(device.processors // max(1, count), inner // _LEAST_K))
    length = -(-inner // (most * _ROUND_K)) * _ROUND_K
    return max(1, -(-inner // max(1, length))), max(1, length)


def launch_tiles(
    name: str, grid: tuple[int, ...], args: tuple[Any, ...], shape: dict[str, int], **constants: int
) -> None:
    """Launch a kernel of ``product.cuh`` with tiles of a shape."""
    rows = 16 * shape["WARPS_M"] * shape["TILES_M"]
    columns = 8 * (8 // shape["WARPS_M"]) * shape["TILES_N"]
    shared = 2 * (rows + columns) * _BYTES_OF_LINE
    launch(name, "float32", grid, (BLOCK,), args, shared, **constants, **shape)


def fours(array: Array, inner: int, stride: int) -> bool:
    """Whether fours of k lie side by side at addresses that allow reading them at once."""
    return inner % 4 == 0 and stride % 4 == 0 and array.data.ptr % 16 == 0


def divisor(by: int) -> tuple[Any, Any]:
    """Factor and shift of a kernel's ``Divisor``, with which it divides what is below 2**31.

    Example:
        >>> factor, shift = map(int, divisor(7))
        >>> ((1000 * factor >> 32) + 1000) >> shift
        142
    """
    shift = max(0, by - 1).bit_length()
    return np.uint32(((1 << 32) * ((1 << shift) - by)) // by + 1), np.uint32(shift)


def add_up(parts: Array, shape: tuple[int, ...]) -> Array:
    """The parts ``[splits, ...]`` of a split k added up in their order."""
    if parts.shape[0] == 1:
        return parts.reshape(shape)
    out = cp.empty(shape, parts.dtype)
    launch_each("matmul/add_up", parts.dtype, out.size, (parts, out, out.size, parts.shape[0]))
    return out


def matmul(device: Any, x: Array, y: Array) -> Array | None:
    """The product of two matrices of any strides; None where cuBLAS is the better choice."""
    if x.ndim != 2 or y.ndim != 2 or not on_tensor_cores(device, x, y):
        return None
    (rows, inner), columns = x.shape, y.shape[1]
    if min(rows, columns) < _NARROW or rows * columns * inner < _LEAST_WORK or max(x.size, y.size) >= 2**31:
        return None
    (x_line, x_k), (y_k, y_line) = ([stride // 4 for stride in a.strides] for a in (x, y))
    count, shape = tiles(device, rows, columns)
    parts, length = splits(device, count, inner)
    z = cp.empty((parts, rows, columns), x.dtype)
    numbers = (np.int32(rows), np.int32(columns), np.int32(inner), np.int32(length), x_line, x_k, y_line, y_k)
    order = dict(
        X_ALONG_K=int(x_k == 1 or x_line != 1),
        Y_ALONG_K=int(y_k == 1 or y_line != 1),
        X_VECTOR=int(x_k == 1 and fours(x, inner, x_line)),
        Y_VECTOR=int(y_k == 1 and fours(y, inner, y_line)),
    )
    launch_tiles("matmul/matmul", (count, parts), (x, y, z, *numbers), shape, **order)
    return add_up(z, (rows, columns))
