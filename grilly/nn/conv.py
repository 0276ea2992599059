"""Convolution and pooling layers."""

from __future__ import annotations

import math
from typing import Any

from grilly._checks import whole_number, whole_numbers
from grilly.nn import init
from grilly.nn.checks import check_input, check_rank
from grilly.nn.linear import uniform_bias
from grilly.nn.parameter import Parameter
from grilly.nn.step import StepModule, fold_time
from grilly_core import ops
from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.tensor import Tensor, zeros

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "Conv1d", "Conv2d", "MaxPool1d", "MaxPool2d",
]  # fmt: skip

_LAYOUT = {1: ("[N, C, L]", "[T, N, C, L]"), 2: ("[N, C, H, W]", "[T, N, C, H, W]")}


def as_pair(value: tuple[int, ...], fill: int) -> tuple[int, int]:
    """Settings of one spatial axis as those of two, the first of which does nothing."""
    return (fill, value[0]) if len(value) == 1 else (value[0], value[1])


class _Conv(StepModule):
    axes: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.in_channels = whole_number(in_channels, f"{owner}: in_channels", 1)
        self.out_channels = whole_number(out_channels, f"{owner}: out_channels", 1)
        self.groups = whole_number(groups, f"{owner}: groups", 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ArgumentError(
                f"{owner}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.kernel_size = whole_numbers(kernel_size, self.axes, f"{owner}: kernel_size")
        self.stride = whole_numbers(stride, self.axes, f"{owner}: stride")
        self.padding = whole_numbers(padding, self.axes, f"{owner}: padding", low=0)
        self.dilation = whole_numbers(dilation, self.axes, f"{owner}: dilation")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = init.kaiming_uniform_(Parameter(zeros(shape)), gain=math.sqrt(1 / 3))
        self.bias = uniform_bias(self.out_channels, math.prod(shape[1:])) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x, self.weight)
        check_rank(self, x, *_LAYOUT[self.axes], self.step_mode)
        channels = x.shape[-1 - self.axes]
        if channels != self.in_channels:
            raise ShapeError(
                f"{type(self).__name__} has in_channels={self.in_channels}, got {channels} in shape {x.shape}"
            )
        return fold_time(x, self.step_mode, self._convolve)

    def _convolve(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        shown = [str(self.in_channels), str(self.out_channels), f"kernel_size={self.kernel_size}"]
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            if any(v != usual for v in getattr(self, name)):
                shown.append(f"{name}={getattr(self, name)}")
        shown += [f"groups={self.groups}"] * (self.groups > 1) + ["bias=False"] * (self.bias is None)
        return ", ".join(shown)


class Conv1d(_Conv):
    """Convolution over ``[N, C, L]`` (``[T, N, C, L]`` in step mode 'm').

    Args:
        in_channels, out_channels: channels in and out.
        kernel_size, stride, padding, dilation: a number, or a tuple of one.
        groups: channels in so many groups that do not see each other.
        bias: whether to add one per output channel.
        step_mode: 's' or 'm'.

    Shapes: weight ``[out, in / groups, K]``, bias ``[out]``, uniform in ``+-1 / sqrt(in K / groups)`` at first.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.Conv1d(2, 4, 3, padding=1)(np.zeros((5, 2, 9))).shape
        (5, 4, 9)
    """

    axes = 1

    def _convolve(self, x: Tensor) -> Tensor:
        out: Tensor = ops.conv1d(
            x,
            self.weight,
            self.bias,
            stride=self.stride[0],
            padding=self.padding[0],
            dilation=self.dilation[0],
            groups=self.groups,
        )
        return out


class Conv2d(_Conv):
    """Convolution over ``[N, C, H, W]`` (``[T, N, C, H, W]`` in step mode 'm').

    Args:
        in_channels, out_channels: channels in and out.
        kernel_size, stride, padding, dilation: a number, or one for each of H and W.
        groups: channels in so many groups that do not see each other.
        bias: whether to add one per output channel.
        step_mode: 's' or 'm'.

    Shapes: weight ``[out, in / groups, KH, KW]``, bias ``[out]``, uniform in ``+-1 / sqrt(fan in)`` at first.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.Conv2d(1, 8, 3, padding=1)(np.zeros((2, 1, 28, 28))).shape
        (2, 8, 28, 28)
    """

    axes = 2

    def _convolve(self, x: Tensor) -> Tensor:
        out: Tensor = ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return out


class _Pool(StepModule):
    axes: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, step_mode: str = "s") -> None:
        super().__init__(step_mode)
        owner = type(self).__name__
        self.kernel_size = whole_numbers(kernel_size, self.axes, f"{owner}: kernel_size")
        self.stride = (
            self.kernel_size if stride is None else whole_numbers(stride, self.axes, f"{owner}: stride")
        )
        self.padding = whole_numbers(padding, self.axes, f"{owner}: padding", low=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(
                f"{owner}: padding {padding!r} must be at most half of kernel_size {kernel_size!r}"
            )

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        check_rank(self, x, *_LAYOUT[self.axes], self.step_mode)
        return fold_time(x, self.step_mode, self._pool)

    def _pool(self, x: Tensor) -> Tensor:
        window = {
            "kernel_size": as_pair(self.kernel_size, 1),
            "stride": as_pair(self.stride, 1),
            "padding": as_pair(self.padding, 0),
        }
        return (
            self._pool2d(x, window) if self.axes == 2 else self._pool2d(x.expand_dims(2), window).squeeze(2)
        )

    def _pool2d(self, x: Tensor, window: dict[str, tuple[int, int]]) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return shown + (f", padding={self.padding}" if any(self.padding) else "")


class _MaxPool(_Pool):
    def _pool2d(self, x: Tensor, window: dict[str, tuple[int, int]]) -> Tensor:
        pooled: Tensor = ops.max_pool2d(x, **window)[0]
        return pooled


class _AvgPool(_Pool):
    def _pool2d(self, x: Tensor, window: dict[str, tuple[int, int]]) -> Tensor:
        pooled: Tensor = ops.avg_pool2d(x, **window)
        return pooled


class MaxPool1d(_MaxPool):
    """Largest element of each window of ``[N, C, L]``; the stride is the window unless given.

    Example:
        >>> from grilly import nn
        >>> nn.MaxPool1d(2)([[[1.0, 3.0, 2.0, 0.0]]]).tolist()
        [[[3.0, 2.0]]]
    """

    axes = 1


class MaxPool2d(_MaxPool):
    """Largest element of each window of ``[N, C, H, W]``; the stride is the window unless given.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.MaxPool2d(2)(np.zeros((1, 3, 8, 8))).shape
        (1, 3, 4, 4)
    """

    axes = 2


class AvgPool1d(_AvgPool):
    """Mean of each window of ``[N, C, L]``; padding counts as zeros.

    Example:
        >>> from grilly import nn
        >>> nn.AvgPool1d(2)([[[1.0, 3.0, 2.0, 0.0]]]).tolist()
        [[[2.0, 1.0]]]
    """

    axes = 1


class AvgPool2d(_AvgPool):
    """Mean of each window of ``[N, C, H, W]``; padding counts as zeros.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.AvgPool2d(4)(np.zeros((1, 3, 8, 8))).shape
        (1, 3, 2, 2)
    """

    axes = 2


class _AdaptiveAvgPool(StepModule):
    axes: int

    def __init__(self, output_size: Any, step_mode: str = "s") -> None:
        super().__init__(step_mode)
        self.output_size = whole_numbers(output_size, self.axes, f"{type(self).__name__}: output_size")

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        check_rank(self, x, *_LAYOUT[self.axes], self.step_mode)
        return fold_time(x, self.step_mode, self._pool)

    def _pool(self, x: Tensor) -> Tensor:
        wide = x if self.axes == 2 else x.expand_dims(2)
        pooled: Tensor = ops.adaptive_avg_pool2d(wide, output_size=as_pair(self.output_size, 1))
        return pooled if self.axes == 2 else pooled.squeeze(2)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of ``output_size`` almost equal stretches of ``[N, C, L]``.

    Example:
        >>> from grilly import nn
        >>> nn.AdaptiveAvgPool1d(1)([[[1.0, 2.0, 3.0]]]).tolist()
        [[[2.0]]]
    """

    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of ``output_size`` almost equal stretches of ``[N, C, H, W]``.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> nn.AdaptiveAvgPool2d(1)(np.ones((2, 3, 7, 5))).shape
        (2, 3, 1, 1)
    """

    axes = 2
