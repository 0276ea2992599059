"""What monitors share: which layers, which steps, what is kept."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly._suggest import closest
from grilly.nn import BaseNode, HookHandle, Module
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, StateError
from grilly_core.tensor import Tensor, tensor

__all__ = ["Function", "Layers", "Monitor"]

Layers = type[Module] | str | Sequence[type[Module] | str]
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class _Call:
    """A call of a layer of which something is kept.

    Attributes:
        order: number of the call among all calls of all layers.
        steps: how many time steps are kept of it.
        timed: its values have a time axis.
        chosen: the indices of the steps, None where all are kept.
    """

    order: int
    steps: int
    timed: bool
    chosen: range | None


class Monitor:
    """What all monitors share; use one of the kinds below.

    Args:
        net: the network.
        layers: which of its layers: a type, a dotted name, or several of either.
        function: applied to each value before it is kept, e.g. ``lambda spikes: spikes.mean()``; nothing in it is
            recorded for gradients.
        every: keep every such time step, counted over calls from the first one.
        max_steps: most time steps kept of each layer: the latest calls that fit, or the end of one that does not;
            None: all.

    Values are detached Tensors on the network's backend, as large as they are in the network; ``max_steps`` bounds
    their memory. In step mode 's' a call is one time step and gives ``[N, ...]``. In 'm', also for neurons inside
    ``F.multi_step_forward`` and ``MultiStepContainer``, a call is T steps and gives ``[steps, N, ...]``, with the same
    steps chosen. A layer without a step mode counts one step a call.

    Attributes:
        layers: dotted names of the layers, in the order of the network.
    """

    def __init__(
        self,
        net: Module,
        layers: Layers = BaseNode,
        function: Function | None = None,
        *,
        every: int = 1,
        max_steps: int | None = 1000,
    ) -> None:
        owner = type(self).__name__
        found = _find(net, layers, owner)
        if function is not None and not callable(function):
            raise ArgumentError(f"{owner}: function must be callable or None, got {function!r}")
        self._function = function
        self._every = whole_number(every, f"{owner}: every", 1)
        self._max_steps = None if max_steps is None else whole_number(max_steps, f"{owner}: max_steps", 1)
        self.layers = tuple(found)
        self._enabled = True
        self._orders = itertools.count()
        self.clear()
        for name, layer in found.items():
            self._check(name, layer)
        self._handles = [self._attach(name, layer) for name, layer in found.items()]

    def _check(self, name: str, layer: Module) -> None:
        """Refuse a layer that cannot be monitored, before any is."""

    def _attach(self, name: str, layer: Module) -> HookHandle:
        raise NotImplementedError

    # What was recorded

    @property
    def records(self) -> list[Any]:
        """Everything kept, of all layers, in the order of the calls."""
        kept = itertools.chain.from_iterable(self._kept.values())
        return [value for _, value in sorted(kept, key=lambda entry: entry[0].order)]

    def __getitem__(self, name: str) -> list[Any]:
        """What was kept of one layer, a value per call."""
        return [value for _, value in self._entries(name)]

    def sequence(self, name: str) -> Tensor:
        """What was kept of one layer, all steps as one Tensor ``[steps, N, ...]``: the same in both step modes.

        Raises:
            StateError: nothing was recorded, or values that do not go together (batches of other sizes, a
                ``function`` that leaves no time axis); use ``monitor[name]``.
        """
        entries = self._entries(name)
        parts = []
        for call, value in entries:
            if not isinstance(value, Tensor) or (call.timed and value.shape[:1] != (call.steps,)):
                raise StateError(
                    f"the values kept of layer {name!r} have no time axis; use monitor[{name!r}], a list"
                )
            parts.append(value if call.timed else value.expand_dims(0))
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) != 1:
            raise StateError(
                f"nothing was recorded of layer {name!r} yet"
                if not shapes
                else f"layer {name!r} was recorded with shapes {sorted(shapes)}; use monitor[{name!r}], a list, or "
                "clear() between batches"
            )
        joined: Tensor = ops.concat(parts, axis=0)
        return joined

    def _entries(self, name: str) -> list[tuple[_Call, Any]]:
        if name not in self._kept:
            raise ArgumentError(
                f"layer {name!r} is not monitored; there are {', '.join(map(repr, self.layers))}"
            )
        return self._kept[name]

    # Switching

    @property
    def enabled(self) -> bool:
        """Whether calls are recorded (and counted)."""
        return self._enabled

    def enable(self) -> None:
        """Record again after ``disable()``."""
        self._enabled = True

    def disable(self) -> None:
        """Record nothing until ``enable()``."""
        self._enabled = False

    def clear(self) -> None:
        """Forget what was recorded, and count steps from 0 again."""
        self._kept: dict[str, list[tuple[_Call, Any]]] = {name: [] for name in self.layers}
        self._counts, self._held = (dict.fromkeys(self.layers, 0) for _ in range(2))

    def remove(self) -> None:
        """Take the monitor off the network; what was recorded stays. Leaving a ``with`` block does it too."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        counts = ", ".join(f"{name!r}: {len(entries)}" for name, entries in self._kept.items())
        return f"{type(self).__name__}({{{counts}}})"

    # Recording

    def _call(self, name: str, value: Any, timed: bool) -> _Call | None:
        """Count a call; what of it is to be kept, None if nothing is."""
        if not self._enabled:
            return None
        first = value[0] if isinstance(value, tuple | list) else value
        timed = timed and isinstance(first, Tensor) and first.ndim > 0
        steps = first.shape[0] if timed else 1
        start = -self._counts[name] % self._every
        self._counts[name] += steps
        due = range(start, steps, self._every)
        if not due:
            return None
        kept = due if self._max_steps is None else due[-self._max_steps :]
        whole = len(kept) == steps and self._every == 1
        return _Call(next(self._orders), len(kept), timed, None if whole else kept)

    @no_grad()
    def _keep(self, name: str, call: _Call, value: Any) -> None:
        chosen = _chosen(value, call)
        if self._function is not None:
            chosen = self._function(chosen)
            chosen = chosen.detach() if isinstance(chosen, Tensor) else chosen
        entries = self._kept[name]
        # Gradients come last step first; records stand in the order of the forward calls.
        bisect.insort(entries, (call, chosen), key=lambda entry: entry[0].order)
        self._held[name] += call.steps
        while self._max_steps is not None and self._held[name] > self._max_steps:
            self._held[name] -= entries.pop(0)[0].steps


def _chosen(value: Any, call: _Call) -> Any:
    """The steps that are kept of a value, detached."""
    if isinstance(value, tuple | list):
        return tuple(_chosen(item, call) for item in value)
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    if call.chosen is None:
        return value
    # A copy: a view of some steps would keep the memory of all.
    steps = tensor(np.asarray(call.chosen, np.int32), backend=value._backend)
    kept: Tensor = ops.gather(value if call.timed else value.expand_dims(0), steps, axis=0)
    return kept if call.timed else kept.squeeze(0)


def _find(net: Module, layers: Layers, owner: str) -> dict[str, Module]:
    """The layers meant, by dotted name, in the order of the network."""
    if not isinstance(net, Module):
        raise ArgumentError(f"{owner} watches a module, got {type(net).__name__}")
    named = dict(net.named_modules())
    wanted = [layers] if isinstance(layers, type | str) else list(layers)
    found: set[str] = set()
    for item in wanted:
        if isinstance(item, str):
            if item not in named:
                near = closest(item, named)
                raise ArgumentError(
                    f"{owner}: the network has no layer {item!r}"
                    + (f"; did you mean {near!r}?" if near else f"; it has {', '.join(filter(None, named))}")
                )
            found.add(item)
        elif isinstance(item, type) and issubclass(item, Module):
            found |= {name for name, module in named.items() if isinstance(module, item)}
        else:
            raise ArgumentError(f"{owner}: layers are types of modules or dotted names, got {item!r}")
    if not found:
        said = " or ".join(getattr(item, "__name__", str(item)) for item in wanted) or "any"
        kinds = sorted({type(module).__name__ for module in named.values()})
        raise ArgumentError(f"{owner}: the network has no layer of type {said}; it has {', '.join(kinds)}")
    return {name: module for name, module in named.items() if name in found}
