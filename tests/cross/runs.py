"""Running a network forwards and backwards, watching every layer; and comparing what two runs have seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from changed_backend import Changed

import grilly
import grilly.functional as F
from grilly import nn
from grilly_core import ops
from grilly_core.autograd import backward
from grilly_core.backend import Backend
from grilly_core.op import registry
from grilly_core.selection import using
from grilly_core.tensor import Tensor, tensor
from grilly_core.testing.compare import difference
from grilly_core.testing.tolerances import EXACT, MARGIN, Tolerance

from .plans import Plan

__all__ = ["GRADIENT", "Seen", "agree", "agree_up_to_margin", "meaning", "run", "run_moving", "same"]

GRADIENT = Tolerance(2e-4, 2e-5, whole=True)
"""Gradients are sums of many rounded terms, and surrogates are functions that devices approximate."""

_VALUE = Tolerance(1e-4, 1e-4, whole=True)


class _Meaning(Changed):
    """Every composite as its body, on NumPy's primitives; keeps what ``spike`` is asked: potential less threshold."""

    def __init__(self) -> None:
        fused: dict[Any, Any] = {op: None for op in registry().values() if op.body is not None}
        super().__init__("meaning", {**fused, ops.spike: self._spike})
        self.asked: list[np.ndarray] = []

    def _spike(self, device: Any, u: Any, /, *, surrogate: Any) -> Any:
        self.asked.append(np.array(u))
        return (u >= 0).astype(u.dtype)


_meaning: list[_Meaning] = []


def meaning() -> Backend:
    """The reference: what every op means, from primitives alone."""
    if not _meaning:
        _meaning.append(_Meaning())
    return _meaning[0]


@dataclass
class Seen:
    """What a run has seen.

    Attributes:
        layers: by number and class in order of execution: outputs of all steps, ``[T, values]``.
        doubt: by the same names, of neurons that the reference ran: potential less threshold.
        output: of the network.
        memories: state after the last step.
        buffers: running statistics.
        gradients: at the input and every parameter.
    """

    layers: dict[str, np.ndarray] = field(default_factory=dict)
    doubt: dict[str, np.ndarray] = field(default_factory=dict)
    output: np.ndarray = field(default_factory=lambda: np.zeros(0))
    memories: list[np.ndarray] = field(default_factory=list)
    buffers: list[np.ndarray] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)


class _Watch:
    """Hooks on the layers of a network."""

    def __init__(self, net: nn.Module, backend: Backend, steps: int) -> None:
        self._asked = backend.asked if isinstance(backend, _Meaning) else []
        self._steps = steps
        self._outputs: dict[nn.Module, list[np.ndarray]] = {}
        self._potentials: dict[nn.Module, list[np.ndarray]] = {}
        self._handles = []
        for module in net.modules():
            if any(True for _ in module.children()) and not isinstance(module, nn.DualTimescaleSynapse):
                continue
            self._handles += [
                module.register_forward_pre_hook(self._before),
                module.register_forward_hook(self._after),
            ]

    def _before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._asked.clear()

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self._outputs.setdefault(module, []).append(output.numpy())
        self._potentials.setdefault(module, []).extend(self._asked)
        self._asked.clear()

    def fill(self, seen: Seen) -> None:
        """Write down what happened, and stop watching."""
        for handle in self._handles:
            handle.remove()
        for number, (module, outputs) in enumerate(self._outputs.items()):
            name = f"layer {number} ({type(module).__name__})"
            seen.layers[name] = self._flat(outputs)
            if self._potentials[module]:
                seen.doubt[name] = self._flat(self._potentials[module])

    def _flat(self, arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([array.ravel() for array in arrays]).reshape(self._steps, -1)


def _feed(net: nn.Module, x: Tensor, form: str) -> Tensor:
    """The output of all steps of ``x``, ``[T, N, ...]``, of a network built in this form."""
    if form == "s":
        stacked: Tensor = ops.stack([net(x[t]) for t in range(x.shape[0])])
        return stacked
    out: Tensor = F.multi_step_forward(net, x) if form == "forward" else net(x)
    return out


def _states(net: nn.Module) -> list[Tensor]:
    return [value for value in net.memories().values() if isinstance(value, Tensor)]


def run(
    plan: Plan,
    backend: Backend,
    form: str = "m",
    *,
    cut: int = 0,
    net: nn.Module | None = None,
    backwards: bool = True,
) -> Seen:
    """Run the network of ``plan``; state is part of the result, and gradients flow from it too.

    Args:
        plan: the network.
        backend: where.
        form: one of ``plans.FORMS``.
        cut: step at which the sequence is cut in two; state goes from one piece to the other.
        net: the network if it has been built already.
        backwards: whether to compute gradients.
    """
    net, seen = net or plan.build(backend, form), Seen()
    watch = _Watch(net, backend, plan.steps)
    with using(backend):
        grilly.seed(plan.seed)
        x = tensor(plan.inputs().astype(net.dtype), requires_grad=backwards)
        out = ops.concat([_feed(net, piece, form) for piece in ((x[:cut], x[cut:]) if cut else (x,))], axis=0)
        watch.fill(seen)
        states = _states(net)
        seen.output, seen.memories = out.numpy(), [state.numpy() for state in states]
        seen.buffers = [buffer.numpy() for _, buffer in net.named_buffers()]
        if backwards:
            seen.gradients = _gradients(plan, net, x, [out, *states])
    return seen


def run_moving(plan: Plan, first: Backend, second: Backend, cut: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Output and last state of a network that goes to another backend between the steps ``cut - 1`` and ``cut``."""
    net, outputs = plan.build(first), []
    grilly.seed(plan.seed)
    for backend, piece in ((first, plan.inputs()[:cut]), (second, plan.inputs()[cut:])):
        net.to(backend)
        outputs.append(_feed(net, tensor(piece, backend=backend), "m").numpy())
    return np.concatenate(outputs), [state.numpy() for state in _states(net)]


def _gradients(plan: Plan, net: nn.Module, x: Tensor, results: list[Tensor]) -> list[np.ndarray]:
    roots = [result for result in results if result.requires_grad]
    arriving = plan.cotangents([root.shape for root in roots])
    backward(roots, [tensor(g) for g in arriving])
    leaves = [x, *net.parameters()]
    return [np.zeros(leaf.shape, leaf.dtype) if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


def _first(
    what: str, actual: Iterable[np.ndarray], wanted: Iterable[np.ndarray], tolerance: Tolerance
) -> None:
    for number, (one, other) in enumerate(zip(actual, wanted, strict=True)):
        problem = difference(one, other, tolerance)
        assert problem is None, f"{what} {number}: {problem}"


def same(actual: Seen, wanted: Seen) -> None:
    """Outputs of all layers, states and statistics are alike bit for bit; names the first layer that differs."""
    for name, right in wanted.layers.items():
        problem = difference(actual.layers[name], right)
        assert problem is None, f"{name}, [T, values]: {problem}"
    _first("output", [actual.output], [wanted.output], EXACT)
    _first("memory", actual.memories, wanted.memories, EXACT)
    _first("buffer", actual.buffers, wanted.buffers, EXACT)


def _gradients_agree(actual: Seen, wanted: Seen, whole: bool) -> None:
    """Within a tolerance of the largest element of each array, or, where terms may cancel, of all gradients."""
    largest = np.asarray(max(np.abs(g).max(initial=0.0) for g in wanted.gradients))
    for number, (one, other) in enumerate(zip(actual.gradients, wanted.gradients, strict=True)):
        # At a scalar, a decay for one, arrives a sum over everything.
        problem = difference(one, other, GRADIENT, largest if whole or other.ndim == 0 else None)
        assert problem is None, (
            f"gradient at {'the input' if number == 0 else f'parameter {number - 1}'}: {problem}"
        )


def agree(actual: Seen, wanted: Seen) -> None:
    """Two runs on the grid: everything forwards bit for bit, gradients but for rounding."""
    same(actual, wanted)
    _gradients_agree(actual, wanted, whole=False)


def agree_up_to_margin(actual: Seen, wanted: Seen) -> bool:
    """Two runs on any numbers: a spike differs only where the reference lies within rounding of its threshold.

    Layers after one with such a spike have got other input: nothing is said of them, nor of states and gradients.

    Returns:
        Whether no spike differed, so that all was compared.
    """
    for name, right in wanted.layers.items():
        got = actual.layers[name]
        if name not in wanted.doubt:
            problem = difference(got, right, _VALUE)
            assert problem is None, f"{name}, [T, values]: {problem}"
        elif (got != right).any():
            _excused(name, got, right, wanted.doubt[name])
            return False
    _first("output", [actual.output], [wanted.output], _VALUE)
    _first("memory", actual.memories, wanted.memories, _VALUE)
    _first("buffer", actual.buffers, wanted.buffers, _VALUE)
    _gradients_agree(actual, wanted, whole=True)
    return True


def _excused(name: str, got: np.ndarray, right: np.ndarray, doubt: np.ndarray) -> None:
    """Each neuron's first spike that differs is one that rounding decides."""
    differs = got != right
    neurons = np.flatnonzero(differs.any(axis=0))
    first = differs[:, neurons].argmax(axis=0)
    nearest = np.abs(doubt.reshape(len(right), -1, right.shape[1])).min(
        axis=1
    )  # a neuron may have two thresholds
    distance = nearest[first, neurons]
    margin = MARGIN[right.dtype.name]
    sure = distance >= margin
    assert not sure.any(), (
        f"{name}: {sure.sum()} neurons spike differently, the first {distance[sure][0]:.3g} from its threshold at step "
        f"{first[sure][0]}; rounding explains {margin:g}"
    )
