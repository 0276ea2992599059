"""The neuron kernels against references written in the order the semantics fix."""

from __future__ import annotations

import math
import types
from typing import Any

import numpy as np
import pytest

from grilly_numpy import threads
from grilly_numpy.kernels import neuron, neuron_vjp

RESETS = [0.0, -0.25, None]
SHAPES = [(4, 3, 5), (1, 7), (3,), (5, 0), (0, 4), (2, 1, 1)]


class ATan:
    alpha = 2.0


ATan.__module__ = "grilly_core.surrogate"


class Unknown:
    """A surrogate that no table knows; the derivative is ATan's."""

    def derivative(self, u: Any) -> Any:
        return types.SimpleNamespace(_data=atan(u.array))


def atan(u: np.ndarray) -> np.ndarray:
    return 1 / (1 + (math.pi * u) ** 2)


@pytest.fixture
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 32 neurons, tiles of two steps, three threads: small arrays take every path."""
    monkeypatch.setattr(neuron, "_BLOCK_BYTES", 256)
    monkeypatch.setattr(neuron_vjp, "_TILE_BYTES", 512)
    use_threads(monkeypatch, 3)


def use_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(threads, "_count", count)
    monkeypatch.setattr(threads, "_executor", None)


def draw(shape: tuple[int, ...], dtype: str, seed: int, grid: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.integers(-32, 48, shape) / 16 if grid else rng.standard_normal(shape) + 0.4
    return values.astype(dtype)


def charge(x: np.ndarray, v: np.ndarray, k: Any, v_reset: float | None, decay_input: bool) -> np.ndarray:
    r = x.dtype.type(v_reset or 0.0)
    if k is None:
        return v + x
    k = x.dtype.type(k)
    return v + (x - (v - r)) * k if decay_input else (v - (v - r) * k) + x


def reference(
    x: np.ndarray, v: np.ndarray, k: Any, v_threshold: float, v_reset: float | None, decay_input: bool
) -> tuple[np.ndarray, ...]:
    dtype = x.dtype.type
    threshold, s_all, h_all = dtype(v_threshold), np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    with np.errstate(all="ignore"):
        for t in range(x.shape[0]):
            h = charge(x[t], v, k, v_reset, decay_input)
            s = (h >= threshold).astype(x.dtype)
            v = h - s * threshold if v_reset is None else (dtype(1) - s) * h + s * dtype(v_reset)
            s_all[t], h_all[t] = s, h
    return s_all, np.asarray(v), h_all


def forward(
    x: np.ndarray, v: np.ndarray, k: Any, *, v_reset: float | None, decay_input: bool, save_h: bool = True
) -> tuple[np.ndarray, ...]:
    common: dict[str, Any] = {
        "v_threshold": 0.75,
        "v_reset": v_reset,
        "detach_reset": False,
        "surrogate": ATan(),
        "save_h": save_h,
    }
    if k is None:
        return neuron.if_multi_step(None, x, v, **common)
    if isinstance(k, np.ndarray):
        return neuron.plif_multi_step(None, x, v, k, decay_input=decay_input, **common)
    return neuron.lif_multi_step(None, x, v, k=k, decay_input=decay_input, **common)


def assert_same(got: tuple[np.ndarray, ...], want: tuple[np.ndarray, ...]) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
        assert np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("k", [None, 0.5, 1 / 3, "array"])
@pytest.mark.parametrize("decay_input", [True, False])
def test_forward_is_bit_identical_to_the_reference(
    dtype: str, v_reset: float | None, k: Any, decay_input: bool, several_blocks: None
) -> None:
    rate = np.array(0.3, dtype) if k == "array" else k
    for seed, shape in enumerate([*SHAPES, (6, 150)]):
        for grid in (False, True):
            x, v = draw(shape, dtype, seed, grid), draw(shape[1:], dtype, seed + 50, grid)
            want = reference(x, v, rate, 0.75, v_reset, decay_input)
            assert_same(forward(x, v, rate, v_reset=v_reset, decay_input=decay_input), want)
            assert_same(forward(x, v, rate, v_reset=v_reset, decay_input=decay_input, save_h=False), want[:2])


@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("k", [None, 0.5])
def test_what_is_not_finite_stays_so_and_nan_never_fires(v_reset: float | None, k: float | None) -> None:
    x, v = draw((5, 8), "float32", 1), draw((8,), "float32", 2)
    x[1, :3] = [np.nan, np.inf, -np.inf]
    v[5] = np.nan
    x[2, 6] = np.float32(3.4e38)
    x[3, 6] = np.float32(3.4e38)
    s, last, h = forward(x, v, k, v_reset=v_reset, decay_input=True)
    assert_same((s, last, h), reference(x, v, k, 0.75, v_reset, True))
    assert not np.isfinite(h[1:, :3]).any() and not np.isfinite(last[[0, 1, 2, 5]]).any()
    assert not s[np.isnan(h)].any()


def test_equality_fires() -> None:
    s, *_ = forward(
        np.array([[0.75, np.nextafter(0.75, 0)]]), np.zeros(2), None, v_reset=0.0, decay_input=True
    )
    assert s.tolist() == [[1.0, 0.0]]


def test_one_step_is_the_first_of_many() -> None:
    x, v, k = draw((4, 5), "float32", 3), draw((4, 5), "float32", 4), np.array(0.3, "float32")
    common: dict[str, Any] = {"v_threshold": 0.75, "v_reset": 0.0, "detach_reset": False, "surrogate": ATan()}
    got = neuron.if_step(None, x, v, **common)
    assert_same(got, _first(reference(x[None], v, None, 0.75, 0.0, True)))
    got = neuron.lif_step(None, x, v, **common, k=0.5, decay_input=False)
    assert_same(got, _first(reference(x[None], v, 0.5, 0.75, 0.0, False)))
    got = neuron.plif_step(None, x, v, k, **common, decay_input=True)
    assert_same(got, _first(reference(x[None], v, k, 0.75, 0.0, True)))
    got = neuron.if_step(None, x[0, 0].reshape(()), v[0, 0].reshape(()), **common)
    assert all(a.shape == () and isinstance(a, np.ndarray) for a in got)


def _first(results: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    s, v, _ = results
    return s[0], v


def reference_vjp(
    g_s: np.ndarray,
    g_v: np.ndarray | None,
    g_h: np.ndarray | None,
    h: np.ndarray,
    x: np.ndarray,
    v: np.ndarray,
    *,
    k: float | None,
    sg_of: Any,
    v_reset: float | None,
    decay_input: bool,
    detach: bool,
) -> tuple[np.ndarray, np.ndarray, float]:
    """The formulas of the semantics, in float64."""
    g_s, h, x, v = (np.asarray(a, float) for a in (g_s, h, x, v))
    r, theta, rate = v_reset or 0.0, 0.75, 0.0 if k is None else k
    carried = np.zeros(v.shape) if g_v is None else np.asarray(g_v, float)
    g_x, g_k = np.empty(h.shape), 0.0
    for t in reversed(range(h.shape[0])):
        sg, s = sg_of(h[t] - theta), (h[t] >= theta).astype(float)
        factor = (1.0 if v_reset is None else 1 - s) + 0 * s
        if not detach:
            factor = factor + (-theta * sg if v_reset is None else (r - h[t]) * sg)
        g = g_s[t] * sg + carried * factor + (0 if g_h is None else g_h[t])
        before = v
        if t:
            s = (h[t - 1] >= theta).astype(float)
            before = h[t - 1] - s * theta if v_reset is None else (1 - s) * h[t - 1] + s * r
        g_k += float(np.sum(g * ((x[t] if decay_input else 0) - (before - r))))
        carried = (1 - rate) * g
        g_x[t] = g * rate if decay_input and k is not None else g
    return g_x, carried, g_k


def backward(
    arrays: dict[str, Any], k: Any, surrogate: Any, v_reset: float | None, decay_input: bool, detach: bool
) -> tuple[np.ndarray, ...]:
    common: dict[str, Any] = {
        "v_threshold": 0.75,
        "v_reset": v_reset,
        "detach_reset": detach,
        "surrogate": surrogate,
    }
    first = (None, arrays["g_s"], arrays["g_v"], arrays["g_h"], arrays["h"])
    if k is None:
        return neuron_vjp.if_multi_step_vjp(*first, **common)
    if isinstance(k, np.ndarray):
        return neuron_vjp.plif_multi_step_vjp(
            *first, arrays["x"], arrays["v"], k, decay_input=decay_input, **common
        )
    return neuron_vjp.lif_multi_step_vjp(*first, k=k, decay_input=decay_input, **common)


def backward_inputs(
    shape: tuple[int, ...], dtype: str, k: Any, v_reset: float | None, decay_input: bool, optional: bool
) -> dict[str, Any]:
    x, v = draw(shape, dtype, 1, grid=True), draw(shape[1:], dtype, 2, grid=True)
    h = reference(x, v, k, 0.75, v_reset, decay_input)[2]
    return {
        "x": x, "v": v, "h": h, "g_s": draw(shape, dtype, 3),
        "g_v": draw(shape[1:], dtype, 4) if optional else None, "g_h": draw(shape, dtype, 5) if optional else None,
    }  # fmt: skip


@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("k", [None, 0.5, 0.3, 1.0, "array"])
@pytest.mark.parametrize("decay_input", [True, False])
def test_backward_follows_the_formulas(
    v_reset: float | None, detach: bool, k: Any, decay_input: bool, several_blocks: None
) -> None:
    for shape in [*SHAPES, (7, 150)]:
        for dtype, optional in (("float64", True), ("float64", False), ("float32", True)):
            rate = np.array(0.3, dtype) if k == "array" else k
            arrays = backward_inputs(shape, dtype, rate, v_reset, decay_input, optional)
            got = backward(arrays, rate, ATan(), v_reset, decay_input, detach)
            number = None if rate is None else float(rate)
            want: tuple[Any, ...] = reference_vjp(
                **arrays, k=number, sg_of=atan, v_reset=v_reset, decay_input=decay_input, detach=detach
            )
            tolerance = 1e-12 if dtype == "float64" else 2e-5
            assert len(got) == (3 if k == "array" else 2)
            for a, b in zip(got, want, strict=False):
                assert isinstance(a, np.ndarray) and a.dtype == dtype and a.shape == np.shape(b)
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 50)


def test_unknown_surrogate_gives_its_own_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def derivative_of(surrogate: Any, u: np.ndarray, device: Any) -> np.ndarray:
        calls.append((u.shape, device))
        return surrogate.derivative(types.SimpleNamespace(array=u))._data

    monkeypatch.setattr(neuron_vjp, "derivative_of", derivative_of)
    for k in (None, 0.5, 0.3):
        arrays = backward_inputs((4, 3, 5), "float64", k, 0.0, True, True)
        got = backward(arrays, k, Unknown(), 0.0, True, False)
        for a, b in zip(got, backward(arrays, k, ATan(), 0.0, True, False), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert calls == [((4, 3, 5), None)] * 3


def test_backward_of_what_is_not_finite_warns_of_nothing() -> None:
    arrays = backward_inputs((3, 6), "float32", 0.5, 0.0, True, True)
    arrays["h"][1, :3] = [np.nan, np.inf, -np.inf]
    g_x, _ = backward(arrays, 0.5, ATan(), 0.0, True, False)
    assert not np.isfinite(g_x[1, 0]) and np.isfinite(g_x[:, 3:]).all()


def test_any_thread_count_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    k = np.array(0.3, "float32")
    arrays = backward_inputs((9, 130_000), "float32", k, None, True, True)
    results = []
    for count in (1, 2, 5):
        use_threads(monkeypatch, count)
        ahead = forward(arrays["x"], arrays["v"], k, v_reset=None, decay_input=True)
        results.append((*ahead, *backward(arrays, k, ATan(), None, True, False)))
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))


def test_strided_and_read_only_inputs(several_blocks: None) -> None:
    x, v = draw((5, 6, 40), "float32", 1), draw((6, 40), "float32", 2)
    want = forward(x, v, 0.5, v_reset=0.0, decay_input=True)
    strided = np.asfortranarray(x)
    wide = np.zeros((5, 6, 80), "float32")
    wide[:, :, ::2] = x
    for a in (strided, wide[:, :, ::2]):
        a.flags.writeable = False
        assert_same(forward(a, np.asfortranarray(v), 0.5, v_reset=0.0, decay_input=True), want)
    spread = np.broadcast_to(np.float32(0.5), x.shape)
    arrays: dict[str, Any] = {
        "g_s": spread,
        "g_v": None,
        "g_h": np.asfortranarray(x),
        "h": np.asfortranarray(want[2]),
    }
    plain = {name: None if a is None else np.ascontiguousarray(a) for name, a in arrays.items()}
    assert_same(
        backward(arrays, 0.5, ATan(), 0.0, True, False), backward(plain, 0.5, ATan(), 0.0, True, False)
    )


def test_inputs_are_left_alone_and_not_aliased() -> None:
    x, v = draw((3, 8), "float32", 1), draw((8,), "float32", 2)
    kept = x.copy(), v.copy()
    results = forward(x, v, 0.5, v_reset=0.0, decay_input=True)
    assert np.array_equal(x, kept[0]) and np.array_equal(v, kept[1])
    assert not any(np.shares_memory(a, b) for a in results for b in (x, v))
