"""Neurons with more than a leak: all steps in one launch, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_cupy.kernels.neuron import kind_of
from grilly_cupy.kernels.neuron_vjp import surrogate_constants, unknown_surrogate
from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, launch_each, row_major

__all__ = ["DECLINES", "KERNELS"]

Array = Any
_KLIF, _CUBA, _ALIF = 0, 1, 2


class _Neuron:
    """One kind of neuron with the attributes of a call; ``decay`` and ``other`` are named in ``neuron_more.cu``."""

    def __init__(
        self,
        model: int,
        v_threshold: float,
        v_reset: float | None,
        *,
        rate: float = 0.0,
        decay_input: bool = True,
        decay: float = 0.0,
        other: float = 0.0,
        slopes: tuple[Array | None, Array | None] = (None, None),
    ) -> None:
        self.slopes = slopes
        numbers = map(float, (rate, decay, other, v_threshold, v_reset or 0.0))
        self.numbers = (*numbers, v_reset is None)
        self.defines = dict(MODEL=model, KIND=kind_of(decay_input))

    def forward(self, x: Array, v: Array, aux: Array | None, save_v: bool) -> tuple[Array, ...]:
        """Spikes, the last states and, with ``save_v``, v of every step."""
        x, v, aux = row_major(x), row_major(v), row_major(aux)
        spikes, last = cp.empty(x.shape, x.dtype), cp.empty(v.shape, x.dtype)
        last_aux = None if aux is None else cp.empty(v.shape, x.dtype)
        seq = cp.empty(x.shape, x.dtype) if save_v else None
        args = (x, v, aux, *self.slopes, spikes, last, last_aux, seq, v.size, x.shape[0], *self.numbers)
        launch_each("neuron_more/forward", x.dtype, v.size, args, **self.defines)
        return tuple([made for made in (spikes, last, last_aux, seq) if made is not None])

    def backward(
        self,
        arriving: tuple[Array, Array | None, Array | None, Array | None],
        x: Array,
        v: Array,
        aux: Array | None,
        detach_reset: bool,
        surrogate: Any,
    ) -> tuple[Array, ...]:
        """Gradients at x and the states, and partial sums of those at the slopes of KLIF, two for each block."""
        code, scale, top = surrogate_constants(surrogate)
        x, v, aux = row_major(x), row_major(v), row_major(aux)
        model, n, dtype = self.defines["MODEL"], v.size, x.dtype
        h, kept = cp.empty(x.shape, dtype), cp.empty(x.shape, dtype) if model == _ALIF else None
        g_x, g_v = cp.empty(x.shape, dtype), cp.empty(v.shape, dtype)
        g_aux = None if aux is None else cp.empty(v.shape, dtype)
        partial = cp.empty((2 * -(-n // BLOCK),), "float64") if model == _KLIF else None
        arrays = (*map(row_major, arriving), x, v, aux, *self.slopes, h, kept, g_x, g_v, g_aux, partial)
        args = (*arrays, n, x.shape[0], *self.numbers, detach_reset, scale, top)
        launch_each("neuron_more/backward", dtype, n, args, **self.defines, SURROGATE=code)
        return tuple([made for made in (g_x, g_v, g_aux, partial) if made is not None])


def klif_multi_step(
    device: Any,
    x: Array,
    v: Array,
    k: Array,
    inverse: Array | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_v: bool,
) -> tuple[Array, ...]:
    neuron = _Neuron(_KLIF, v_threshold, v_reset, rate=rate, decay_input=decay_input, slopes=(k, inverse))
    return neuron.forward(x, v, None, save_v)


def cuba_lif_multi_step(
    device: Any,
    x: Array,
    v: Array,
    c: Array,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
    save_v: bool,
) -> tuple[Array, ...]:
    return _Neuron(_CUBA, v_threshold, v_reset, decay=c_decay, other=v_decay).forward(x, v, c, save_v)


def alif_multi_step(
    device: Any,
    x: Array,
    v: Array,
    a: Array,
    /,
    *,
    rate: float,
    a_decay: float,
    beta: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
    save_v: bool,
) -> tuple[Array, ...]:
    neuron = _Neuron(
        _ALIF, v_threshold, v_reset, rate=rate, decay_input=decay_input, decay=a_decay, other=beta
    )
    return neuron.forward(x, v, a, save_v)


def klif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    k: Array,
    inverse: Array | None,
    /,
    *,
    rate: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    neuron = _Neuron(_KLIF, v_threshold, v_reset, rate=rate, decay_input=decay_input, slopes=(k, inverse))
    g_x, g_v0, partial = neuron.backward((g_s, g_v, None, g_seq), x, v, None, detach_reset, surrogate)
    sums = partial.reshape(-1, 2).sum(axis=0).astype(x.dtype)
    return g_x, g_v0, sums if inverse is not None else sums[:1]


def cuba_lif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_c: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    c: Array,
    /,
    *,
    c_decay: float,
    v_decay: float,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    neuron = _Neuron(_CUBA, v_threshold, v_reset, decay=c_decay, other=v_decay)
    return neuron.backward((g_s, g_v, g_c, g_seq), x, v, c, detach_reset, surrogate)


def alif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_a: Array | None,
    g_seq: Array | None,
    x: Array,
    v: Array,
    a: Array,
    /,
    *,
    rate: float,
    a_decay: float,
    beta: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    neuron = _Neuron(
        _ALIF, v_threshold, v_reset, rate=rate, decay_input=decay_input, decay=a_decay, other=beta
    )
    return neuron.backward((g_s, g_v, g_a, g_seq), x, v, a, detach_reset, surrogate)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        klif_multi_step, cuba_lif_multi_step, alif_multi_step,
        klif_multi_step_vjp, cuba_lif_multi_step_vjp, alif_multi_step_vjp,
    )
}  # fmt: skip
DECLINES: dict[str, Callable[..., str | None]] = {
    name: unknown_surrogate for name in KERNELS if name.endswith("vjp")
}
