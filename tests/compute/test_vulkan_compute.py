"""The direct door: each method dispatches its own shader and says what the op of that name says on NumPy."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends_under_test import open_or_skip

import grilly
import grilly.functional as F
from grilly import VulkanCompute, nn
from grilly.errors import ArgumentError, DTypeError, ShapeError, UnsupportedOpError
from grilly_core import ops
from grilly_core.surrogate import Surrogate
from grilly_core.testing.tolerances import Tolerance, value_tolerance

ROOT = Path(__file__).parents[2]
T, N = 9, 67
SLOPE = dict(v_threshold=1.0, v_reset=0.0, detach_reset=False, surrogate=nn.ATan())
RATES = dict(tau_pre=20.0, tau_post=20.0, a_pre=0.012, a_post=0.01)

_rng = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def spikes(*shape: int) -> np.ndarray:
    return (_rng.random(shape) < 0.3).astype(np.float32)


X, V, G, GV = normal(T, N), normal(N) / 4, normal(T, N), normal(N)
S, W, POST = spikes(T, 3, N), normal(5, N), spikes(T, 3, 5)
ADAPTED = [np.abs(normal(N)) / 4 for _ in range(2)]
ZEROS, ONES = np.zeros(N, np.float32), np.ones(N, np.float32)
H = ops.lif_multi_step(
    grilly.tensor(X, backend="numpy"), grilly.tensor(V, backend="numpy"), k=0.5, save_h=True, **SLOPE
)[2].numpy()
IMAGES, SCALES = normal(4, 3, 2, 5, 5), normal(4, 2)


def decays(*taus: float) -> list[np.ndarray]:
    return [np.exp(-1 / np.array(tau)).astype(np.float32) for tau in taus]


# By method: its arguments and options; the op, arguments and attributes that say the same.
CALLS: dict[str, tuple[list[Any], dict[str, Any], Any, list[Any], dict[str, Any]]] = {
    "node_forward": ([X[0], V], {}, ops.lif_step, [X[0], V], {"k": 0.5, **SLOPE}),
    "node_backward": (
        [G[0], GV, X[0], V],
        {},
        ops.lif_multi_step_recompute_vjp,
        [G[:1], GV, X[:1], V],
        {"k": 0.5, "decay_input": True, **SLOPE},
    ),
    "multistep_forward": ([X, V], {"save_h": True}, ops.lif_multi_step, [X, V], {"k": 0.5, "save_h": True, **SLOPE}),
    "multistep_backward": (
        [G, GV, H],
        {},
        ops.lif_multi_step_vjp,
        [G, GV, None, H],
        {"k": 0.5, "decay_input": True, **SLOPE},
    ),
    "surrogate_gradient": ([X], {}, ops.surrogate_gradient, [X], {"surrogate": nn.ATan()}),
    "lif_neuron": ([X[0], V], {"refractory": 2}, ops.lif_neuron, [X[0], V, ZEROS], {"refractory": 2}),
    "gif_neuron": ([X[0], V, *ADAPTED], {"a": 0.5}, ops.gif_neuron, [X[0], V, *ADAPTED], {"a": 0.5}),
    "synapse_filter": ([X, V], {}, ops.synapse_filter, [X, V, *decays(5.0), None], {}),
    "stp_synapse": (
        [X],
        {},
        ops.stp_synapse,
        [X, ZEROS, ONES],
        {"decay_u": float(np.exp(-1 / 20)), "decay_r": float(np.exp(-1 / 200)), "use": 0.2},
    ),
    "dual_timescale": (
        [X, V],
        {},
        ops.dual_timescale,
        [X, V, ZEROS, *decays(5.0, 50.0), np.float32(0.5), np.float32(0.5)],
        {},
    ),
    "stdp_trace": ([S], {}, ops.stdp_trace, [S, None], {"tau": 20.0}),
    "stdp_update": ([W, S, POST], {}, ops.stdp_update, [W, S, POST, None, None], RATES),
    "hebbian_update": ([W, S, POST], {"decay": 0.1}, ops.hebbian_update, [W, S, POST], {"lr": 0.01, "decay": 0.1}),
    "bn_through_time": (
        [IMAGES, SCALES],
        {},
        ops.bn_through_time,
        [IMAGES.reshape(4, 3, 2, 25), SCALES],
        {"eps": 1e-5},
    ),
    "matmul": ([normal(2, 1, 5, 37), normal(3, 37, 19)], {}, ops.matmul, [], {}),
    "softmax": ([X], {"axis": 0}, ops.softmax, [X], {"axis": 0}),
    "rmsnorm": ([X, V], {}, ops.rms_norm, [X, V], {}),
    "readout": ([X], {"mode": "max"}, ops.readout, [X], {"mode": "max"}),
    "continuous_to_spike": ([X[0]], {"T": 10}, ops.continuous_to_spike, [X[0]], {"steps": 10}),
}  # fmt: skip
CALLS["matmul"][3].extend(CALLS["matmul"][0])


@pytest.fixture
def compute() -> VulkanCompute:
    open_or_skip("vulkan")
    return VulkanCompute()


@pytest.fixture
def dispatched(compute: VulkanCompute, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shaders that run from now on."""
    names: list[str] = []
    backend: Any = open_or_skip("vulkan")
    run = backend.run

    def noted(shader: str, *args: Any, **kwargs: Any) -> None:
        names.append(shader)
        run(shader, *args, **kwargs)

    monkeypatch.setattr(backend, "run", noted)
    return names


def tolerance(op: Any) -> Tolerance:
    return value_tolerance(op.name)


@pytest.mark.parametrize("name", CALLS)
def test_each_method_dispatches_its_shader_and_agrees_with_the_op_on_numpy(
    name: str, compute: VulkanCompute, dispatched: list[str]
) -> None:
    args, options, op, own, attrs = CALLS[name]
    made = getattr(compute.snn, name)(*args, **options)
    shader = f"snn-{name.replace('_', '-')}"
    assert dispatched.count(shader) == 1
    made = made if isinstance(made, tuple) else (made,)
    wanted = op(*[None if a is None else grilly.tensor(a, backend="numpy") for a in own], **attrs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    assert len(made) == len(wanted)
    for found, expected in zip(made, (y.numpy() for y in wanted), strict=True):
        assert type(found) is np.ndarray and found.dtype == np.float32
        expected = expected.reshape(found.shape)
        scale = np.abs(expected).max() if name.endswith("backward") else None
        assert (np.abs(found - expected) <= tolerance(op).allowed(expected, scale)).all()
        assert np.abs(expected).max() > 0


def test_the_nineteen_are_listed_and_have_a_source_and_a_docstring() -> None:
    listed = [name for name in dir(open_compute().snn) if not name.startswith("_")]
    assert listed == sorted(CALLS) and len(listed) == 19
    for name in listed:
        shader = f"snn-{name.replace('_', '-')}"
        assert (ROOT / "shaders" / f"{shader}.glsl").exists()
        method = getattr(open_compute().snn, name)
        text = inspect.getdoc(method)
        assert text is not None and text.startswith(f"``{shader}``") and "Returns:" in text and "[" in text
        described = text.partition("Args:")[2]
        assert [p for p in inspect.signature(method).parameters if p not in described] == []


def open_compute() -> VulkanCompute:
    open_or_skip("vulkan")
    return VulkanCompute()


def test_plain_neurons_of_one_step_and_all(compute: VulkanCompute) -> None:
    with grilly.backend("numpy"):
        spike, v = F.if_step(X[0], V, v_reset=None)
        seq, last = F.if_multi_step(X, V, v_reset=None)
    for found, wanted in zip(
        compute.snn.node_forward(X[0], V, tau=None, v_reset=None), (spike, v), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    made = compute.snn.multistep_forward(X, V, tau=None, v_reset=None)
    for found, wanted in zip(made, (seq, last), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_states_start_at_rest(compute: VulkanCompute) -> None:
    spike, v = compute.snn.node_forward([0.5, 3.0], v_reset=0.25)
    assert spike.tolist() == [0.0, 1.0] and v.tolist() == [0.5, 0.25]
    assert compute.snn.multistep_forward([[0.5, 3.0]], v_reset=0.25)[1].tolist() == [0.5, 0.25]
    assert compute.snn.gif_neuron([2.0])[3].item() == pytest.approx(0.1)
    delayed = compute.snn.synapse_filter([[1.0], [0.0]], delay=1)
    assert [y.ravel().tolist() for y in delayed] == [[0.0, 1.0], [1.0], [0.0]]


@pytest.mark.parametrize(
    "shapes", [((1, 1), (1, 1)), ((17, 33), (33, 16)), ((3, 0), (0, 2)), ((4, 0, 3), (3, 5))]
)
def test_products_of_any_size(shapes: Any, compute: VulkanCompute) -> None:
    x, y = (normal(*shape) for shape in shapes)
    np.testing.assert_allclose(compute.snn.matmul(x, y), x @ y, rtol=1e-5, atol=1e-5)


def test_long_sums_of_plasticity_go_through_products(compute: VulkanCompute, dispatched: list[str]) -> None:
    w, pre, post = normal(3, 4), spikes(33, 130, 4), spikes(33, 130, 3)
    found = compute.snn.stdp_update(w, pre, post)[0]
    assert "snn-stdp-update" not in dispatched and dispatched.count("snn-stdp-trace") == 2
    with grilly.backend("numpy"):
        wanted = F.stdp_update(w, pre, post, **RATES)[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_refused_before_a_shader_runs(
    compute: VulkanCompute, dispatched: list[str]
) -> None:
    with pytest.raises(ShapeError, match="matmul: inner extents differ"):
        compute.snn.matmul(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"the state v has shape \(3,\)"):
        compute.snn.node_forward(X[0], V[:3])
    with pytest.raises(ShapeError, match="at least one time step"):
        compute.snn.multistep_forward(X[:0])
    with pytest.raises(ShapeError, match=r"takes \[T, N, C, \.\.\.\]"):
        compute.snn.bn_through_time(X)
    with pytest.raises(ArgumentError, match="T must be an integer"):
        compute.snn.continuous_to_spike(X[0], T=0)
    with pytest.raises(ArgumentError, match="tau"):
        compute.snn.node_forward(X[0], tau=0.5)
    with pytest.raises(DTypeError, match="real numbers"):
        compute.snn.softmax(np.array(["a"]))
    assert [name for name in dispatched if name.startswith("snn-")] == []


class Own(Surrogate):
    """Not one that shaders know."""

    def derivative(self, u: Any) -> Any:
        return u * 0.0


def test_a_surrogate_of_the_users_own_is_refused(compute: VulkanCompute) -> None:
    with pytest.raises(UnsupportedOpError, match="built-in surrogates only, not Own"):
        compute.snn.surrogate_gradient(X, surrogate_function=Own())


def test_a_device_that_does_not_exist_is_named() -> None:
    open_or_skip("vulkan")
    with pytest.raises(grilly.errors.ConfigError, match="9999"):
        VulkanCompute("9999")
