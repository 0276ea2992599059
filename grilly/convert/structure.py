"""The structure of a converted network: what is copied, in what order layers run, what is exchanged."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from grilly.convert.fuse import child, fuse_batch_norm, replace_child
from grilly.convert.kinds import BATCH_NORMS, REFUSED, REPLACED, WEIGHTED, kind
from grilly.convert.layers import spiking_relu
from grilly.functional.time import reset_net, set_step_mode
from grilly.nn.container import MultiStepContainer, SeqToANNContainer, Sequential
from grilly.nn.linear import Dropout, Identity, ReLU
from grilly.nn.module import Module
from grilly_core.errors import ArgumentError

__all__ = [
    "Layers", "assemble", "check_kinds", "fuse_pairs", "neighbours", "private_copy", "rebuild", "sequential_layers",
]  # fmt: skip

Layers = list[tuple[str, Module]]
"""Dotted names and layers, in the order in which they run."""


def private_copy(ann: Any) -> Module:
    """A copy to work on: no hooks, no state, no gradients, in evaluation mode, each ReLU at one place."""
    if not isinstance(ann, Module):
        raise ArgumentError(f"Converter converts a module, got {type(ann).__name__}")
    for name, module in ann.named_modules():
        if isinstance(module, MultiStepContainer | SeqToANNContainer):
            raise ArgumentError(
                f"Converter: {name or 'the network'} ({type(module).__name__}) runs over time; convert the network of "
                "single-step layers inside it"
            )
        if module._memory_defaults and not isinstance(module, Dropout):
            raise ArgumentError(
                f"Converter: {name or 'the network'} ({type(module).__name__}) keeps state over time, so this network is "
                "a spiking one already; convert the network of nn.ReLU layers"
            )
    memo: dict[int, Any] = {}
    for module in ann.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            memo[id(hooks)] = {}
        memo[id(module._memories)] = dict(module._memory_defaults)
    net: Module = copy.deepcopy(ann, memo)
    net = net if net._modules else Sequential(net)
    net.zero_grad()
    set_step_mode(net, "s")
    _separate(net)
    return net.eval()


def _separate(net: Module) -> None:
    """A ReLU or pooling layer that stands at several places of the tree is copied: each will keep its own state."""
    seen: set[int] = set()
    for prefix, module in list(net._walk()):
        if kind(module) is ReLU or kind(module) in REPLACED:
            if id(module) in seen:
                replace_child(net, prefix.rstrip("."), copy.deepcopy(module))
            seen.add(id(module))


def sequential_layers(net: Module) -> Layers:
    """The layers of nested ``Sequential`` networks in order.

    Raises:
        ArgumentError: a module inside decides itself in what order its layers run.

    Example:
        >>> from grilly import nn
        >>> net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 1))
        >>> [name for name, _ in sequential_layers(net)]
        ['0.0', '0.1', '1']
    """

    def below(module: Module, prefix: str) -> Iterator[tuple[str, Module]]:
        if type(module).forward is Sequential.forward:
            for name, child in module.named_children():
                yield from below(child, f"{prefix}{name}.")
            return
        name = prefix.rstrip(".")
        if module._modules or kind(module) is None:
            raise ArgumentError(
                f"Converter: without calibration data only nn.Sequential networks of grilly's own layers are converted, "
                f"but {name or 'the network'} is a {type(module).__name__}; pass samples: converter(ann, x)"
            )
        yield name, module

    return list(below(net, ""))


def neighbours(layers: Layers) -> list[tuple[str, str]]:
    """Layers with weights right before a batch norm, neither of which stands at another place too."""
    plain = [(name, module) for name, module in layers if kind(module) not in (Identity, Dropout)]
    places = Counter(id(module) for _, module in layers)
    return [
        (name, after)
        for (name, module), (after, norm) in pairwise(plain)
        if kind(module) in WEIGHTED and kind(norm) in BATCH_NORMS
        if places[id(module)] == places[id(norm)] == 1
    ]


def check_kinds(layers: Layers) -> None:
    for name, module in layers:
        known = kind(module)
        if known in REFUSED:
            raise ArgumentError(
                f"Converter: layer {name!r} ({type(module).__name__}) cannot be converted: {REFUSED[known]}"
            )
    if not any(kind(module) is ReLU for _, module in layers):
        raise ArgumentError(
            "Converter: nothing was converted, for no nn.ReLU layer runs in this network; ReLUs must be layers, not "
            "functions, to be found"
        )


def fuse_pairs(net: Module, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Fuse each batch norm into its layer and leave an Identity in its place; pairs by both names."""
    for layer, norm in pairs:
        fuse_batch_norm(child(net, layer), child(net, norm))
        replace_child(net, norm, Identity())
    return {**dict(pairs), **{norm: layer for layer, norm in pairs}}


def assemble(net: Module, layers: Layers, maxima: Mapping[str, float]) -> Any:
    """``net`` with spiking layers in place of its ReLUs and max pooling, in place.

    Args:
        net: batch norms are fused already.
        layers: names and what stood there.
        maxima: lambda of each ReLU.
    """
    for name, module in layers:
        known = kind(module)
        if name in maxima:
            replace_child(net, name, spiking_relu(maxima[name]))
        elif known in REPLACED:
            pool: Any = module
            spiking: Any = REPLACED[known]
            replace_child(net, name, spiking(pool.kernel_size, pool.stride, pool.padding))
    net.eval()
    reset_net(net)
    return net


def rebuild(ann: Module, maxima: Mapping[str, float]) -> Any:
    """The structure that ``Converter`` gives a ``Sequential`` network, for known lambdas; weights are to be loaded.

    Args:
        ann: the network that was converted, whatever its weights.
        maxima: lambda of every ReLU by name.

    Raises:
        ArgumentError: other names than those of the ReLUs.

    Example:
        >>> from grilly import nn
        >>> len(rebuild(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), {"1": 2.0})[1])
        3
    """
    net = private_copy(ann)
    layers = sequential_layers(net)
    check_kinds(layers)
    relus = [name for name, module in layers if kind(module) is ReLU]
    if sorted(relus) != sorted(maxima):
        raise ArgumentError(
            f"rebuild: lambda is given for {sorted(maxima)}, but the ReLUs are {sorted(relus)}"
        )
    fuse_pairs(net, neighbours(layers))
    return assemble(net, layers, maxima)
