"""From a trained network of ReLUs to a spiking one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from grilly.convert.calibration import Statistic, as_batches, measure, to_input
from grilly.convert.fuse import child
from grilly.convert.kinds import BATCH_NORMS, REPLACED, kind
from grilly.convert.layers import spiking_relus
from grilly.convert.report import Report, Row
from grilly.convert.structure import (
    Layers,
    assemble,
    check_kinds,
    fuse_pairs,
    neighbours,
    private_copy,
    sequential_layers,
)
from grilly.convert.trace import trace
from grilly.convert.weights import bounds_of_weights
from grilly.functional.time import reset_net
from grilly.nn.linear import ReLU
from grilly.nn.module import Module
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, DataError

__all__ = ["Converter"]

_TRACED = 4
"""Samples that the layers are followed with."""


class Converter:
    """Turns a trained network of ReLUs into a spiking network that computes with rates.

    Each ReLU becomes ``scale(1 / lambda) -> IFNode(v_threshold=1, v_reset=None) -> scale(lambda)``, lambda being the
    largest activation (Rueckauer et al. 2017, 10.3389/fnins.2017.00682). Max pooling becomes ``RateMaxPool``, which
    passes on what the largest sum over time grows by, so that its rate is the largest rate and not that of "any of
    them fired". Batch norm is fused into the layer before it, or kept with its running statistics.

    Show the SNN the same input at each of T steps; the mean of its outputs is close to the output of the ANN, the
    closer the larger T: ``F.multi_step_forward(snn, x, T=32, repeat=True).mean(0)``.

    Args:
        mode: what of the activations lambda is: ``'max_norm'``, the maximum; ``'robust_norm'``, the 99.9th
            percentile; ``'p%'`` such as ``'99.5%'``, another one; a number in (0, 1], that times the maximum.
        fuse_bn: whether to fuse batch norm.

    Raises:
        ArgumentError: a mode that is none; on calling: a network in which there is nothing to convert, with a layer
            or function that cannot be converted (named), with one ReLU called at several places, with time
            containers or neurons, or one that is no ``Sequential`` without calibration data.
        DataError: calibration data that are empty, all zeros, not finite, or leave a ReLU silent.

    Example:
        >>> import numpy as np
        >>> from grilly import nn, functional as F
        >>> ann = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).random((64, 4), dtype=np.float32)
        >>> snn = nn.Converter(mode="max_norm")(ann, x)
        >>> rates = F.multi_step_forward(snn, x, T=256, repeat=True).mean(0)
        >>> bool(abs(rates.numpy() - ann(x).numpy()).max() < 0.02)
        True
    """

    def __init__(self, mode: str | float = "max_norm", fuse_bn: bool = True) -> None:
        self.statistic = Statistic.of_mode(mode)
        self.mode = mode
        self.fuse_bn = bool(fuse_bn)

    def __call__(self, ann: Module, calibration_data: Any = None) -> Any:
        """The SNN for an ANN, which is left as it is.

        Args:
            ann: inputs ``[N, ...]``; used in evaluation mode.
            calibration_data: an array or Tensor ``[N, ...]``, a list of batches, or a loader of batches, of which
                tuples count with their first element. None (for ``Sequential`` only): lambda is a bound from the
                weights, for inputs in [0, 1] (Diehl et al. 2015); of bounds of a layer's neurons ``mode`` takes the
                maximum or percentile.

        Returns:
            A network of the same structure in step mode 's' and evaluation mode, with a new method ``report()``,
            the text of what became what. Hooks are not copied.
        """
        net = private_copy(ann)
        if calibration_data is None:
            layers = sequential_layers(net)
            check_kinds(layers)
            fused = fuse_pairs(net, neighbours(layers) if self.fuse_bn else [])
            maxima = bounds_of_weights([(name, child(net, name)) for name, _ in layers], self.statistic)
            _check_maxima(maxima, "the weights into it have no positive part", ArgumentError)
            told = "from the weights, for inputs in [0, 1]"
        else:
            batches = as_batches(calibration_data, "Converter")
            layers, pairs = _followed(net, batches[0][:_TRACED])
            fused = fuse_pairs(net, pairs if self.fuse_bn else [])
            relus = {name: module for name, module in layers if kind(module) is ReLU}
            maxima = measure(net, relus, batches, self.statistic)
            _check_maxima(maxima, self._silent(batches), DataError)
            told = f"from {sum(map(len, batches)):,} samples"
        snn = assemble(net, layers, maxima)
        if calibration_data is not None:
            _check_reached(snn, batches[0][:1])
        title = (
            f"{type(ann).__name__}: ReLUs of {len(maxima)} layers made spiking, lambda by {self.mode} {told}"
        )
        snn.report = Report(title, _rows(net, layers, fused, maxima))
        return snn

    def _silent(self, batches: list[np.ndarray]) -> str:
        samples = sum(map(len, batches))
        if self.statistic.percentile == 100:
            return f"none of its outputs on the {samples} calibration samples is above 0; give more or other samples"
        return (
            f"the {self.statistic.percentile:g}th percentile of its outputs on the {samples} calibration samples is 0; use "
            "a higher percentile, mode='max_norm', or other samples"
        )


def _followed(net: Module, sample: np.ndarray) -> tuple[Layers, list[tuple[str, str]]]:
    """Layers in the order in which forward calls them, and what batch norms can be fused into."""
    found = trace(net, to_input(net, sample))
    layers: dict[str, Module] = {}
    for call in found.calls:
        if call.name in layers and (kind(call.module) is ReLU or kind(call.module) in REPLACED):
            raise ArgumentError(
                f"Converter: layer {call.name!r} ({type(call.module).__name__}) is called at several places of forward, but "
                "each place needs a state of its own; give each a layer of its own"
            )
        layers[call.name] = call.module
    ordered = list(layers.items())
    check_kinds(ordered)
    found.check()
    return ordered, found.batch_norm_pairs()


def _check_maxima(maxima: Mapping[str, float], silent: str, error: type[ArgumentError | DataError]) -> None:
    for name, maximum in maxima.items():
        if not np.isfinite(maximum):
            raise error(
                f"Converter: the activations of ReLU {name!r} are not finite; train the network again"
            )
        if maximum <= 0:
            raise error(f"Converter: lambda of ReLU {name!r} is 0: {silent}")


def _check_reached(snn: Module, sample: np.ndarray) -> None:
    """Refuse a network whose forward still calls a layer that was replaced."""
    missed = {f"{name}.1" for name in spiking_relus(snn)}

    def called(name: str) -> Callable[..., None]:
        return lambda *_: missed.discard(name)

    modules = [(name, module) for name, module in snn.named_modules() if name in missed]
    handles = [module.register_forward_hook(called(name)) for name, module in modules]
    try:
        with no_grad():
            snn(to_input(snn, sample))
    finally:
        for handle in handles:
            handle.remove()
        reset_net(snn)
    if missed:
        raise ArgumentError(
            f"Converter: the neuron that replaced {min(missed).removesuffix('.1')!r} is not called: forward reaches the "
            "ReLU by another way than the attribute it is registered under; call it by that attribute"
        )


def _rows(net: Module, layers: Layers, fused: Mapping[str, str], maxima: Mapping[str, float]) -> list[Row]:
    rows = []
    now = dict(net.named_modules())
    for name, module in layers:
        was = type(module).__name__
        if name in maxima:
            rows.append(Row(name, was, "Scale, IFNode, Scale", maxima[name], 1.0))
        elif name in fused and kind(module) in BATCH_NORMS:
            rows.append(Row(name, was, f"fused into {fused[name]}"))
        elif name in fused:
            rows.append(Row(name, was, f"{was} with batch norm {fused[name]}"))
        elif kind(module) in REPLACED:
            rows.append(Row(name, was, type(now[name]).__name__))
        elif kind(module) in BATCH_NORMS:
            rows.append(Row(name, was, "kept, with its running statistics"))
        else:
            rows.append(Row(name, was, "kept"))
    called = {name for name, _ in layers}
    idle = [(name, module) for name, module in now.items() if kind(module) is ReLU and name not in called]
    return rows + [
        Row(name, type(module).__name__, "kept, for forward does not call it") for name, module in idle
    ]
