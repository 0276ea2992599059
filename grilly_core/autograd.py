"""Reverse-mode differentiation: nodes, the backward pass, and what switches recording off.

The tape knows ops and their rules, no backend. A node keeps only what its rule asked to keep, as raw
arrays; ``backward`` walks nodes in reverse order of creation and drops each node's arrays and gradients
as soon as they are used, so memory falls during the pass.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from grilly_core.errors import GradientError, ShapeError
from grilly_core.spec import Spec

if TYPE_CHECKING:
    from grilly_core.backend import Backend
    from grilly_core.op import Op
    from grilly_core.tensor import Tensor

__all__ = ["Context", "Node", "backward", "enable_grad", "grad_enabled", "no_grad"]

_enabled: ContextVar[bool] = ContextVar("grilly_grad_enabled", default=True)
_counter = itertools.count()

grad_enabled: Callable[[], bool] = _enabled.get
"""Whether ops are being recorded in this thread or task."""


class _GradMode(ContextDecorator):
    """Context manager and decorator that sets recording to one value."""

    _value: bool

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def _recreate_cm(self) -> _GradMode:
        """A decorated function may run in several threads at once; each call holds its own tokens."""
        return type(self)()

    def __enter__(self) -> None:
        self._tokens.append(_enabled.set(self._value))

    def __exit__(self, *_: object) -> None:
        _enabled.reset(self._tokens.pop())


class no_grad(_GradMode):  # noqa: N801 - reads as a statement, like the libraries users come from
    """Record nothing inside: ``with no_grad():`` or ``@no_grad()``.

    Example:
        >>> import grilly
        >>> w = grilly.tensor([1.0], requires_grad=True)
        >>> with grilly.no_grad():
        ...     y = w * 2
        >>> y.requires_grad
        False
    """

    _value = False


class enable_grad(_GradMode):  # noqa: N801
    """Record again inside a ``no_grad`` block."""

    _value = True


class Node:
    """One recorded op: where its inputs came from and what its rule needs.

    Attributes:
        edges: per flat tensor input: ``(parent node, output index)``, a leaf Tensor, or None.
        inputs: per flat tensor input: the raw array when the rule keeps it, else None.
        outputs: the same for outputs.
        freed: True once ``backward`` has used this node.
    """

    __slots__ = (
        "attrs", "backend", "edges", "freed", "grads", "in_specs", "inputs", "op", "order", "out_specs", "outputs", "rule",
    )  # fmt: skip

    def __init__(
        self,
        op: Op | None,
        rule: Callable[..., Any],
        backend: Backend,
        attrs: dict[str, Any],
        edges: tuple[Any, ...],
        in_specs: tuple[Spec | None, ...],
        inputs: tuple[Any, ...],
        out_specs: tuple[Spec, ...],
        outputs: tuple[Any, ...],
    ) -> None:
        self.op = op
        self.rule = rule
        self.backend = backend
        self.attrs = attrs
        self.edges = edges
        self.in_specs = in_specs
        self.inputs = inputs
        self.out_specs = out_specs
        self.outputs = outputs
        self.grads: list[Tensor | None] | None = None
        self.order = next(_counter)
        self.freed = False

    @property
    def name(self) -> str:
        """The op's name, for messages."""
        return self.op.name if self.op is not None else "hook"

    def free(self) -> None:
        """Drop everything the node keeps alive."""
        self.inputs = self.outputs = self.edges = ()
        self.grads = None
        self.freed = True

    def __repr__(self) -> str:
        return f"<{self.name} backward>"


class Context:
    """What a gradient rule sees of the forward call.

    Attributes:
        inputs: per flat tensor input: a Tensor if the rule keeps it, else its Spec (None if absent).
        outputs: per output: a Tensor if the rule keeps it, else its Spec.
        needs: per flat tensor input: whether its gradient is wanted; a rule may return None otherwise.
        attrs: the call's attributes.
        backend: the backend the call ran on.
        op: the op.
    """

    __slots__ = ("attrs", "backend", "inputs", "needs", "op", "outputs")

    def __init__(self, node: Node) -> None:
        from grilly_core.tensor import wrap

        backend = node.backend
        self.op = node.op
        self.backend = backend
        self.attrs = node.attrs
        self.inputs: list[Any] = [
            spec if data is None or spec is None else wrap(data, backend, spec)
            for data, spec in zip(node.inputs, node.in_specs, strict=True)
        ]
        self.outputs: list[Any] = [
            spec if data is None else wrap(data, backend, spec)
            for data, spec in zip(node.outputs, node.out_specs, strict=True)
        ]
        self.needs = tuple([edge is not None for edge in node.edges])


def _check_alive(node: Node) -> None:
    if node.freed:
        node.grads = None
        raise GradientError(
            f"backward reached the result of {node.name} from an earlier step, whose graph was already used. "
            "A spiking network that kept its state does this: call grilly.functional.reset_net(net) after each "
            "backward (or detach_net(net) to carry state on purpose), or pass retain_graph=True"
        )


def _fit(grad: Tensor, spec: Spec, node: Node) -> Tensor:
    """Sum ``grad`` down to the shape of a broadcast input."""
    if grad.spec == spec:
        return grad
    shape = spec.shape
    lead = grad.ndim - len(shape)
    if lead < 0 or grad.spec.dtype != spec.dtype:
        raise GradientError(f"the gradient rule of {node.name} returned {grad.spec} for an input {spec}")
    axes = tuple(range(lead)) + tuple(
        lead + i for i, extent in enumerate(shape) if extent == 1 and grad.shape[lead + i] != 1
    )
    summed = grad.sum(axis=axes, keepdims=False) if axes else grad
    if summed.size != spec.size:
        raise GradientError(f"the gradient rule of {node.name} returned {grad.spec} for an input {spec}")
    return summed.reshape(shape)


def _receive(edge: Any, grad: Tensor, heap: list[tuple[int, Node]]) -> None:
    """Give ``grad`` to a leaf or to the node that made the input."""
    if type(edge) is tuple:
        parent, index = edge
        if parent.grads is None:
            parent.grads = [None] * len(parent.out_specs)
            heapq.heappush(heap, (-parent.order, parent))
        held = parent.grads[index]
        parent.grads[index] = grad if held is None else held + grad
    else:
        edge.grad = grad if edge.grad is None else edge.grad + grad


@no_grad()
def backward(roots: Sequence[Tensor], grads: Sequence[Tensor], retain_graph: bool = False) -> None:
    """Propagate ``grads`` from ``roots`` to every leaf that requires a gradient.

    Args:
        roots: tensors with a recorded history.
        grads: one gradient per root, of the root's shape and dtype.
        retain_graph: keep the graph for another pass; otherwise it is freed on the way.

    Raises:
        GradientError: when a root has no history or its graph was already used.
    """
    heap: list[tuple[int, Node]] = []
    try:
        _seed(roots, grads, heap)
        while heap:
            node = heapq.heappop(heap)[1]
            _check_alive(node)
            _propagate(node, heap)
            if not retain_graph:
                node.free()
    except BaseException:
        # Gradients left waiting would hide these nodes from the next pass.
        for _, waiting in heap:
            waiting.grads = None
        raise


def _seed(roots: Sequence[Tensor], grads: Sequence[Tensor], heap: list[tuple[int, Node]]) -> None:
    """Hand the gradients that arrive from outside to the roots."""
    for root, grad in zip(roots, grads, strict=True):
        if grad.spec != root.spec:
            raise ShapeError(f"backward: gradient {grad.spec} does not fit the tensor {root.spec}")
        edge = edge_of(root)
        if edge is None:
            raise GradientError(
                "backward: this tensor does not require a gradient: no input required one, or it was made under "
                "no_grad() or detach()"
            )
        _receive(edge, grad, heap)


def _propagate(node: Node, heap: list[tuple[int, Node]]) -> None:
    assert node.grads is not None
    grads, node.grads = node.grads, None
    outgoing = node.rule(Context(node), *grads)
    del grads
    if not isinstance(outgoing, tuple | list):
        outgoing = (outgoing,)
    if len(outgoing) != len(node.edges):
        raise GradientError(
            f"the gradient rule of {node.name} returned {len(outgoing)} gradients for {len(node.edges)} inputs"
        )
    for edge, grad, spec in zip(node.edges, outgoing, node.in_specs, strict=True):
        if edge is not None and grad is not None and spec is not None:
            _receive(edge, _fit(grad, spec, node), heap)


def edge_of(tensor: Any) -> Any:
    """What a node stores to reach ``tensor`` in backward: its node, itself if a leaf, or None."""
    if tensor is None or not tensor.requires_grad:
        return None
    node = tensor._node
    return tensor if node is None else (node, tensor._index)


def _grouped(flat: Sequence[Any], counts: Sequence[int | None]) -> list[Any]:
    """Flat arguments as the op takes them: a list where there is a count, single ones else."""
    rest = iter(flat)
    return [next(rest) if n is None else list(itertools.islice(rest, n)) for n in counts]


def rerun_rule(
    ctx: Context, *grads: Tensor | None, counts: Sequence[int | None] | None = None
) -> list[Tensor | None]:
    """Gradient of a natively run composite that has no rule: run its body on the tape, differentiate that.

    ``counts`` says how many of the flat inputs belong to each list argument, None for a single one.
    """
    from grilly_core.tensor import zeros_like

    assert ctx.op is not None
    leaves = [
        t if t is None else t.detach().requires_grad_(need)
        for t, need in zip(ctx.inputs, ctx.needs, strict=True)
    ]
    with enable_grad():
        outputs = ctx.op.run_body(leaves if counts is None else _grouped(leaves, counts), ctx.attrs)
    roots = [
        (y, g if g is not None else zeros_like(y))
        for y, g in zip(outputs, grads, strict=True)
        if y.requires_grad
    ]
    backward([y for y, _ in roots], [g for _, g in roots])
    return [leaf.grad if leaf is not None else None for leaf in leaves]


_VIEWS = 4  # slices and reshapes that may lie between a state and the op that made it


def graph_is_freed(tensor: Tensor | None) -> bool:
    """Whether backward has already used the graph that made ``tensor``: its node, its parents, or those behind views."""
    node = None if tensor is None else tensor._node
    for _ in range(_VIEWS):
        if node is None:
            return False
        parents = [edge[0] for edge in node.edges if type(edge) is tuple]
        if node.freed or any(parent.freed for parent in parents):
            return True
        node = parents[0] if len(parents) == 1 else None
    return False
