"""Neurons with more than a leak, forward: blocks of neurons run through all time steps while their state stays in cache.

The order of operations is that of core, one rounding per operation, so spikes agree bit for bit with every other backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly_numpy.kernels.neuron import hard_reset, leak, over_blocks, soft_reset
from grilly_numpy.memory import empty

__all__ = ["KERNELS", "Adaptive", "Array", "Cuba", "Neuron", "Rectified"]

Array = np.ndarray[Any, np.dtype[Any]]


class Neuron:
    """One kind of neuron with its constants: what distinguishes it, on rows of a block, forward and backward.

    ``aux`` is the second state of a kind that has one, an empty row otherwise.
    """

    def __init__(
        self, dtype: np.dtype[Any], v_threshold: float, v_reset: float | None, inverse: Array | None = None
    ) -> None:
        self.dtype, self.soft = dtype, v_reset is None
        self.threshold, self.rest = self.constant(v_threshold), self.constant(v_reset or 0.0)
        self.one, self.zero = self.constant(1), self.constant(0)
        self.subtracted = self.threshold if inverse is None else np.multiply(inverse, self.threshold)
        self.reset = soft_reset(self.subtracted) if v_reset is None else hard_reset(v_reset, dtype)

    def constant(self, value: float) -> Array:
        return np.array(value, self.dtype)

    def charge(self, x: Array, v: Array, aux: Array, h: Array, tmp: Array) -> None:
        """Write the charged potential; the second state may change as well."""
        raise NotImplementedError

    def seen(self, h: Array, out: Array) -> Array:
        """What is compared with the threshold."""
        return h

    def level(self, aux: Array, out: Array) -> Array:
        """The threshold."""
        return self.threshold

    def base(self, f: Array, out: Array) -> Array:
        """What is reset."""
        return f

    def fired(self, s: Array, aux: Array) -> None:
        """What a spike does to the second state."""

    def back(self, g: Array, g_u: Array, g_v: Array, g_aux: Array, g_x: Array, tmp: Array) -> None:
        """Write the gradients at the input and at both states before the step, from that at the potential and ``u``."""
        raise NotImplementedError


class Cuba(Neuron):
    """A current, ``aux``, charges the potential."""

    def __init__(self, c_decay: float, v_decay: float, *common: Any) -> None:
        super().__init__(*common)
        self.c_decay, self.v_decay = self.constant(c_decay), self.constant(v_decay)

    def charge(self, x: Array, v: Array, aux: Array, h: Array, tmp: Array) -> None:
        np.add(np.multiply(aux, self.c_decay, out=aux), x, out=aux)
        np.add(np.multiply(v, self.v_decay, out=h), aux, out=h)

    def back(self, g: Array, g_u: Array, g_v: Array, g_aux: Array, g_x: Array, tmp: Array) -> None:
        np.add(g_aux, g, out=g_x)
        np.multiply(g, self.v_decay, out=g_v)
        np.multiply(g_x, self.c_decay, out=g_aux)


class _Leaky(Neuron):
    def __init__(
        self, rate: float, decay_input: bool, dtype: np.dtype[Any], v_threshold: float, v_reset: float | None,
        *rest: Any,
    ) -> None:  # fmt: skip
        super().__init__(dtype, v_threshold, v_reset, *rest)
        self.rate, self.carry, self.decay_input = self.constant(rate), self.constant(1.0 - rate), decay_input
        self.leaked = leak(self.rate, v_reset, decay_input)

    def charge(self, x: Array, v: Array, aux: Array, h: Array, tmp: Array) -> None:
        self.leaked(x, v, h, tmp)

    def back(self, g: Array, g_u: Array, g_v: Array, g_aux: Array, g_x: Array, tmp: Array) -> None:
        np.multiply(g, self.rate if self.decay_input else self.one, out=g_x)
        np.multiply(g, self.carry, out=g_v)


class Adaptive(_Leaky):
    """Spikes raise the threshold through ``aux``."""

    def __init__(self, a_decay: float, beta: float, *leaky: Any) -> None:
        super().__init__(*leaky)
        self.a_decay, self.beta = self.constant(a_decay), self.constant(beta)

    def level(self, aux: Array, out: Array) -> Array:
        np.multiply(aux, self.beta, out=out)
        level: Array = np.add(out, self.threshold, out=out)
        return level

    def fired(self, s: Array, aux: Array) -> None:
        np.add(np.multiply(aux, self.a_decay, out=aux), s, out=aux)

    def back(self, g: Array, g_u: Array, g_v: Array, g_aux: Array, g_x: Array, tmp: Array) -> None:
        super().back(g, g_u, g_v, g_aux, g_x, tmp)
        np.multiply(g_aux, self.a_decay, out=g_aux)
        np.subtract(g_aux, np.multiply(g_u, self.beta, out=tmp), out=g_aux)


class Rectified(_Leaky):
    """The potential goes through a rectifier of slope ``k``; ``inverse`` undoes it for the reset."""

    def __init__(self, k: Array, inverse: Array | None, *leaky: Any) -> None:
        super().__init__(*leaky, inverse)
        self.k, self.inverse = k, inverse

    def seen(self, h: Array, out: Array) -> Array:
        np.multiply(h, self.k, out=out)
        rectified: Array = np.maximum(out, self.zero, out=out)
        return rectified

    def base(self, f: Array, out: Array) -> Array:
        return f if self.inverse is None else np.multiply(f, self.inverse, out=out)


def _forward(
    neuron: Neuron, x: Array, v: Array, aux: Array | None, save_v: bool
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Spikes, last v and last second state, if there is one; and v of every step, if asked for."""
    steps, n, dtype = x.shape[0], v.size, x.dtype
    spikes, last = empty(x.shape, dtype), empty(v.shape, dtype)
    last_aux = None if aux is None else empty(v.shape, dtype)
    seq = empty(x.shape, dtype) if save_v else None
    x_all, s_all = x.reshape(steps, n), spikes.reshape(steps, n)
    seq_all = None if seq is None else seq.reshape(steps, n)

    def run(at: slice) -> None:
        width = at.stop - at.start
        fired, (h, f, tmp) = np.empty(width, bool), (empty((width,), dtype) for _ in range(3))
        state = last.reshape(n)[at]
        second = tmp if last_aux is None else last_aux.reshape(n)[at]
        np.copyto(state, v.reshape(n)[at])
        if aux is not None:
            np.copyto(second, aux.reshape(n)[at])
        for t in range(steps):
            s = s_all[t, at]
            neuron.charge(x_all[t, at], state, second, h, tmp)
            seen = neuron.seen(h, f)
            np.greater_equal(seen, neuron.level(second, tmp), out=fired)
            np.copyto(s, fired)
            neuron.reset(neuron.base(seen, f), s, state, tmp)
            neuron.fired(s, second)
            if seq_all is not None:
                np.copyto(seq_all[t, at], state)

    over_blocks(n, dtype, run)
    after = (last,) if last_aux is None else (last, last_aux)
    return (spikes, *after), () if seq is None else (seq,)


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
    """``x [T, ...], v [...], k and inverse 0-d -> s [T, ...], v [...], v of every step [T, ...] if save_v``."""
    neuron = Rectified(k, inverse, rate, decay_input, x.dtype, v_threshold, v_reset)
    results, seq = _forward(neuron, x, v, None, save_v)
    return (*results, *seq)


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
    """``x [T, ...], v, c [...] -> s [T, ...], v, c [...], v of every step [T, ...] if save_v``."""
    results, seq = _forward(Cuba(c_decay, v_decay, x.dtype, v_threshold, v_reset), x, v, c, save_v)
    return (*results, *seq)


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
    """``x [T, ...], v, a [...] -> s [T, ...], v, a [...], v of every step [T, ...] if save_v``."""
    neuron = Adaptive(a_decay, beta, rate, decay_input, x.dtype, v_threshold, v_reset)
    results, seq = _forward(neuron, x, v, a, save_v)
    return (*results, *seq)


KERNELS = {
    "alif_multi_step": alif_multi_step,
    "cuba_lif_multi_step": cuba_lif_multi_step,
    "klif_multi_step": klif_multi_step,
}
