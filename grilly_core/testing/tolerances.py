"""How far a result may be from the reference, per op and dtype, and why.

Cases hold grid values (see :mod:`grilly_core.testing.strategies`), on which sums and products are exact: ops made
of those must agree to the last bit, whatever the order of additions. Only functions that a device approximates,
and long chains of roundings, get a tolerance. A wrong answer is never made right by a wider one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "BLAME",
    "EXACT",
    "MARGIN",
    "NEURONS",
    "THROUGH_TIME",
    "Tolerance",
    "gradient_tolerance",
    "neuron_scales",
    "value_tolerance",
]

# Roundings in float64 are this much finer than in float32.
_FINER = 2.0**-29


@dataclass(frozen=True)
class Tolerance:
    """``|actual - expected| <= absolute + relative * scale``.

    Attributes:
        relative: for float32; float64 gets 2**-29 of it.
        absolute: the same.
        whole: the scale is the largest magnitude in the array, not each element's own: for results that are
            sums of terms much larger than themselves.
    """

    relative: float = 0.0
    absolute: float = 0.0
    whole: bool = False

    def allowed(self, expected: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        """The largest difference from ``expected`` that is right, per element."""
        finer = _FINER if expected.dtype == np.float64 else 1.0
        if scale is None:
            size = np.abs(expected.astype(np.float64))
            finite = np.where(np.isfinite(size), size, 0.0)
            scale = finite.max(initial=0.0) if self.whole else finite
        allowed: np.ndarray = finer * (self.absolute + self.relative * np.asarray(scale, dtype=np.float64))
        return np.broadcast_to(allowed, expected.shape)


EXACT = Tolerance()
"""Equal bits (but for the sign of zero and the payload of NaN)."""

_FUNCTION = Tolerance(1e-5, 1e-6)
_PRODUCT = Tolerance(2e-6, 1e-6, whole=True)
_NORM = Tolerance(2e-5, 1e-5, whole=True)
_UPDATE = Tolerance(2e-6, 1e-6)
_THROUGH_TIME = Tolerance(2e-4, 2e-5)
_ANY_GRADIENT = Tolerance(1e-4, 2e-5, whole=True)

NEURONS = (
    "if_step", "lif_step", "plif_step", "if_multi_step", "lif_multi_step", "plif_multi_step", "klif_multi_step",
    "cuba_lif_multi_step", "alif_multi_step",
)  # fmt: skip
"""Ops that emit spikes: exact on the grid, and so that one wrong spike cannot hide, never with a tolerance."""

THROUGH_TIME = (
    *(f"{kind}_multi_step{of}_vjp" for kind in ("if", "lif", "plif") for of in ("", "_recompute")),
    *(f"{kind}_multi_step_vjp" for kind in ("klif", "cuba_lif", "alif")),
)
"""Gradients through time; :func:`neuron_scales` are their scales."""

MARGIN = {"float32": 1e-4, "float64": 1e-11}
"""With real-valued inputs: how close to the threshold a potential may be for its spike to be open to doubt."""

BLAME = Tolerance(1e-3, 1e-3)
"""From here on an op inside a composite counts as the one that is wrong (its inputs may lie off the grid)."""

_VALUES = {
    # Division and roots are not correctly rounded everywhere (Vulkan: 2.5 ulp, and 1.0 / inversesqrt).
    "div": Tolerance(5e-7),
    "sqrt": Tolerance(5e-7),
    # Approximations by the device's own hardware: a few ulp of the result, or of 1 where the result is small.
    "exp": Tolerance(3e-6),
    "log": Tolerance(1e-6, 1e-6),
    "tanh": _FUNCTION,
    "atan": Tolerance(1e-5, 1e-5),
    "sigmoid": _FUNCTION,
    "power": _FUNCTION,
    "erf": Tolerance(2e-5, 2e-6),  # a series of 140 terms
    "surrogate_gradient": _FUNCTION,
    "temporal_attention": _FUNCTION,
    "eif_multi_step": Tolerance(1e-5, 1e-5),  # three steps with an exponential each
    # A fast algorithm (Winograd, a split into half precision) is allowed; half precision alone is not.
    "matmul": _PRODUCT,
    "linear": _PRODUCT,
    "conv1d": _PRODUCT,
    "conv2d": _PRODUCT,
    "conv2d_input_vjp": _PRODUCT,
    "conv2d_weight_vjp": _PRODUCT,
    "stdp_update": _PRODUCT,
    "hebbian_update": _PRODUCT,
    # Products with a rounded 1 / count.
    "mean": Tolerance(1e-6, 1e-6),
    "var": Tolerance(1e-5, 1e-5),
    "readout": Tolerance(1e-6, 1e-6),
    "avg_pool2d": Tolerance(1e-6, 1e-6),
    "avg_pool2d_vjp": Tolerance(1e-6, 1e-6),
    "adaptive_avg_pool2d": Tolerance(2e-6, 2e-6),
    "mse_loss": Tolerance(1e-6, 1e-6),
    # A variance of 0 lets 1 / sqrt(eps) amplify the roundings before it.
    "batch_norm": _NORM,
    "batch_norm_infer": _NORM,
    "moving_average": Tolerance(1e-6, 1e-6),
    "batch_norm_vjp": Tolerance(1e-4, 1e-5, whole=True),
    "bn_through_time": _NORM,
    "bn_through_time_vjp": Tolerance(1e-4, 1e-5, whole=True),
    "layer_norm": _NORM,
    "rms_norm": _NORM,
    # At w: a sum over steps and batch of products with states that are not on the grid.
    "neunorm_multi_step_vjp": Tolerance(2e-6, 1e-6, whole=True),
    # Exponentials, their sum and a quotient or logarithm.
    "softmax": _FUNCTION,
    "softmax_vjp": Tolerance(1e-5, 1e-5, whole=True),
    "log_softmax": Tolerance(1e-5, 1e-5),
    "log_softmax_vjp": Tolerance(1e-5, 1e-5, whole=True),
    "cross_entropy": Tolerance(1e-5, 1e-5),
    # Constants may be folded together, which moves roundings.
    "sgd_update": _UPDATE,
    "adam_update": Tolerance(1e-5, 1e-6),
    **dict.fromkeys(THROUGH_TIME, _THROUGH_TIME),
}


def value_tolerance(op: str) -> Tolerance:
    """The tolerance of an op's float results on its cases; exact for ops not in the table."""
    return _VALUES.get(op, EXACT)


def gradient_tolerance(op: str) -> Tolerance:
    """The tolerance of the gradients of an op: rules divide, multiply and take exponentials of what they kept."""
    return _THROUGH_TIME if op in NEURONS else _ANY_GRADIENT


def neuron_scales(op: str, results: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """Scales of the gradients of a neuron at x, v and then its second state or k, in that order.

    Going back in time multiplies a gradient by factors that may almost cancel: what is left of a large value
    is all rounding. The largest gradient of the same neuron at any time is the scale; for k, the sum over them.
    """
    g_x, g_v = results[0], results[1]
    if g_x is None or g_v is None:
        return [None] * len(results)
    size = np.abs(g_x.astype(np.float64))
    with_time = g_x.ndim > g_v.ndim
    peak = np.maximum(size.max(axis=0) if with_time else size, np.abs(g_v.astype(np.float64)))
    scales: list[np.ndarray | None] = [np.broadcast_to(peak, g_x.shape), peak]
    steps = g_x.shape[0] if with_time else 1
    # At k arrives a sum over steps and neurons of g_x / k times x - v: a few times g_x each.
    at_k = np.asarray(4.0 * steps * peak.sum())
    scales.extend(peak if op.startswith(("cuba", "alif")) else at_k for _ in results[2:])
    return scales
