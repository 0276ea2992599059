"""Which tile a product is cut into, and over how many workgroups its sum is split."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["DEEP", "MATRIX", "Tiling", "choose"]

DEEP = 32
MATRIX = ((128, 128),)
_ENOUGH = 264  # workgroups that keep a large GPU busy
_LEAST_CHUNK = 128
_FOR_CPU = (64, 64)  # the others take seconds to compile there


class Tiling(NamedTuple):
    """A tile of ``rows x columns``, as shaders are named; ``groups`` of them; k in ``splits`` chunks."""

    name: str
    groups: int
    splits: int
    chunk: int


def choose(
    device: Any,
    sizes: tuple[tuple[int, int], ...],
    rows: int,
    columns: int,
    inner: int,
    batches: int,
    split: bool,
) -> Tiling:
    """The largest tile that is not mostly empty and gives enough workgroups.

    Args:
        device: the backend; ``simple_products`` says that it is a CPU.
        sizes: tiles that the shader comes in, largest first.
        rows, columns, inner, batches: of the product.
        split: whether the sum over ``inner`` may be split.
    """
    best, best_cost = sizes[0], float("inf")
    for tile in [_FOR_CPU] if device.simple_products else sizes:
        cost = _cost(tile, rows, columns, batches)
        if split:
            cost = min(cost, _cost(tile, rows, columns, batches * max(1, inner // _LEAST_CHUNK)) * 1.1)
        if cost < best_cost:
            best, best_cost = tile, cost
    tiles = -(-rows // best[0]) * -(-columns // best[1]) * batches
    splits = 1
    if split and tiles < _ENOUGH and not device.simple_products:
        splits = max(1, min(_ENOUGH // tiles, inner // _LEAST_CHUNK))
    chunk = -(-inner // splits)
    chunk = max(-(-chunk // DEEP), 1) * DEEP
    splits = max(1, -(-inner // chunk))
    return Tiling(f"{best[0]}x{best[1]}", tiles * splits, splits, chunk)


def _cost(tile: tuple[int, int], rows: int, columns: int, batches: int) -> float:
    """Time of a product in arbitrary units: whole tiles, smaller ones slower, idle processors wasted."""
    m, n = tile
    tiles = -(-rows // m) * -(-columns // n) * batches
    # Arithmetic per word read from shared memory falls with the tile.
    slower = 1.0 + 48.0 * (1.0 / m + 1.0 / n)
    waves = max(tiles / _ENOUGH, 1.0)
    return waves * m * n * slower
