"""What takes the place of a ReLU or a maximum in a converted network."""

from __future__ import annotations

from typing import Any

from grilly._checks import finite_number
from grilly.nn.checks import check_input, check_kept, check_rank
from grilly.nn.container import Sequential
from grilly.nn.conv import _LAYOUT, _MaxPool
from grilly.nn.module import Module
from grilly.nn.neurons import IFNode
from grilly_core import ops
from grilly_core.errors import ShapeError
from grilly_core.tensor import Tensor

__all__ = ["RateMaxPool1d", "RateMaxPool2d", "Scale", "spiking_relu", "spiking_relus"]


class Scale(Module):
    """``x * factor``, a constant.

    Args:
        factor: what to multiply with.

    Shapes: any; one step or all of them.

    Example:
        >>> Scale(0.5)([1.0, 3.0]).tolist()
        [0.5, 1.5]
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = finite_number(factor, "Scale: factor")

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


def spiking_relu(maximum: float) -> Sequential:
    """A ReLU in spikes: ``Scale(1 / maximum) -> IFNode(1, soft reset) -> Scale(maximum)``.

    The mean of the output over T steps of an input x is ``min(max(x, 0), maximum)`` to within ``maximum / T``
    (Rueckauer et al. 2017, 10.3389/fnins.2017.00682).

    Args:
        maximum: the activation that one spike a step stands for, above 0.

    Example:
        >>> relu = spiking_relu(4.0)
        >>> [relu([3.0]).item() for _ in range(8)]
        [0.0, 4.0, 4.0, 4.0, 0.0, 4.0, 4.0, 4.0]
    """
    return Sequential(Scale(1.0 / maximum), IFNode(v_threshold=1.0, v_reset=None), Scale(maximum))


def spiking_relus(net: Module) -> dict[str, Sequential]:
    """Every ``spiking_relu`` in ``net`` by dotted name.

    Example:
        >>> list(spiking_relus(Sequential(spiking_relu(1.0), spiking_relu(2.0))))
        ['0', '1']
    """
    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, Sequential) and [type(child) for child in module] == [Scale, IFNode, Scale]
    }


class _RateMaxPool(_MaxPool):
    total: Tensor | None
    largest: Tensor | None

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, step_mode: str = "s") -> None:
        super().__init__(kernel_size, stride, padding, step_mode)
        self.register_memory("total", None)
        self.register_memory("largest", None)

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        check_rank(self, x, *_LAYOUT[self.axes], self.step_mode)
        if self.step_mode == "s":
            return self._advance(x)
        if x.shape[0] == 0:
            raise ShapeError(f"{type(self).__name__} in step_mode='m' takes at least one step, got {x.shape}")
        out: Tensor = ops.stack([self._advance(x[t]) for t in range(x.shape[0])])
        return out

    def _advance(self, x: Tensor) -> Tensor:
        if self.total is None or self.largest is None:
            self.total, self.largest = x, self._pool(x)
            return self.largest
        check_kept(self, self.total, x.shape, x)
        self.total = self.total + x
        before, self.largest = self.largest, self._pool(self.total)
        return self.largest - before


class RateMaxPool1d(_RateMaxPool):
    """Max pooling of rates, ``[N, C, L]`` a step (``[T, N, C, L]`` in step mode 'm'); see :class:`RateMaxPool2d`.

    Example:
        >>> pool = RateMaxPool1d(2)
        >>> [pool([[x]]).item() for x in ([1.0, 0.0], [0.0, 1.0], [0.0, 1.0])]
        [1.0, 0.0, 1.0]
    """

    axes = 1


class RateMaxPool2d(_RateMaxPool):
    """Max pooling whose output has, at every step so far, the largest mean input of the window as its mean.

    It gives what the largest sum of inputs over time grows by: ``y[t] = max(sum x[..t]) - max(sum x[..t-1])``. The
    maximum of the spikes of one step would fire when any input of the window does, so inputs that fire at different
    times would add up to more than their largest rate. Of inputs that are spikes the output is spikes.

    Args:
        kernel_size, stride, padding: as for :class:`grilly.nn.MaxPool2d`.
        step_mode: 's' or 'm'.

    Shapes: ``[N, C, H, W]`` a step, ``[T, N, C, H, W]`` in step mode 'm'.

    Raises:
        StateError: an input of another shape before a reset.

    Example:
        >>> pool = RateMaxPool2d(2)
        >>> [pool([[x]]).item() for x in ([[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]])]
        [1.0, 0.0]
    """

    axes = 2
