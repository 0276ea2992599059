"""Plasticity and flat neurons on the device: traces and spikes bit for bit, updates in one dispatch or as products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
from grilly_core import ops
from grilly_core.testing.tolerances import value_tolerance

SIZES = [0, 1, 63, 64, 65, 257, 1031]
STDP: dict[str, Any] = dict(tau_pre=20.0, tau_post=3.0, a_pre=0.012, a_post=0.01)
HEBB: dict[str, Any] = dict(lr=0.3, decay=0.05)


@pytest.fixture
def backend() -> Any:
    return open_or_skip("vulkan")


def spikes(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng([seed, *shape]).random(shape) < 0.3).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def both(
    backend: Any, name: str, args: list[Any], attrs: dict[str, Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Results on the device and on NumPy, natively on both."""
    pairs = []
    for target in (backend, "numpy"):
        placed = [None if a is None else grilly.tensor(a, backend=target) for a in args]
        made = getattr(ops, name)(*placed, **attrs)
        pairs.append([y.numpy() for y in (made if isinstance(made, tuple) else (made,))])
    return list(zip(*pairs, strict=True))


def native(
    backend: Any, name: str, args: list[Any], attrs: dict[str, Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same, through the device's kernel or not at all."""
    placed = [None if a is None else grilly.tensor(a, backend=backend) for a in args]
    with grilly.require_native():
        getattr(ops, name)(*placed, **attrs)
    return both(backend, name, args, attrs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("steps", [1, 8, 9, 33])
@pytest.mark.parametrize("given", [False, True])
def test_traces_have_the_same_bits(size: int, steps: int, given: bool, backend: Any) -> None:
    args = [spikes(steps, size), np.abs(normal(size)) if given else None]
    for found, wanted in native(backend, "stdp_trace", args, {"tau": 20.0}):
        np.testing.assert_array_equal(found, wanted)


def test_traces_of_views(backend: Any) -> None:
    s = spikes(40, 70)
    plain = ops.stdp_trace(grilly.tensor(s.T[::2, 3:], backend=backend), None, tau=3.0)[0].numpy()
    view = ops.stdp_trace(grilly.tensor(s, backend=backend).transpose()[::2, 3:], None, tau=3.0)[0].numpy()
    np.testing.assert_array_equal(view, plain)


LAYERS = [
    ((5, 7), (9, 3, 7), (9, 3, 5), {}),
    ((1, 1031), (2, 1, 1031), (2, 1, 1), {}),
    ((257, 65), (8, 4, 65), (8, 4, 257), {}),
    ((3, 4), (5, 0, 4), (5, 0, 3), {}),
    ((4, 3, 3), (4, 2, 6, 11), (4, 2, 4, 7), dict(stride=(2,), padding=(2,), dilation=(1,), groups=2)),
    ((6, 2, 3, 2), (4, 2, 2, 8, 7), (4, 2, 6, 4, 7), dict(stride=(1, 1), padding=(0, 1), dilation=(2, 2))),
    ((6, 1, 3, 3), (5, 2, 6, 9, 9), (5, 2, 6, 5, 5), dict(stride=(2, 2), padding=(1, 1), dilation=(1, 1), groups=6)),
]  # fmt: skip


@pytest.mark.parametrize("weight, pre, post, layer", LAYERS)
@pytest.mark.parametrize("given", [False, True])
def test_updates_in_one_dispatch(
    weight: tuple[int, ...],
    pre: tuple[int, ...],
    post: tuple[int, ...],
    layer: dict[str, Any],
    given: bool,
    backend: Any,
) -> None:
    traces = [np.abs(normal(*shape[1:])) if given else None for shape in (pre, post)]
    args = [normal(*weight), spikes(*pre), spikes(*post, seed=1)]
    limits = {"w_min": -0.5, "w_max": 0.75} if given else {}
    results = native(backend, "stdp_update", [*args, *traces], {**STDP, **limits, **layer})
    (found, wanted), *last = results
    assert (np.abs(found - wanted) <= value_tolerance("stdp_update").allowed(wanted)).all()
    for found, wanted in last:
        np.testing.assert_array_equal(found, wanted)
    if pre[1]:
        ((found, wanted),) = native(backend, "hebbian_update", args, {**HEBB, **layer})
        assert (np.abs(found - wanted) <= value_tolerance("hebbian_update").allowed(wanted)).all()


def test_long_sums_are_left_to_products(backend: Any) -> None:
    args = [normal(3, 5), spikes(9, 500, 5), spikes(9, 500, 3, seed=1), None, None]
    with pytest.raises(grilly.errors.UnsupportedOpError, match="4,500 terms"):
        native(backend, "stdp_update", args, STDP)
    (found, wanted), *last = both(backend, "stdp_update", args, STDP)
    # 4,500 terms, one after the other on a GPU: as many roundings as a sum of the cases has, many times over.
    assert (np.abs(found - wanted) <= 4 * value_tolerance("stdp_update").allowed(wanted)).all()
    for found, wanted in last:
        np.testing.assert_array_equal(found, wanted)
    ((found, wanted),) = both(backend, "hebbian_update", args[:3], HEBB)
    assert (np.abs(found - wanted) <= value_tolerance("hebbian_update").allowed(wanted)).all()


def test_a_weight_that_is_not_a_number_stays_so_behind_limits(backend: Any) -> None:
    if not backend.capabilities.is_cpu:
        pytest.skip(
            "the backend does not declare ieee_special: a GPU's compiler may assume that there is no NaN"
        )
    args = [np.full((1, 1), np.nan, np.float32), spikes(2, 1, 1), spikes(2, 1, 1), None, None]
    found = native(backend, "stdp_update", args, {**STDP, "w_min": 0.0, "w_max": 1.0})[0][0]
    assert np.isnan(found).all()


# Flat neurons and the rest


@pytest.mark.parametrize("size", SIZES)
def test_flat_neurons_have_the_same_bits(size: int, backend: Any) -> None:
    x, v = normal(size), normal(size) / 2
    wait = (np.random.default_rng(size).random(size) < 0.3).astype(np.float32)
    adapted = [np.abs(normal(size)) / 4, np.abs(normal(size)) / 5]
    calls = [
        ("lif_neuron", [x, v, wait], dict(threshold=0.3, decay=0.9, refractory=3)),
        ("gif_neuron", [x, v, *adapted], dict(v_threshold=0.3, decay=0.9, tau_eta=7.0, a=0.3, b=0.2)),
    ]
    for name, args, attrs in calls:
        for found, wanted in native(backend, name, args, attrs):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("steps", [1, 8, 11])
def test_readout_and_rate_code(size: int, steps: int, backend: Any) -> None:
    x = normal(steps, size)
    for mode in ("mean", "max", "sum"):
        ((found, wanted),) = native(backend, "readout", [x], {"mode": mode})
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    rates = np.random.default_rng(size).uniform(-0.2, 1.2, size).astype(np.float32)
    ((found, wanted),) = native(backend, "continuous_to_spike", [rates], {"steps": steps})
    np.testing.assert_array_equal(found, wanted)


def test_a_maximum_over_time_keeps_not_a_number(backend: Any) -> None:
    x = np.array([[1.0, np.nan, 2.0], [np.nan, 3.0, 1.0]], np.float32)
    found = ops.readout(grilly.tensor(x, backend=backend), mode="max").numpy()
    np.testing.assert_array_equal(found, [np.nan, np.nan, 2.0])
