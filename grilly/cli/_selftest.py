"""A small spiking network, forward and backward, compared with the same network written out in NumPy.

Inputs and weights are small multiples of powers of two, so that every potential is exact and the spikes must be equal.
"""

from __future__ import annotations

import numpy as np

import grilly.functional as F
from grilly_core import selection
from grilly_core.backend import Backend
from grilly_core.spec import FLOATS
from grilly_core.tensor import tensor

__all__ = ["reference", "run", "self_test"]

STEPS, BATCH, INPUTS, HIDDEN, OUTPUTS = 8, 16, 12, 24, 10
TOLERANCE = 1e-4  # of the largest gradient; float32 sums in any order stay far below
_SHAPES = {"w1": (HIDDEN, INPUTS), "b1": (HIDDEN,), "w2": (OUTPUTS, HIDDEN), "b2": (OUTPUTS,)}

Values = dict[str, np.ndarray]


def self_test(backend: Backend) -> str:
    """Run the network on ``backend`` in every float dtype it has.

    Returns:
        What differed from NumPy, or what was raised; '' if nothing did.
    """
    said = []
    for dtype in FLOATS:
        if dtype not in backend.dtypes:
            continue
        try:
            problem = _difference(run(backend, dtype), reference())
        except Exception as error:  # noqa: BLE001 - a self-test reports whatever goes wrong
            problem = f"{type(error).__name__}: {error}"
        if problem:
            said.append(f"{dtype}: {problem}")
    return "; ".join(said)


def _data() -> Values:
    """Input, parameters and the weights of the loss."""
    random = np.random.default_rng(0)
    values = {"x": random.integers(0, 8, (STEPS, BATCH, INPUTS)) / 4}
    for name, shape in _SHAPES.items():
        values[name] = random.integers(-4, 9, shape) / 16
    values["loss"] = random.integers(-4, 5, (STEPS, BATCH, OUTPUTS)) / 4
    return values


def run(backend: Backend, dtype: str) -> Values:
    """Spikes of both layers and gradients of all parameters, on ``backend``."""
    with selection.using(backend), selection.require_native(False):
        leaves = {
            name: tensor(array.astype(dtype), requires_grad=name in _SHAPES)
            for name, array in _data().items()
        }
        s1, _ = F.lif_multi_step(F.linear(leaves["x"], leaves["w1"], leaves["b1"]))
        s2, _ = F.lif_multi_step(F.linear(s1, leaves["w2"], leaves["b2"]))
        (s2 * leaves["loss"]).sum().backward()
        result = {"spikes 1": s1.numpy(), "spikes 2": s2.numpy()}
        for name in _SHAPES:
            grad = leaves[name].grad
            if grad is not None:
                result[f"gradient of {name}"] = grad.numpy()
    return result


def reference() -> Values:
    """What :func:`run` must return, in float64, without any of grilly's ops."""
    data = _data()
    s1, h1 = _lif(data["x"] @ data["w1"].T + data["b1"])
    s2, h2 = _lif(s1 @ data["w2"].T + data["b2"])
    g2 = _lif_gradient(data["loss"], h2)
    g1 = _lif_gradient(g2 @ data["w2"], h1)
    return {
        "spikes 1": s1,
        "spikes 2": s2,
        "gradient of w1": np.einsum("tno,tni->oi", g1, data["x"]),
        "gradient of b1": g1.sum((0, 1)),
        "gradient of w2": np.einsum("tno,tni->oi", g2, s1),
        "gradient of b2": g2.sum((0, 1)),
    }


def _lif(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and potentials before the reset, for the defaults of ``F.lif_multi_step``: tau 2, threshold 1, reset to 0."""
    potentials, v = [], np.zeros(x.shape[1:])
    for current in x:
        h = v + (current - v) / 2
        potentials.append(h)
        v = np.where(h >= 1, 0.0, h)
    h = np.stack(potentials)
    return (h >= 1).astype(np.float64), h


def _lif_gradient(grad: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Gradient of the input current: back through time, with the arctangent surrogate."""
    spikes, slope = h >= 1, 1 / (1 + (np.pi * (h - 1)) ** 2)
    result, carried = np.empty_like(grad), np.zeros(grad.shape[1:])
    for t in reversed(range(len(grad))):
        at_h = grad[t] * slope[t] + carried * (1 - spikes[t] - h[t] * slope[t])
        result[t], carried = at_h / 2, at_h / 2
    return result


def _difference(found: Values, wanted: Values) -> str:
    """Where two results differ, in words."""
    said = []
    for name, right in wanted.items():
        got = found.get(name)
        if got is None:
            said.append(f"there is no {name}")
        elif got.shape != right.shape:
            said.append(f"{name}: shape {got.shape}, not {right.shape}")
        elif name.startswith("spikes"):
            if wrong := int((got != right).sum()):
                said.append(f"{wrong} of {right.size} {name} differ")
        else:
            largest = float(np.abs(right).max())
            worst = float(np.abs(got - right).max())
            if not worst <= TOLERANCE * largest:
                said.append(f"{name} is off by {worst:.3g}, its largest is {largest:.3g}")
    return ", ".join(said)
