"""Shapes and dtypes, and the rules that several ops share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_core.errors import ArgumentError, DTypeError, ShapeError
from grilly_core.ops.infer import broadcast_shapes, check_axis, same_dtype
from grilly_core.spec import DTYPES, FLOATS, INTS, Spec, canonical_dtype, numpy_dtype


def test_spec() -> None:
    spec = Spec((2, 3), "float64")
    assert (spec.ndim, spec.size, spec.nbytes, repr(spec)) == (2, 6, 48, "float64[2,3]")
    assert spec == Spec((2, 3), "float64") and hash(spec) == hash(Spec((2, 3), "float64"))
    assert spec != Spec((2, 3), "float32") and spec != Spec((3, 2), "float64")
    assert (Spec((), "bool").size, Spec((), "bool").nbytes, repr(Spec((), "bool"))) == (1, 1, "bool[]")
    assert Spec((4, 0), "int32").size == 0


def test_dtypes() -> None:
    assert set(DTYPES) == {*FLOATS, *INTS, "bool"}
    assert [numpy_dtype(name).name for name in DTYPES] == list(DTYPES)


@pytest.mark.parametrize(
    "given, name",
    [
        ("float32", "float32"),
        (np.float32, "float32"),
        (np.dtype(">f8"), "float64"),
        (float, "float64"),
        (bool, "bool"),
        ("f4", "float32"),
        (np.uint32, "uint32"),
    ],
)
def test_canonical_dtype(given: Any, name: str) -> None:
    assert canonical_dtype(given) == name


@pytest.mark.parametrize(
    "given, message",
    [
        ("flaot32", "'flaot32' is not a dtype; grilly has float32, float64, int32, uint32, bool"),
        (3.5, "3.5 is not a dtype"),
        (
            "float16",
            r"dtype float16 is not supported \(half precision is not supported yet\); convert to one of",
        ),
        (np.int64, "dtype int64 is not supported; convert to one of float32"),
        (complex, "dtype complex128 is not supported"),
    ],
)
def test_dtypes_grilly_does_not_have(given: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        canonical_dtype(given)


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (3,)],
        [(2, 1), (1, 3)],
        [(), (2,)],
        [(0, 1), (1, 3)],
        [(1,), (0,)],
        [(2,), (3, 1), (4, 1, 1)],
        [()],
    ],
)
def test_broadcast_shapes(shapes: list[tuple[int, ...]]) -> None:
    assert broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)


@pytest.mark.parametrize("shapes", [[(2,), (3,)], [(2, 3), (2,)], [(0,), (2,)], [(2,), (1,), (3,)]])
def test_shapes_that_do_not_broadcast(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        np.broadcast_shapes(*shapes)
    with pytest.raises(ShapeError, match=r"shapes \(.*\) and .* do not broadcast"):
        broadcast_shapes(*shapes)


def test_same_dtype() -> None:
    assert same_dtype(Spec((1,), "int32"), Spec((2,), "int32")) == "int32"
    with pytest.raises(DTypeError, match=r"dtypes differ: int32 and bool; convert one with x\.astype"):
        same_dtype(Spec((1,), "int32"), Spec((2,), "bool"))


def test_check_axis() -> None:
    spec = Spec((2, 3), "float32")
    assert check_axis(spec, 1) == 1
    for axis in (2, -1):
        with pytest.raises(ShapeError, match=rf"axis {axis} does not exist in shape \(2, 3\)"):
            check_axis(spec, axis)
    with pytest.raises(ArgumentError, match=r"axis must be an int, got \(0,\)"):
        check_axis(spec, (0,))
