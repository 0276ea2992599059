"""Views: strides, contiguity and merged axes against NumPy."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grilly_vulkan.array import DeviceArray, contiguous_strides, is_contiguous, merge_axes
from grilly_vulkan.memory import Block, Holder, Slot

shapes = st.lists(st.integers(0, 4), max_size=5).map(tuple)


def base(shape: tuple[int, ...]) -> DeviceArray:
    block = Block(4096, 1 << 20, None)
    holder = Holder(Slot(block, 256, 1 << 16), lambda slot: None)
    return DeviceArray(holder, holder.slot.addr, shape, "float32", math.prod(shape))


def offsets(shape: tuple[int, ...] | list[int], strides: tuple[int, ...] | list[int]) -> list[int]:
    """Where the elements lie, in order."""
    return [sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(*shape)]


@given(shapes)
def test_contiguous_strides(shape: tuple[int, ...]) -> None:
    strides = contiguous_strides(shape)
    assert is_contiguous(shape, strides)
    if math.prod(shape):
        assert offsets(shape, strides) == list(range(math.prod(shape)))


@given(st.data(), shapes)
def test_contiguity_as_numpy_sees_it(data: st.DataObject, shape: tuple[int, ...]) -> None:
    strides = tuple(data.draw(st.lists(st.integers(0, 12), min_size=len(shape), max_size=len(shape))))
    if 0 in shape:
        return  # nothing lies anywhere
    assert is_contiguous(shape, strides) == (offsets(shape, strides) == list(range(math.prod(shape))))
    view = base(shape).view(shape, strides, offset=3)
    assert (view.strides is None) == is_contiguous(shape, strides)
    assert offsets(shape, view.full_strides()) == offsets(shape, strides)
    assert view.addr == 4096 + 256 + 12
    assert view.stored == len(set(offsets(shape, [s and s * 1000**i for i, s in enumerate(strides)])))


@given(st.data(), shapes, st.integers(1, 3))
def test_merged_axes_visit_the_same_elements_in_order(
    data: st.DataObject, shape: tuple[int, ...], operands: int
) -> None:
    plain = contiguous_strides(shape)
    strides = [
        tuple(data.draw(st.sampled_from([plain[i], 0, 1, 5])) for i in range(len(shape)))
        for _ in range(operands)
    ]
    extents, merged = merge_axes(shape, *strides)
    assert len(merged) == operands and 1 not in extents
    for before, after in zip(strides, merged, strict=True):
        assert offsets(shape, before) == offsets(extents, after)
    for i in range(len(extents) - 1):
        assert any(m[i] != extents[i + 1] * m[i + 1] for m in merged), "neighbours that could be one"


def test_a_contiguous_array_is_one_axis() -> None:
    assert merge_axes((2, 3, 4), contiguous_strides((2, 3, 4))) == ([24], [[1]])
    assert merge_axes((), ()) == ([], [[]])
    assert merge_axes((1, 1), (7, 9)) == ([], [[]])


def test_views_share_their_holder() -> None:
    array = base((2, 3))
    view = array.view((3, 2), (1, 3))
    assert view.holder is array.holder and view.slot is array.slot
    assert view.dtype == "float32" and view.size == 6
    assert repr(view) == "<DeviceArray float32[3, 2] at 0x1100>"
