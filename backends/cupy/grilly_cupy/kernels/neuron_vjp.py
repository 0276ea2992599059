"""Spiking neurons, backward through time: from saved potentials, or from the input, whose potentials are computed again.

The second moves fewer bytes: 5 words for one step of one neuron, forward and backward together (x, s; g, x, g_x), where
saving potentials takes 6 (x, s, H; g, H, g_x). More than 16 steps read the input twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_core.extend import fused_surrogate
from grilly_cupy.kernels.neuron import kind_of, starting, unroll
from grilly_cupy.lazy import cp
from grilly_cupy.source import BLOCK, launch_each, row_major

__all__ = ["DECLINES", "KERNELS", "surrogate_constants", "unknown_surrogate"]

Array = Any


def surrogate_constants(surrogate: Any) -> tuple[int, float, float]:
    """A built-in surrogate as ``neuron.cuh`` takes it: which one, scale and top."""
    found = fused_surrogate(surrogate)
    assert found is not None, "kernels decline the others"
    return found


def unknown_surrogate(*specs: Any, surrogate: Any, **attrs: Any) -> str | None:
    """Why a call with this surrogate is declined: its derivative is not in the sources."""
    if fused_surrogate(surrogate) is not None:
        return None
    return f"its kernel has the built-in surrogates only, not {type(surrogate).__name__}"


class _Call:
    """The attributes of one call, as the kernels take them; a learned k is an array."""

    def __init__(
        self,
        k: Array | float,
        kind: int,
        v_threshold: float,
        v_reset: float | None,
        detach_reset: bool,
        surrogate: Any,
    ) -> None:
        code, scale, top = surrogate_constants(surrogate)
        self.learned = not isinstance(k, float)
        self.k_at = k if self.learned else None
        rate = 0.0 if self.learned else k
        limits = (float(v_threshold), float(v_reset or 0.0), v_reset is None, detach_reset)
        self.numbers = (rate, 1.0 - rate, *limits, scale, top)
        self.defines = dict(KIND=kind, LEARNED=int(self.learned), SURROGATE=code)

    def run(
        self, function: str, like: Array, before: tuple[Any, ...], notes: tuple[Any, ...], **more: int
    ) -> tuple[Array, ...]:
        """Launch; ``like`` is ``[T, ...]``, results are of its shape, of that of one step, and 0-d at a learned k."""
        steps, shape, dtype = like.shape[0], like.shape[1:], like.dtype
        g_x, g_v = cp.empty(like.shape, dtype), cp.empty(shape, dtype)
        n = g_v.size
        partial = cp.empty((-(-n // BLOCK),), "float64") if self.learned else None
        args = (*before, self.k_at, g_x, g_v, *notes, partial, n, steps, *self.numbers)
        launch_each(f"neuron_back/{function}", dtype, n, args, UNROLL=unroll(steps), **more, **self.defines)
        return (g_x, g_v) if partial is None else (g_x, g_v, partial.sum().astype(dtype))

    def saved(
        self, g_s: Array, g_v: Array | None, g_h: Array | None, h: Array, x: Array | None, v: Array | None
    ) -> tuple[Array, ...]:
        return self.run("saved", h, tuple(map(row_major, (g_s, g_v, g_h, h, x, v))), ())

    def recompute(self, g_s: Array, g_v: Array | None, x: Array, v: Array) -> tuple[Array, ...]:
        steps = x.shape[0]
        rounds = -(-steps // unroll(steps))
        notes = cp.empty((rounds - 1, *v.shape), x.dtype) if rounds > 1 else None
        start, own = starting(v)
        before = (*map(row_major, (g_s, g_v, x)), start)
        return self.run("recompute", x, before, (notes,), EXACT=int(steps == unroll(steps)), START=own)


def if_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_h: Array | None,
    h: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    return _Call(0.0, 0, v_threshold, v_reset, detach_reset, surrogate).saved(g_s, g_v, g_h, h, None, None)


def lif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_h: Array | None,
    h: Array,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    call = _Call(float(k), kind_of(decay_input), v_threshold, v_reset, detach_reset, surrogate)
    return call.saved(g_s, g_v, g_h, h, None, None)


def plif_multi_step_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    g_h: Array | None,
    h: Array,
    x: Array,
    v: Array,
    k: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    call = _Call(k, kind_of(decay_input), v_threshold, v_reset, detach_reset, surrogate)
    return call.saved(g_s, g_v, g_h, h, x, v)


def if_multi_step_recompute_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    x: Array,
    v: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    return _Call(0.0, 0, v_threshold, v_reset, detach_reset, surrogate).recompute(g_s, g_v, x, v)


def lif_multi_step_recompute_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    x: Array,
    v: Array,
    /,
    *,
    k: float,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    call = _Call(float(k), kind_of(decay_input), v_threshold, v_reset, detach_reset, surrogate)
    return call.recompute(g_s, g_v, x, v)


def plif_multi_step_recompute_vjp(
    device: Any,
    g_s: Array,
    g_v: Array | None,
    x: Array,
    v: Array,
    k: Array,
    /,
    *,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[Array, ...]:
    call = _Call(k, kind_of(decay_input), v_threshold, v_reset, detach_reset, surrogate)
    return call.recompute(g_s, g_v, x, v)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        if_multi_step_vjp, lif_multi_step_vjp, plif_multi_step_vjp,
        if_multi_step_recompute_vjp, lif_multi_step_recompute_vjp, plif_multi_step_recompute_vjp,
    )
}  # fmt: skip
DECLINES: dict[str, Callable[..., str | None]] = dict.fromkeys(KERNELS, unknown_surrogate)
