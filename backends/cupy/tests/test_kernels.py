"""Kernels beyond the sizes of the conformance suite: several rounds, blocks, pieces and chunks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core import ops, plugins
from grilly_core.selection import resolve
from grilly_core.surrogate import ATan, Sigmoid
from grilly_core.tensor import Tensor, tensor
from grilly_cupy.kernels import conv, elementwise, kernels, optim

DTYPES = ("float32", "float64")


def _random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _both(backend: Any, op: Any, *args: Any, **attrs: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Results on the backend and on NumPy."""

    def run(target: Any) -> list[np.ndarray]:
        placed = [
            None if arg is None else [tensor(a, backend=target) for a in arg] if isinstance(arg, list)
            else tensor(arg, backend=target)
            for arg in args
        ]  # fmt: skip
        made = op(*placed, **attrs)
        return [t.numpy() for t in ((made,) if isinstance(made, Tensor) else made)]

    with grilly.require_native():
        return list(zip(run(backend), run(resolve("numpy")), strict=True))


def _close(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float = 1e-5) -> None:
    for made, wanted in pairs:
        assert made.dtype == wanted.dtype
        np.testing.assert_allclose(
            made, wanted, rtol=tolerance, atol=tolerance * (1 + np.abs(wanted).max(initial=0))
        )


def test_everything_native_on_numpy_is_native_here() -> None:
    missing = [op.name for op in resolve("numpy").kernels if op not in kernels]
    assert missing == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [1, 3, 16, 17, 40])
@pytest.mark.parametrize("v_reset", [None, 0.0, 0.1])
def test_spikes_bit_for_bit(backend: Any, dtype: str, steps: int, v_reset: float | None) -> None:
    x, v = _random(steps, 3, 100, dtype=dtype) + 0.4, _random(3, 100, dtype=dtype, seed=1)
    x, attrs = x.astype(dtype), dict(v_reset=v_reset, surrogate=ATan(), save_h=True)
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (ops.if_multi_step, (x, v), attrs),
        (ops.lif_multi_step, (x, v), {**attrs, "k": 0.3, "decay_input": False}),
        (ops.plif_multi_step, (x, v, np.array(0.3, dtype)), {**attrs, "decay_input": True}),
    ]
    for op, args, more in calls:
        for made, wanted in _both(backend, op, *args, **more):
            assert made.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("steps", [1, 4, 5, 33])
@pytest.mark.parametrize("kind", ["if", "lif", "plif"])
def test_gradients_through_time(backend: Any, steps: int, kind: str) -> None:
    shape = (steps, 2, 150)
    x, v, g, g_v = (
        _random(*shape) + 0.4,
        _random(*shape[1:], seed=1),
        _random(*shape, seed=2),
        _random(2, 150, seed=3),
    )
    attrs: dict[str, Any] = dict(v_threshold=0.9, v_reset=0.05, detach_reset=False, surrogate=Sigmoid())
    learned = (np.float32(0.4),) if kind == "plif" else ()
    if kind != "if":
        attrs["decay_input"] = True
    if kind == "lif":
        attrs["k"] = 0.4
    forward, saved, recompute = (
        getattr(ops, f"{kind}_multi_step{of}", None) for of in ("", "_vjp", "_recompute_vjp")
    )
    h = forward(*[tensor(a, backend="numpy") for a in (x, v, *learned)], save_h=True, **attrs)[2].numpy()
    more = (x, v, *learned) if learned else ()
    pairs = _both(backend, saved, g, g_v, None, h, *more, **attrs)
    _close(pairs, 1e-4)
    again = [
        t.numpy() for t in recompute(*[tensor(a, backend=backend) for a in (g, g_v, x, v, *learned)], **attrs)
    ]
    _close(list(zip(again, [wanted for _, wanted in pairs], strict=True)), 1e-4)


@pytest.mark.parametrize("steps", [1, 4, 7, 16, 20])
def test_neurons_that_begin_with_one_potential(backend: Any, steps: int) -> None:
    x, g = _random(steps, 3, 100) + 0.4, _random(steps, 3, 100, seed=2)
    attrs: dict[str, Any] = dict(k=0.3, surrogate=ATan(), v_threshold=0.9, v_reset=0.1)
    attrs.update(decay_input=True, detach_reset=False)
    made = []
    for spread in (
        lambda v: v.broadcast_to((3, 100)),
        lambda v: tensor(np.full((3, 100), 0.2, "f4"), backend=backend),
    ):
        v = spread(tensor(np.float32(0.2), backend=backend))
        args = [tensor(a, backend=backend) for a in (g, x)]
        back = ops.lif_multi_step_recompute_vjp(args[0], None, args[1], v, **attrs)
        made.append([t.numpy() for t in (*ops.lif_multi_step(args[1], v, **attrs), *back)])
    for one, other in zip(*made, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 3, 200), (700, 40, 1), (3, 70, 5)])
def test_batch_norm(backend: Any, dtype: str, shape: tuple[int, int, int]) -> None:
    x, g = _random(*shape, dtype=dtype) * 3 + 100, _random(*shape, dtype=dtype, seed=1)
    weight, bias = _random(shape[1], dtype=dtype, seed=2), _random(shape[1], dtype=dtype, seed=3)
    x = x.astype(dtype)
    pairs = _both(backend, ops.batch_norm, x, weight, bias, eps=1e-5)
    _close(pairs)
    _, mean, var = (wanted for _, wanted in pairs)
    _close(_both(backend, ops.batch_norm_vjp, g, x, mean, var, weight, eps=1e-5), 1e-4)
    _close(_both(backend, ops.batch_norm_infer, x, mean, var, weight, bias, eps=1e-5))
    steps = np.stack([x, x * 2])
    _close(_both(backend, ops.bn_through_time, steps, np.stack([weight, bias]), eps=1e-5))


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_in_parts(backend: Any, monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    monkeypatch.setattr(conv, "_COLUMN_BYTES", 9000)
    x, weight, bias = _random(5, 4, 9, 8), _random(6, 4 // groups, 3, 2, seed=1), _random(6, seed=2)
    window: dict[str, Any] = dict(stride=(2, 1), padding=(1, 1), dilation=(1, 2), groups=groups)
    pairs = _both(backend, ops.conv2d, x, weight, bias, **window)
    _close(pairs)
    g = _random(*pairs[0][1].shape, seed=3)
    _close(_both(backend, ops.conv2d_input_vjp, g, weight, input_size=(9, 8), **window))
    _close(_both(backend, ops.conv2d_weight_vjp, g, x, kernel_size=(3, 2), **window))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 4, 1031])
def test_arithmetic_of_large_arrays(
    backend: Any, monkeypatch: pytest.MonkeyPatch, dtype: str, size: int
) -> None:
    monkeypatch.setattr(elementwise, "_LARGE", 1)
    x, y = _random(size, dtype=dtype), _random(size, dtype=dtype, seed=1)
    x[: size // 3] = np.resize([np.nan, np.inf, -0.0, 1.0], size // 3)
    y[size // 4 :] = np.resize([1.0, np.nan, 0.0, -np.inf], size - size // 4)
    for op in (ops.add, ops.sub, ops.mul, ops.div, ops.maximum, ops.minimum):
        for made, wanted in _both(backend, op, x, y):
            np.testing.assert_array_equal(made, wanted)
    for op in (ops.neg, ops.abs, ops.sqrt):
        for made, wanted in _both(backend, op, x):
            np.testing.assert_array_equal(made, wanted)
    off = tensor(np.stack([x, y]), backend=backend)
    np.testing.assert_array_equal((off[1] + off[0][:1]).numpy(), y + x[:1])


def test_updates_of_many_parameters(backend: Any) -> None:
    shapes = [(3,), (100, 60), (), (4097,), (0,)]

    def some(seed: int) -> list[np.ndarray]:
        arrays = [np.asarray(_random(*shape, seed=seed)) for shape in shapes]
        return [*arrays, _random(7, dtype="float64", seed=seed)]

    p, g, m, v = some(0), some(1), some(2), [a * a for a in some(3)]
    adam: dict[str, Any] = dict(lr=1e-2, step=3, weight_decay=0.1, decoupled=True)
    _close(_both(backend, ops.adam_update, p, g, m, v, **adam), 2e-6)
    _close(
        _both(backend, ops.sgd_update, p, g, m, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1), 2e-6
    )
    _close(_both(backend, ops.sgd_update, p, g, [], lr=0.1), 2e-6)


def test_tables_are_shared_between_threads(backend: Any) -> None:
    def ask(start: int) -> None:
        for i in range(3000):
            key = (start + i) % 80
            optim._tables.get("chunks", (key,), optim._chunks)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(0, 80, 20)))
    assert len(optim._tables._kept) <= optim._TABLES


@pytest.mark.parametrize("shape", [(16, 4100, 2, 1), (3, 5, 1, 33), (2, 3, 20, 1), (1, 1, 9, 70)])
def test_neunorm(backend: Any, shape: tuple[int, ...]) -> None:
    _, n, channels, extent = shape
    s, start, g = _random(*shape), _random(n, 1, extent, seed=1), _random(*shape, seed=2)
    for rows in (1, channels):
        w = _random(rows, extent, seed=3)
        pairs = _both(backend, ops.neunorm_multi_step, s, start, w)
        _close(pairs)
        states = pairs[1][1]
        _close(_both(backend, ops.neunorm_multi_step_vjp, g, states * 2, states, w, k=0.9), 1e-4)


def test_donated_parameters_are_written_in_place(backend: Any) -> None:
    p, g = (tensor(_random(300, seed=i), backend=backend) for i in (0, 1))
    before = p.numpy()
    (made,) = ops.sgd_update([p], [g], [], lr=0.5, donate=True)
    assert made._data.data.ptr == p._data.data.ptr
    np.testing.assert_allclose(made.numpy(), before - g.numpy() * 0.5, rtol=1e-6, atol=1e-6)


def test_softmax_of_long_rows_and_inner_axes(backend: Any) -> None:
    x, g = _random(3, 700, 2), _random(3, 700, 2, seed=1)
    for axis in (0, 1, 2):
        for forward, backward in ((ops.softmax, ops.softmax_vjp), (ops.log_softmax, ops.log_softmax_vjp)):
            pairs = _both(backend, forward, x, axis=axis)
            _close(pairs)
            _close(_both(backend, backward, g, pairs[0][1], axis=axis), 2e-5)


def test_indices_that_repeat_and_places_of_nan(backend: Any) -> None:
    index = np.random.default_rng(0).integers(0, 5, (40,), dtype=np.int32)
    src, x = _random(2, 40, 3), _random(2, 5, 3, seed=1)
    for made, wanted in _both(backend, ops.scatter_add, x, index, src, axis=1):
        assert made.tobytes() == wanted.tobytes()
    rows = _random(4, 600)
    rows[1, [20, 500]] = np.nan
    rows[2] = 1.0
    for made, wanted in _both(backend, ops.argmax, rows, axis=1):
        assert made.tolist() == wanted.tolist()


def test_random_bits_are_those_of_numpy(backend: Any) -> None:
    call: dict[str, Any] = dict(shape=(7, 333), seed=2**63 + 5, stream=2**40 + 3, bits=24)
    drawn = [ops.random_bits.on(target, **call).numpy() for target in (backend, resolve("numpy"))]
    assert drawn[0].tolist() == drawn[1].tolist()


def test_own_surrogates_run_as_composites(backend: Any) -> None:
    class Steep(Sigmoid):
        """A user's class."""

    x = tensor(_random(3, 8), backend=backend, requires_grad=True)
    kernel = plugins.kernel_for(ops.lif_multi_step_recompute_vjp, backend)
    attrs: dict[str, Any] = dict(k=0.5, v_threshold=1.0, v_reset=0.0, decay_input=True, detach_reset=False)
    assert kernel is not None and "Steep" in str(kernel.declines([], {**attrs, "surrogate": Steep()}))
    spikes, _ = ops.lif_multi_step(
        x, tensor(np.zeros(8, "float32"), backend=backend), k=0.5, surrogate=Steep()
    )
    spikes.sum().backward()
    assert np.abs(x.grad.numpy()).max() > 0


def test_memory_is_shared_through_dlpack(backend: Any) -> None:
    x = tensor(_random(4, 3), backend=backend)
    assert x.__dlpack_device__() == x._data.__dlpack_device__()
    if x.__dlpack_device__()[0] == 1:  # the stand-in's memory
        assert np.from_dlpack(x).ctypes.data == x._data.data.ptr
    again = grilly.from_dlpack(x, backend=backend)
    assert again._data.data.ptr == x._data.data.ptr
    np.testing.assert_array_equal((again + 1.0).numpy(), x.numpy() + 1.0)
