"""2-D convolution and its gradients: on tensor cores where they are (``matrix.py``), else pixels as columns of a matrix and
products of cuBLAS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from grilly_cupy.kernels.matrix import add_up, divisor, fours, launch_tiles, on_tensor_cores, splits, tiles
from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, GRID_LINES, index_type, launch, launch_each, row_major

__all__ = ["DECLINES", "KERNELS", "conv2d_weight_vjp"]

Array = Any
Pair = tuple[int, int]
_COLUMN_BYTES = 1 << 30  # of the matrix of columns that is made at a time
_MOST = 1 << 30  # its columns, and pixels of the images, are counted in 32 bits
_FEW = 8  # channels of a group that leave a tile of the tensor cores almost empty


class _Plan:
    """One convolution: extents, and how many images are worked on together where there is a matrix of columns.

    That is ``[groups, C / groups KH KW, images OH OW]``.
    """

    def __init__(
        self,
        images: tuple[int, int, int, int],
        out: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        dtype: Any,
    ) -> None:
        self.n, self.c, *size = images
        self.groups, self.dtype, self.kernel = groups, dtype, kernel
        self.lines = self.c // groups * kernel[0] * kernel[1]
        self.pixels = out[0] * out[1]
        self.window = [np.int32(e) for pair in (size, out, kernel, stride, padding, dilation) for e in pair]
        self.space = size[0] * size[1]
        each = max(1, groups * self.lines * self.pixels * dtype.itemsize)
        largest = max(1, self.pixels, self.space)
        self.together = max(1, min(self.n, _COLUMN_BYTES // each, _MOST // largest))

    def parts(self) -> Iterator[slice]:
        """Images that are worked on together."""
        for first in range(0, self.n, self.together):
            yield slice(first, min(self.n, first + self.together))

    def columns(self, x: Array) -> Array:
        """The matrix of some images."""
        images = x.shape[0]
        matrix = cp.empty((self.groups, self.lines, images * self.pixels), self.dtype)
        self._launch("columns", images * self.pixels, images, (x, matrix))
        return matrix

    def gather(self, matrix: Array, images: int, x: Array) -> None:
        """What lies in the columns added up at the pixels it came from, into ``x``."""
        self._launch("images", images * self.space, images, (matrix, x))

    def on_tensor_cores(self, device: Any, channels: int, weights: int, *arrays: Array) -> bool:
        """Whether a product does it whose rows are ``channels``: enough of them, places counted in 32 bits."""
        image = max(math.prod(array.shape[1:]) for array in arrays)
        most = max(self.n * self.pixels, self.n * self.space, weights, image)
        return (
            channels >= _FEW * self.groups
            and most < _MOST
            and self.groups <= GRID_LINES
            and on_tensor_cores(device, *arrays)
        )

    def product(
        self, device: Any, x: Array, weight: Array, bias: Array | None, y: Array, backward: bool = False
    ) -> Array:
        """The output, or the gradient at the input, of the kernel ``conv_matrix/pixels``, into ``y``."""
        if not y.size:
            return y
        rows, channels = y.shape[1] // self.groups, x.shape[1] // self.groups
        size, out, _, *rest = zip(self.window[::2], self.window[1::2], strict=True)
        sizes = (*out, *size) if backward else (*size, *out)
        count, inner = self.n * y.shape[2] * y.shape[3], channels * self.kernel[0] * self.kernel[1]
        blocks, shape = tiles(device, rows, count, whole=True)
        by_tap = self._by_tap(weight, backward)
        numbers = (*map(np.int32, (rows, channels, inner, count, self.kernel[1])), *sizes, *_flat(rest))
        constants = dict(
            DEEP=int(channels % 32 == 0), VECTOR=int(fours(by_tap, inner, inner)), BACKWARD=int(backward)
        )
        args = (by_tap, x, bias, y, *numbers, *divisor(y.shape[2] * y.shape[3]))
        launch_tiles("conv_matrix/pixels", (blocks, self.groups), args, shape, **constants)
        return y

    def _by_tap(self, weight: Array, backward: bool) -> Array:
        """The weights as ``[groups, channels written, KH, KW, channels read]``."""
        grouped = weight.reshape(self.groups, weight.shape[0] // self.groups, *weight.shape[1:])
        return cp.ascontiguousarray(grouped.transpose((0, 2, 3, 4, 1) if backward else (0, 1, 3, 4, 2)))

    def weights(self, device: Any, g: Array, x: Array) -> Array:
        """The gradient ``[O, C / groups KH KW]`` at the weights, of the kernel ``conv_matrix/weights``."""
        rows, channels, count = g.shape[1] // self.groups, self.c // self.groups, self.n * self.pixels
        blocks, shape = tiles(device, rows, self.lines)
        parts, length = splits(device, blocks * self.groups, count)
        made = cp.empty((parts, g.shape[1], self.lines), self.dtype)
        numbers = map(np.int32, (rows, channels, count, length, *self.kernel))
        size, out, _, *rest = zip(self.window[::2], self.window[1::2], strict=True)
        divisors = (*divisor(self.pixels), *divisor(g.shape[3]))
        args = (g, x, made, *numbers, *size, *out, *_flat(rest), *divisors)
        grid = (blocks, parts, self.groups)
        vector = int(fours(g, self.pixels, self.pixels))
        launch_tiles("conv_matrix/weights", grid, args, shape, VECTOR=vector)
        return add_up(made, made.shape[1:])

    def _launch(self, function: str, threads: int, images: int, arrays: tuple[Array, Array]) -> None:
        grid = (-(-threads // BLOCK), min(self.c, GRID_LINES))
        args = (*arrays, np.int32(images), np.int32(self.c), *self.window)
        launch(f"conv/{function}", self.dtype, grid, (BLOCK,), args)


def _flat(pairs: Iterable[tuple[Any, Any]]) -> tuple[Any, ...]:
    return tuple([extent for pair in pairs for extent in pair])


def _swapped(x: Array, shape: tuple[int, int, int], out: Array, bias: Array | None = None) -> Array:
    """``x`` as ``[A, B, P]`` with the first two axes exchanged into ``out``, plus the bias ``[A]``."""
    args = (x, bias, out, out.size, *shape)
    launch_each("conv/swapped", x.dtype, out.size, args, INDEX=index_type(out.size))
    return out


def _product(a: Array, b: Array) -> Array:
    """Products of ``[G, M, K]`` and ``[G, K, N]``; of one group as of plain matrices, which may be transposed."""
    if not a.size or not b.size:
        return cp.zeros((a.shape[0], a.shape[1], b.shape[2]), a.dtype)
    return cp.matmul(a[0], b[0])[None] if a.shape[0] == 1 else cp.matmul(a, b)


def conv2d(
    device: Any,
    x: Array,
    weight: Array,
    bias: Array | None,
    /,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    o, _, *kernel = weight.shape
    oh, ow = (
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    plan = _Plan(x.shape, (oh, ow), tuple(kernel), stride, padding, dilation, groups, x.dtype)
    x, weight, bias = row_major(x), row_major(weight), row_major(bias)
    y = cp.empty((plan.n, o, oh, ow), x.dtype)
    if plan.on_tensor_cores(device, o, weight.size, x, weight):
        return plan.product(device, x, weight, bias, y)
    rows = weight.reshape(groups, o // groups, plan.lines)
    for part in plan.parts():
        made, into = _product(rows, plan.columns(x[part])), y[part]
        _swapped(made, (o, into.shape[0], plan.pixels), into, bias)
    return y


def conv2d_input_vjp(
    device: Any,
    g: Array,
    weight: Array,
    /,
    *,
    input_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    n, o, oh, ow = g.shape
    _, cg, *kernel = weight.shape
    images = (n, cg * groups, *input_size)
    plan = _Plan(images, (oh, ow), tuple(kernel), stride, padding, dilation, groups, g.dtype)
    g, weight = row_major(g), row_major(weight)
    g_x = cp.empty(images, g.dtype)
    if plan.on_tensor_cores(device, plan.c, weight.size, g, weight):
        return plan.product(device, g, weight, None, g_x, backward=True)
    rows = weight.reshape(groups, o // groups, plan.lines).transpose(0, 2, 1)
    for part in plan.parts():
        matrix = _product(rows, _outgoing(g[part], groups))
        plan.gather(row_major(matrix), g[part].shape[0], g_x[part])
    return g_x


def conv2d_weight_vjp(
    device: Any,
    g: Array,
    x: Array,
    /,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    o, oh, ow = g.shape[1:]
    plan = _Plan(x.shape, (oh, ow), kernel_size, stride, padding, dilation, groups, x.dtype)
    g, x = row_major(g), row_major(x)
    if g.size and plan.on_tensor_cores(device, o, o * plan.lines, g, x):
        return plan.weights(device, g, x).reshape(o, x.shape[1] // groups, *kernel_size)
    total: Array | None = None
    for part in plan.parts():
        made = _product(_outgoing(g[part], groups), plan.columns(x[part]).transpose(0, 2, 1))
        total = made if total is None else total + made
    if total is None:
        total = cp.zeros((groups, o // groups, plan.lines), x.dtype)
    return total.reshape(o, x.shape[1] // groups, *kernel_size)


def _outgoing(g: Array, groups: int) -> Array:
    """Gradients ``[N, O, OH, OW]`` as ``[groups, O / groups, N OH OW]``."""
    n, o, oh, ow = g.shape
    out = cp.empty((groups, o // groups, n * oh * ow), g.dtype)
    return _swapped(g, (n, o, oh * ow), out)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (conv2d, conv2d_input_vjp, conv2d_weight_vjp)
}
DECLINES: dict[str, Callable[..., str | None]] = {}
