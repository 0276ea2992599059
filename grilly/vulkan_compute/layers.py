"""Shaders of what surrounds neurons: norm through time, products, softmax, readout, a rate code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.functional.layers import rms_norm, softmax
from grilly.vulkan_compute.door import Door
from grilly_core import ops
from grilly_core.dispatch import infer
from grilly_core.errors import ShapeError
from grilly_core.spec import Spec
from grilly_core.tensor import wrap

__all__ = ["Layers"]

Array = np.ndarray
_TILE = 16  # of results that a workgroup of snn-matmul makes, in both directions


class Layers(Door):
    """``bn_through_time`` to ``continuous_to_spike``."""

    def bn_through_time(self, x: Any, weight: Any = None, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
        """``snn-bn-through-time``: a batch norm of its own for each time step (Kim & Panda 2021), after its statistics.

        Args:
            x: input, ``[T, N, C, ...]``.
            weight: scale of each step and channel, ``[T, C]``; None: 1.
            eps: added to the variance, above 0.

        Returns:
            The result ``[T, N, C, ...]``, means ``[T, C]`` and biased variances ``[T, C]``.
        """
        given = self._place(x)
        if given.ndim < 3:
            raise ShapeError(f"bn_through_time takes [T, N, C, ...], got {given.shape}")
        folded = given.reshape(*given.shape[:3], math.prod(given.shape[3:]))
        y, mean, var = self._run(ops.bn_through_time, folded, weight, eps=eps)
        return y.reshape(given.shape), mean, var

    def matmul(self, x: Any, y: Any) -> Array:
        """``snn-matmul``: the matrix product of the last two axes.

        Args:
            x: ``[..., M, K]``.
            y: ``[..., K, N]``; leading axes broadcast.

        Returns:
            ``[..., M, N]``.
        """
        left, right = self._array(x), self._array(y)
        spec = infer(ops.matmul, [Spec(a.shape, "float32") for a in (left, right)], {})
        lead, (rows, columns), inner = spec.shape[:-2], spec.shape[-2:], left.shape[-1]
        # The shader knows no strides: batches are laid out in full.
        sides = [self._place(np.broadcast_to(a, (*lead, *a.shape[-2:]))) for a in (left, right)]
        out = self._backend.empty(spec.shape, "float32")
        if spec.size:
            batches = math.prod(lead)
            groups = -(-rows // _TILE) * -(-columns // _TILE) * batches
            sizes = (rows, inner, columns, batches)
            self._backend.run("snn-matmul", groups, [side._data for side in sides], (out,), sizes)
        return wrap(out, self._backend).numpy()

    def softmax(self, x: Any, *, axis: int = -1) -> Array:
        """``snn-softmax``: ``exp(x) / sum(exp(x))`` along an axis.

        Args:
            x: ``[...]``.
            axis: along which the results add up to 1.

        Returns:
            ``[...]``.
        """
        out: Array = self._run(softmax, x, axis=axis, native=False)
        return out

    def rmsnorm(self, x: Any, weight: Any = None, *, axes: int = 1, eps: float = 1e-5) -> Array:
        """``snn-rmsnorm``: root mean square 1 over the last axes, then scaled (Zhang & Sennrich 2019).

        Args:
            x: ``[..., *normalised]``.
            weight: ``[*normalised]``; None: 1.
            axes: how many axes are normalised.
            eps: added to the mean square.

        Returns:
            ``[..., *normalised]``.
        """
        out: Array = self._run(rms_norm, x, weight, axes=axes, eps=eps, native=False)
        return out

    def readout(self, x: Any, *, mode: str = "mean") -> Array:
        """``snn-readout``: mean, largest value or sum over time.

        Args:
            x: ``[T, ...]``.
            mode: ``'mean'``, ``'max'`` or ``'sum'``.

        Returns:
            ``[...]``.
        """
        out: Array = self._run(ops.readout, x, mode=mode)
        return out

    def continuous_to_spike(self, x: Any, *, T: int) -> Array:  # noqa: N803
        """``snn-continuous-to-spike``: numbers as evenly spaced spikes, one at step t where ``floor((t+1) x) > floor(t x)``.

        Args:
            x: ``[...]``; values outside [0, 1] count as the nearest in it.
            T: number of time steps.

        Returns:
            Spikes ``[T, ...]``, about ``x T`` for each number.
        """
        steps = whole_number(T, "continuous_to_spike: T", 1)
        out: Array = self._run(ops.continuous_to_spike, x, steps=steps)
        return out
