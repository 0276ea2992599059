"""Threshold balancing."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.convert.calibration import as_batches, to_input
from grilly.convert.layers import spiking_relus
from grilly.convert.report import Report
from grilly.functional.time import multi_step_forward, reset_net
from grilly.nn.container import Sequential
from grilly.nn.module import Module
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, DataError

__all__ = ["VoltageScaler"]


class VoltageScaler:
    """Threshold balancing of a converted network (Sengupta et al. 2019, 10.3389/fnins.2019.00095).

    Args:
        snn: what a :class:`Converter` returned, in either step mode.

    Raises:
        ArgumentError: a network that no converter made.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> x = np.random.default_rng(0).random((64, 4), dtype=np.float32)
        >>> snn = nn.Converter()(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), x)
        >>> {name: round(threshold, 3) for name, threshold in nn.VoltageScaler(snn).scale_thresholds(x).items()}
        {'1.1': 1.0}
    """

    def __init__(self, snn: Module) -> None:
        if not isinstance(snn, Module) or not spiking_relus(snn):
            raise ArgumentError(
                f"VoltageScaler takes a network that nn.Converter returned, got {type(snn).__name__} without converted "
                "ReLUs; convert the network first"
            )
        self.snn = snn

    def scale_thresholds(self, data: Any, T: int = 32) -> dict[str, float]:  # noqa: N803
        """Give each neuron layer, from first to last, the largest input it receives as its threshold, in place.

        The layer's output gain becomes ``lambda * threshold``, so that rates still decode. The network runs T steps
        on all data for each layer, with the thresholds of those before it already changed. State is reset.

        Args:
            data: as the calibration data of the converter; each sample is shown for T steps.
            T: number of steps.

        Returns:
            Thresholds by the dotted name of the neuron, in the order in which they run.

        Raises:
            ArgumentError: T or data of a wrong kind.
            DataError: data that are empty, all zeros or not finite, or a layer that receives nothing above 0; all
                thresholds are then as they were.
        """
        steps = whole_number(T, "scale_thresholds: T", 1)
        batches = as_batches(data, "scale_thresholds")
        relus = spiking_relus(self.snn)
        before = {name: (relu[1].v_threshold, relu[2].factor) for name, relu in relus.items()}
        try:
            found = {
                name: self._scale(name, relus[name], batches, steps)
                for name in self._order(batches[0][:1], relus)
            }
        except BaseException:
            for name, (threshold, gain) in before.items():
                relus[name][1].v_threshold, relus[name][2].factor = threshold, gain
            raise
        report = getattr(self.snn, "report", None)
        for name, threshold in found.items():
            if isinstance(report, Report):
                report.set_threshold(name, threshold)
        return {f"{name}.1": threshold for name, threshold in found.items()}

    def _order(self, sample: np.ndarray, relus: dict[str, Sequential]) -> list[str]:
        seen: dict[str, None] = {}
        handles = [
            relu[1].register_forward_pre_hook(lambda module, args, name=name: seen.setdefault(name))
            for name, relu in relus.items()
        ]
        self._run([sample], 1, handles)
        return list(seen)

    def _scale(self, name: str, relu: Sequential, batches: list[np.ndarray], steps: int) -> float:
        largest: list[float] = []
        handles = [relu[1].register_forward_pre_hook(lambda node, args: largest.append(args[0].max().item()))]
        self._run(batches, steps, handles)
        threshold = max(largest)
        if not 0 < threshold < float("inf"):
            raise DataError(
                f"scale_thresholds: the largest input of {name}.1 is {threshold:g}, which cannot be a threshold; give "
                "samples on which the layer is active"
            )
        relu[1].v_threshold = threshold
        relu[2].factor = threshold / relu[0].factor
        return threshold

    def _run(self, batches: list[np.ndarray], steps: int, handles: list[Any]) -> None:
        try:
            with no_grad():
                for batch in batches:
                    reset_net(self.snn)
                    multi_step_forward(self.snn, to_input(self.snn, batch), T=steps, repeat=True)
        finally:
            for handle in handles:
                handle.remove()
            reset_net(self.snn)
