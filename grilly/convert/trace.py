"""In what order a network calls its layers, and what else it does with activations.

The network runs once on the tape with its parameters frozen, so the nodes recorded are what depends on the input.
Those made inside a layer belong to it; the rest is what ``forward`` methods do themselves, such as residual additions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from grilly.convert.kinds import BATCH_NORMS, WEIGHTED, kind
from grilly.nn.module import Module
from grilly_core.autograd import Node, edge_of, enable_grad
from grilly_core.errors import ArgumentError
from grilly_core.tensor import Tensor

__all__ = ["Call", "Trace", "trace"]

_LINEAR_OPS = frozenset(
    [
        *(
            "add",
            "sub",
            "neg",
            "sum",
            "mean",
            "cast",
            "reshape",
            "transpose",
            "broadcast_to",
            "strided_slice",
        ),
        *("pad", "concat", "stack", "gather", "scatter_add", "avg_pool2d", "adaptive_avg_pool2d"),
    ]
)
_PRODUCTS = frozenset({"mul", "div", "matmul", "linear", "conv1d", "conv2d"})
_MODULES = {"relu": "nn.ReLU()", "max_pool2d": "nn.MaxPool2d(...)"}
"""Functions that a layer does, which could be converted."""


@dataclass(eq=False)
class Call:
    """One call of a layer.

    Attributes:
        name: dotted name of the layer.
        module: the layer.
        inputs, outputs: edges of the tape, see ``edge_of``.
        rank: axes of the result, None if it is no Tensor.
        body: the nodes that the layer made.
    """

    name: str
    module: Module
    inputs: list[Any]
    outputs: list[Any]
    rank: int | None
    body: set[Node] = field(default_factory=set)


class Trace:
    """The calls of one forward pass, in order.

    Args:
        calls: of layers, that is of modules without children.
        results: edges of what the network returned.

    Attributes:
        calls: as given, with their bodies.
    """

    def __init__(self, calls: list[Call], results: list[Any]) -> None:
        self.calls, self._results = calls, results
        self._owner: dict[Node, Call] = {}
        for call in calls:
            call.body = set(_behind(call.outputs, stop=_nodes(call.inputs)))
            self._owner.update(dict.fromkeys(call.body, call))
        self._all = set(_behind([*results, *(edge for call in calls for edge in call.outputs)]))

    def check(self) -> None:
        """Refuse what keeps no rates: nonlinear functions outside the layers that are converted.

        Raises:
            ArgumentError: names the layer, or the function and the layer before it, and the cure.
        """
        for node in sorted(self._all, key=lambda node: node.order):
            owner = self._owner.get(node)
            if (owner is not None and kind(owner.module) is not None) or _is_linear(node):
                continue
            if owner is not None:
                raise ArgumentError(
                    f"Converter: layer {owner.name!r} ({type(owner.module).__name__}) cannot be converted: it computes "
                    f"{node.name}, which is not linear; only nn.ReLU and max pooling have a spiking counterpart"
                )
            cure = (
                f"make it a layer of its own: {_MODULES[node.name]}"
                if node.name in _MODULES
                else "use nn.ReLU layers"
            )
            raise ArgumentError(
                f"Converter: {node.name} after {self._before(node)} cannot be converted: it is applied in a forward "
                f"method, not by a layer, and it is not linear; {cure}"
            )

    def _before(self, node: Node) -> str:
        """The layer whose result reaches ``node`` first, for messages."""
        for earlier in _behind(list(node.edges)):
            owner = self._owner.get(earlier)
            if owner is not None:
                return f"layer {owner.name!r} ({type(owner.module).__name__})"
        return "the input"

    def batch_norm_pairs(self) -> list[tuple[str, str]]:
        """Names of a linear or convolution layer and of the batch norm that alone reads its result."""
        made = {edge: call for call in self.calls for edge in call.outputs if kind(call.module) in WEIGHTED}
        times: dict[int, int] = {}
        for call in self.calls:
            times[id(call.module)] = times.get(id(call.module), 0) + 1
        pairs = []
        for call in self.calls:
            source = made.get(call.inputs[0]) if kind(call.module) in BATCH_NORMS and call.inputs else None
            if (
                source is not None
                and times[id(source.module)] == times[id(call.module)] == 1
                and source.rank == _fused_rank(source.module)
                and self._readers(source.outputs[0]) <= call.body
                and source.outputs[0] not in self._results
            ):
                pairs.append((source.name, call.name))
        return pairs

    def _readers(self, edge: Any) -> set[Node]:
        return {node for node in self._all if any(type(e) is tuple and e == edge for e in node.edges)}


def _fused_rank(module: Module) -> int:
    """Axes of the result whose second is what the layer's rows make."""
    return 2 + getattr(module, "axes", 0)


def _nodes(edges: list[Any]) -> set[Node]:
    return {edge[0] for edge in edges}


def _behind(edges: list[Any], stop: set[Node] | frozenset[Node] = frozenset()) -> Iterator[Node]:
    """All nodes from which ``edges`` come, nearest first, without ``stop`` and what only they come from."""
    seen, waiting = set(stop), deque(edges)
    while waiting:
        edge = waiting.popleft()
        if type(edge) is tuple and edge[0] not in seen:
            seen.add(edge[0])
            waiting.extend(edge[0].edges)
            yield edge[0]


def _is_linear(node: Node) -> bool:
    if node.op is None or node.name in _LINEAR_OPS:
        return True
    varying = [edge is not None for edge in node.edges]
    if node.name == "div":
        return not varying[1]
    return node.name in _PRODUCTS and sum(varying[:2]) <= 1


def _edges(value: Any) -> list[Any]:
    """Edges of all Tensors in nested tuples, lists and dicts that were made from the input."""
    if isinstance(value, Tensor):
        edge = edge_of(value)
        return [edge] if type(edge) is tuple else []
    if isinstance(value, dict):
        value = list(value.values())
    return [edge for item in value for edge in _edges(item)] if isinstance(value, tuple | list) else []


@contextmanager
def _frozen(net: Module) -> Iterator[None]:
    """No parameter asks for a gradient."""
    held = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad = True


def trace(net: Module, x: Tensor) -> Trace:
    """Run ``net`` once and note what it does.

    Args:
        net: in evaluation mode; its parameters and hooks are as before afterwards.
        x: a small input.

    Example:
        >>> import grilly
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU()).eval()
        >>> found = trace(net, grilly.ones((4, 2)))
        >>> [call.name for call in found.calls], found.batch_norm_pairs()
        (['0', '1', '2'], [('0', '1')])
    """
    calls: list[Call] = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> None:
            rank = output.ndim if isinstance(output, Tensor) else None
            calls.append(Call(name, module, _edges(args), _edges(output), rank))

        return hook

    layers = [(name, module) for name, module in net.named_modules() if not module._modules]
    handles = [module.register_forward_hook(note(name)) for name, module in layers]
    try:
        with _frozen(net), enable_grad():
            results = _edges(net(x.detach().requires_grad_()))
    finally:
        for handle in handles:
            handle.remove()
    return Trace(calls, results)
