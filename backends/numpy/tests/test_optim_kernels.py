"""The optimiser kernels against references in the order that torch documents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from grilly_numpy import threads
from grilly_numpy.kernels import optim

SHAPES = [(3, 4), (), (0, 5), (7,), (2, 1, 3), (200,)]


@pytest.fixture(autouse=True, params=[1, 3])
def small_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim, "_CHUNK", 16)
    monkeypatch.setattr(threads, "_count", request.param)
    monkeypatch.setattr(threads, "_executor", None)


def draw(dtype: str, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]


def sgd(
    p: Any, g: Any, m: Any, *, lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> tuple[Any, Any]:
    c = p.dtype.type
    if weight_decay:
        g = g + p * c(weight_decay)
    if momentum:
        m = m * c(momentum) + g
        g = g + m * c(momentum) if nesterov else m
    return p - g * c(lr), m


def adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> tuple[Any, Any, Any]:
    c = p.dtype.type
    if decoupled:
        p = p * c(1 - lr * weight_decay)
    elif weight_decay:
        g = g + p * c(weight_decay)
    m = m * c(beta1) + g * c(1 - beta1)
    v = v * c(beta2) + g * g * c(1 - beta2)
    denominator = np.sqrt(v) / c(math.sqrt(1 - beta2**step)) + c(eps)
    return p - m / denominator * c(lr / (1 - beta1**step)), m, v


def columns(rows: list[tuple[Any, ...]], which: int) -> list[np.ndarray]:
    """Results of the reference for each parameter -> the flat list: params', then each state."""
    return [np.asarray(row[i]) for i in range(which) for row in rows]


def check(
    got: tuple[np.ndarray, ...],
    want: list[np.ndarray],
    inputs: list[np.ndarray],
    kept: list[np.ndarray],
    donate: bool,
) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert (
            isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
        )
    states = [*inputs[: len(SHAPES)], *inputs[2 * len(SHAPES) :]]
    if donate:
        assert all(a is b for a, b in zip(got, states, strict=True))
        assert all(
            map(np.array_equal, inputs[len(SHAPES) : 2 * len(SHAPES)], kept[len(SHAPES) : 2 * len(SHAPES)])
        )
    else:
        assert all(map(np.array_equal, inputs, kept))
        assert not any(np.shares_memory(a, b) for a in got for b in inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("donate", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(dtype: str, donate: bool, weight_decay: float, momentum: float, nesterov: bool) -> None:
    attributes: dict[str, Any] = {
        "lr": 0.1,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
    }
    params, grads, momenta = (draw(dtype, seed) for seed in range(3))
    if not momentum:
        momenta = []
    inputs = [*params, *grads, *momenta]
    kept = [a.copy() for a in inputs]
    rows = [sgd(p, g, m, **attributes) for p, g, m in zip(params, grads, momenta or grads, strict=True)]
    got = optim.sgd_update(None, params, grads, momenta, **attributes, donate=donate)
    check(got, columns(rows, 2 if momentum else 1), inputs, kept, donate)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("donate", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_adam(dtype: str, donate: bool, weight_decay: float, decoupled: bool, step: int) -> None:
    attributes: dict[str, Any] = {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": weight_decay,
        "decoupled": decoupled,
        "step": step,
    }
    params, grads, m, v = (draw(dtype, seed) for seed in range(4))
    v = [np.abs(np.asarray(a)) * np.asarray(1, dtype) for a in v]
    v = [np.asarray(a) for a in v]
    inputs = [*params, *grads, *m, *v]
    kept = [a.copy() for a in inputs]
    rows = [adam(*row, **attributes) for row in zip(params, grads, m, v, strict=True)]
    check(
        optim.adam_update(None, params, grads, m, v, **attributes, donate=donate),
        columns(rows, 3),
        inputs,
        kept,
        donate,
    )


def test_first_adam_step_moves_by_lr() -> None:
    zero = [np.zeros(3)]
    got = optim.adam_update(
        None, [np.zeros(3)], [np.array([2.0, -5.0, 1e-3])], zero, [np.zeros(3)],
        lr=0.1, beta1=0.9, beta2=0.999, eps=0.0, weight_decay=0.0, decoupled=False, step=1, donate=False,
    )  # fmt: skip
    np.testing.assert_allclose(got[0], [-0.1, 0.1, -0.1], rtol=1e-12)


@pytest.mark.parametrize("donate", [True, False])
def test_donated_arrays_that_cannot_be_written_flat_get_new_ones(donate: bool) -> None:
    fortran, fixed = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(4.0)
    fixed.flags.writeable = False
    grads = [np.broadcast_to(1.0, (2, 3)), np.arange(8.0)[::2]]
    got = optim.sgd_update(
        None,
        [fortran, fixed],
        grads,
        [],
        lr=0.5,
        momentum=0.0,
        weight_decay=0.0,
        nesterov=False,
        donate=donate,
    )
    assert np.array_equal(got[0], np.arange(6.0).reshape(2, 3) - 0.5)
    assert np.array_equal(got[1], np.arange(4.0) - np.arange(4.0))
    assert np.array_equal(fortran, np.arange(6.0).reshape(2, 3)) and np.array_equal(fixed, np.arange(4.0))


def test_no_parameters() -> None:
    attributes: dict[str, Any] = {
        "lr": 0.1,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "donate": True,
    }
    assert optim.sgd_update(None, [], [], [], **attributes) == ()


def test_mixed_dtypes_and_values_that_are_not_finite() -> None:
    params = [np.ones(40, "float32"), np.ones(3)]
    grads = [np.full(40, np.inf, "float32"), np.full(3, np.nan)]
    states = [[np.zeros_like(p) for p in params] for _ in range(2)]
    got = optim.adam_update(
        None,
        params,
        grads,
        *states,
        lr=0.1,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.1,
        decoupled=True,
        step=1,
        donate=False,
    )
    assert [a.dtype for a in got] == ["float32", "float64"] * 3
    assert np.isnan(got[0]).all() and np.isnan(got[1]).all()


def test_tasks_cover_everything_once() -> None:
    sizes = [3, 0, 40, 16, 5, 6, 1, 33]
    tasks = optim._tasks(sizes)
    seen = [np.zeros(n, int) for n in sizes]
    for task in tasks:
        assert sum(at.stop - at.start for _, at in task) <= 16
        for i, at in task:
            seen[i][at] += 1
    assert all((a == 1).all() for a in seen)
