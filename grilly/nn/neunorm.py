"""NeuNorm: spikes normalised by what the channels beside them did."""

from __future__ import annotations

import math
from typing import Any

from grilly import functional as F
from grilly._checks import finite_number, whole_number
from grilly.nn import init
from grilly.nn.checks import check_input, check_rank
from grilly.nn.parameter import Parameter
from grilly.nn.step import StatefulModule, kept
from grilly_core.errors import ShapeError
from grilly_core.tensor import Tensor, zeros

__all__ = ["NeuNorm"]


class NeuNorm(StatefulModule):
    """Spikes less a learnt multiple of how active their place has been over all channels (Wu et al. 2019).

    The state is ``x[t] = k x[t-1] + (1 - k) / C^2 sum_c s_c[t]``, the output ``s[t] - w x[t]``. Shapes: ``[N, C, H, W]`` in
    step mode 's', ``[T, N, C, H, W]`` in 'm'. Memory: ``x``, ``[N, 1, H, W]``, 0 at first. Source: arXiv 1809.05793.

    Args:
        in_channels: channels C.
        height, width: extents H and W.
        k: what a step leaves of the state, in [0, 1).
        shared_across_channels: one ``w`` for all channels.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Attributes:
        w: ``[C, H, W]``, or ``[1, H, W]`` if shared; initially uniform within ``1 / sqrt(H W)`` of 0.

    Raises:
        ArgumentError: a setting out of range.
        ShapeError: an input that is not of these channels, height and width.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> import numpy as np
        >>> from grilly import nn
        >>> norm = nn.NeuNorm(2, 1, 1, k=0.5)
        >>> norm.w.assign(np.ones((2, 1, 1)))
        >>> [norm(np.ones((1, 2, 1, 1))).reshape(2).tolist() for _ in range(2)]
        [[0.75, 0.75], [0.625, 0.625]]
    """

    w: Parameter
    x: Any

    def __init__(
        self,
        in_channels: int,
        height: int,
        width: int,
        k: float = 0.9,
        shared_across_channels: bool = False,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        given = {"in_channels": in_channels, "height": height, "width": width}
        checked = [whole_number(value, f"NeuNorm: {name}", 1) for name, value in given.items()]
        self.in_channels, self.height, self.width = checked
        self.k = finite_number(k, "NeuNorm: k", 0.0, 1.0)
        self.shared_across_channels = bool(shared_across_channels)
        shape = (1 if self.shared_across_channels else self.in_channels, self.height, self.width)
        self.w = init.kaiming_uniform_(Parameter(zeros(shape)), gain=1.0 / math.sqrt(3.0))
        self.register_memory("x", 0.0)

    def forward(self, s: Tensor) -> Tensor:
        """Normalised spikes of one step or of all steps."""
        check_input(self, s, self.w)
        check_rank(self, s, "[N, C, H, W]", "[T, N, C, H, W]", self.step_mode)
        self.check_steps(s)
        wanted = (self.in_channels, self.height, self.width)
        if s.shape[-3:] != wanted:
            raise ShapeError(
                f"NeuNorm was made for C, H, W = {wanted}, got {s.shape[-3:]} in shape {s.shape}"
            )
        x = kept(self, self.x, (s.shape[-4], 1, self.height, self.width), s)
        run = F.neunorm_multi_step if self.step_mode == "m" else F.neunorm_step
        y, self.x = run(s, x, self.w, k=self.k)
        return y

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}, {self.height}, {self.width}, k={self.k:g}"]
        if self.shared_across_channels:
            shown.append("shared_across_channels=True")
        return ", ".join([*shown, f"step_mode={self.step_mode!r}"])
