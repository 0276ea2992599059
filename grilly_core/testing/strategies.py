"""What hypothesis draws: shapes, dtypes, values on a grid. Knows no op.

Values are dyadic: multiples of 2**-4 up to 4 in magnitude. Sums, products and comparisons of a few of them are
exact in float32 in any order, so that backends can be asked for equal bits; they meet thresholds and each other
far more often than random reals do; and none is subnormal, infinite or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from grilly_core.spec import DTYPES, INTS, numpy_dtype

__all__ = [
    "GRID", "LAYOUTS", "LIMIT", "MAX_ELEMENTS", "SIZES", "arrays", "axes", "bit_patterns", "broadcast_shapes", "dtype_of",
    "fit", "grid", "laid_out", "on_grid", "reals", "seeds", "shapes", "sizes", "spikes",
]  # fmt: skip

Shape = tuple[int, ...]

GRID = 2.0**-4
"""Distance between neighbouring values."""

LIMIT = 4.0
"""Largest magnitude."""

SIZES = (1, 63, 64, 65, 257, 1031)
"""Extents around a workgroup of 64 or 256 invocations, where a kernel's handling of the rest is at work."""

MAX_ELEMENTS = 4000
"""Larger arrays find nothing more and take long to shrink."""

LAYOUTS = ("plain", "transposed", "strided", "reversed", "readonly", "offset")
"""How :func:`laid_out` can arrange the same array in memory."""

_SMALL = 8


def dtype_of(dtypes: Collection[str], kinds: Sequence[str] = DTYPES) -> SearchStrategy[str]:
    """One of ``kinds`` that is among ``dtypes``, simplest first."""
    return st.sampled_from([name for name in kinds if name in dtypes])


def seeds() -> SearchStrategy[int]:
    """Seeds of NumPy's generator."""
    return st.integers(0, 2**32 - 1)


def sizes(most: int = MAX_ELEMENTS, least: int = 1) -> SearchStrategy[int]:
    """An extent: a few elements, or one around the workgroup, up to ``most``."""
    around = [size for size in SIZES if least <= size <= most]
    few = st.integers(least, max(least, min(5, most)))
    return few | st.sampled_from(around) if around else few


def fit(shape: Sequence[int], most: int = MAX_ELEMENTS) -> Shape:
    """``shape`` with its smaller extents above 1 made 1 until it has at most ``most`` elements.

    Example:
        >>> fit((5, 1031, 3), 4000)
        (1, 1031, 3)
    """
    out = list(shape)
    while math.prod(out) > most:
        rest = [extent for extent in out if extent > 1]
        if len(rest) == 1:
            out[out.index(rest[0])] = most
        else:
            excess = [extent for extent in sorted(rest)[:-1] if math.prod(out) // extent <= most]
            out[out.index(excess[-1] if excess else min(rest))] = 1
    return tuple(out)


@st.composite
def shapes(
    draw: DrawFn, min_ndim: int = 0, max_ndim: int = 4, *, most: int = MAX_ELEMENTS, empty: bool = True
) -> Shape:
    """Small odd shapes, shapes with one axis around the workgroup, and, if ``empty``, some without elements."""
    ndim = draw(st.integers(min_ndim, max_ndim))
    shape = draw(st.lists(st.integers(1, 5), min_size=ndim, max_size=ndim))
    if not ndim:
        return ()
    kind = draw(st.sampled_from(("small", "large", "large", "empty") if empty else ("small", "large")))
    if kind == "large":
        shape[draw(st.integers(0, ndim - 1))] = draw(st.sampled_from(SIZES))
    elif kind == "empty" and draw(st.booleans()):
        shape[draw(st.integers(0, ndim - 1))] = 0
    return fit(shape, most)


@st.composite
def broadcast_shapes(
    draw: DrawFn, count: int, *, most: int = MAX_ELEMENTS, max_ndim: int = 4, empty: bool = True
) -> tuple[Shape, ...]:
    """``count`` shapes that broadcast together; often all alike, sometimes 0-d or of lower rank."""
    whole = draw(shapes(0, max_ndim, most=most, empty=empty))
    out = []
    for _ in range(count):
        kind = draw(st.sampled_from(("same", "same", "ones", "tail")))
        if kind == "same" or not whole:
            out.append(whole)
        elif kind == "tail":
            out.append(whole[draw(st.integers(1, len(whole))) :])
        else:
            kept = draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
            out.append(tuple([extent if keep else 1 for extent, keep in zip(whole, kept, strict=True)]))
    return tuple(out)


def axes(ndim: int, *, least: int = 0) -> SearchStrategy[Shape]:
    """Different axes of an array, in order; at least ``least`` of them."""
    if not ndim:
        return st.just(())
    return st.sets(st.integers(0, ndim - 1), min_size=least).map(lambda chosen: tuple(sorted(chosen)))


def _steps(dtype: str, low: float, high: float) -> tuple[int, int, float]:
    """Range of whole numbers and the step that turns them into values of ``dtype``."""
    if dtype == "bool":
        return 0, 1, 1.0
    first, last = math.ceil(low / GRID), math.floor(high / GRID)
    if dtype in INTS:
        return max(first, 0) if dtype == "uint32" else first, last, 1.0
    return first, last, GRID


def on_grid(
    rng: np.random.Generator,
    shape: Shape,
    dtype: str = "float32",
    *,
    low: float = -LIMIT,
    high: float = LIMIT,
) -> np.ndarray:
    """Random values of the grid in ``[low, high]``; sixteen times that for integers, 0 and 1 for bool.

    Example:
        >>> values = on_grid(np.random.default_rng(0), (100,))
        >>> bool(np.all(values == np.round(values * 16) / 16))
        True
    """
    first, last, step = _steps(dtype, low, high)
    drawn = np.asarray(rng.integers(first, last, shape, endpoint=True))
    return np.asarray(drawn * step).astype(numpy_dtype(dtype))


@st.composite
def grid(
    draw: DrawFn,
    shape: Shape,
    dtype: str = "float32",
    *,
    low: float = -LIMIT,
    high: float = LIMIT,
    nonzero: bool = False,
) -> np.ndarray:
    """An array of grid values: element by element if small (shrinks well), else from a seed (covers well)."""
    size = math.prod(shape)
    if size <= _SMALL and draw(st.booleans()):
        first, last, step = _steps(dtype, low, high)
        chosen = draw(st.lists(st.integers(first, last), min_size=size, max_size=size))
        out = (np.array(chosen, dtype=np.float64) * step).astype(numpy_dtype(dtype)).reshape(shape)
    else:
        # A narrow range brings ties; a wide one brings large intermediate values.
        span = draw(st.sampled_from((1.0, 0.25)))
        low, high = (low * span if low < 0 else low), max(high * span, low)
        out = on_grid(np.random.default_rng(draw(seeds())), shape, dtype, low=low, high=high)
    if nonzero:
        smallest = 1 if dtype in INTS else min(GRID, high)
        out = np.where(out == 0, out.dtype.type(smallest), out)
    return out


def arrays(
    dtypes: Collection[str],
    kinds: Sequence[str] = DTYPES,
    *,
    min_ndim: int = 0,
    empty: bool = True,
    **limits: Any,
) -> SearchStrategy[np.ndarray]:
    """An array of grid values of any shape and of a dtype among ``dtypes`` and ``kinds``."""
    return st.tuples(shapes(min_ndim, empty=empty), dtype_of(dtypes, kinds)).flatmap(
        lambda drawn: grid(drawn[0], drawn[1], **limits)
    )


@st.composite
def spikes(draw: DrawFn, shape: Shape, dtype: str = "float32") -> np.ndarray:
    """0 and 1, from silence to a spike everywhere."""
    rate = draw(st.sampled_from((0.5, 0.1, 0.0, 1.0)))
    rng = np.random.default_rng(draw(seeds()))
    return np.asarray(rng.random(shape) < rate).astype(numpy_dtype(dtype))


@st.composite
def reals(draw: DrawFn, shape: Shape, dtype: str = "float32", *, scale: float = 1.0) -> np.ndarray:
    """Normally distributed values: no grid, so results differ by rounding and are compared with a tolerance."""
    rng = np.random.default_rng(draw(seeds()))
    return np.asarray(rng.standard_normal(shape) * scale).astype(numpy_dtype(dtype))


@st.composite
def bit_patterns(draw: DrawFn, shape: Shape, dtype: str) -> np.ndarray:
    """Any bits at all, NaN payloads and subnormals included: for copies, which must not look inside."""
    rng = np.random.default_rng(draw(seeds()))
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    kind = numpy_dtype(dtype)
    raw = rng.integers(0, 256, (*shape, kind.itemsize), dtype=np.uint8)
    return raw.view(kind).reshape(shape)


def _strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _offset(array: np.ndarray) -> np.ndarray:
    larger = np.zeros([extent + 1 for extent in array.shape], array.dtype)
    inner = (slice(1, None),) * array.ndim
    larger[inner] = array
    return larger[inner]


def _reversed(array: np.ndarray) -> np.ndarray:
    back = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[back])[back]


_ARRANGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transposed": lambda array: np.ascontiguousarray(array.T).T,
    "strided": _strided,
    "reversed": _reversed,
    "offset": _offset,
}


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values under other strides, as a view of another array.

    Args:
        array: any array.
        layout: one of :data:`LAYOUTS`.

    Example:
        >>> laid_out(np.arange(6).reshape(2, 3), "transposed").strides
        (8, 16)
    """
    if layout == "readonly":
        copy = array.copy()
        copy.flags.writeable = False
        return copy
    arrange = _ARRANGE.get(layout)
    return array if arrange is None or not array.ndim else arrange(array)
