"""Synapses, forward and backward: one dispatch for all steps, state in registers.

Words that cross memory for one step of one neuron: 2 forward (x, y) and 2 backward (g, g_x); 3 where a coefficient is
learnt (x, g, g_x) and for the gradient of short-term plasticity. More than 32 steps with a learnt coefficient read g
twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels import reduce
from grilly_vulkan.kernels.neuron import float32, rounds, spaced

__all__ = ["DECLINES", "KERNELS", "STRIDED"]

FLOAT = ("float32",)
_GROUP = 256  # invocations that add up one partial sum


def _time_stride(array: DeviceArray, n: int) -> int:
    """How far apart neighbouring steps are."""
    return array.strides[0] if array.strides else n


def _line(device: Any, line: DeviceArray | None, n: int) -> tuple[DeviceArray | None, int, int]:
    """A delay line with the strides of its steps and elements."""
    if line is None:
        return None, 0, 0
    line, stride = spaced(device, line, 1)
    return line, _time_stride(line, n), stride


def synapse_filter(
    device: Any, x: DeviceArray, y: DeviceArray, decay: DeviceArray, line: DeviceArray | None, /
) -> tuple[DeviceArray, ...]:
    traces: DeviceArray = device.empty(x.shape, "float32")
    n, steps = y.size, x.shape[0]
    # After a single step the last trace is that step's: not written twice.
    last = traces.view(y.shape) if steps == 1 else device.empty(y.shape, "float32")
    if n:
        x, x_stride = spaced(device, x, 1)
        y, y_stride = spaced(device, y, 0)
        delay = 0 if line is None else line.shape[0]
        line, line_time, line_stride = _line(device, line, n)
        scalars = (n, steps, delay, _time_stride(x, n), x_stride, y_stride, line_time, line_stride)
        constants = (*rounds(steps), line is not None, steps > 1)
        writes = (traces, last if steps > 1 else None)
        device.run_each("snn-synapse-filter", n, (x, y, decay, line), writes, scalars, constants)
    return traces, last


def synapse_filter_vjp(
    device: Any,
    g: DeviceArray,
    g_last: DeviceArray | None,
    decay: DeviceArray,
    x: DeviceArray | None,
    y: DeviceArray | None,
    line: DeviceArray | None,
    /,
    *,
    delay: int,
) -> tuple[DeviceArray, ...]:
    steps, shape = g.shape[0], g.shape[1:]
    g_x: DeviceArray = device.empty(g.shape, "float32")
    g_y: DeviceArray = device.empty(shape, "float32")
    g_line: DeviceArray | None = device.empty((delay, *shape), "float32") if delay else None
    n = g_y.size
    learned = x is not None and y is not None
    partial = device.empty((-(-n // _GROUP),), "float32") if learned else None
    if n:
        g, g_stride = spaced(device, g, 1)
        x_time = x_stride = y_stride = line_time = line_stride = 0
        if x is not None and y is not None:
            x, x_stride = spaced(device, x, 1)
            y, y_stride = spaced(device, y, 0)
            line, line_time, line_stride = _line(device, line, n)
            x_time = _time_stride(x, n)
        g_last = None if g_last is None else device.contiguous(g_last)
        device.run_each(
            "snn-synapse-filter-backward",
            n,
            (g, g_last, decay, x, y, line),
            (g_x, g_y, g_line, partial),
            (
                n,
                steps,
                delay,
                _time_stride(g, n),
                g_stride,
                x_time,
                x_stride,
                y_stride,
                line_time,
                line_stride,
            ),
            (*rounds(steps), delay > 0, g_last is not None, learned),
        )
    grads = (g_x, g_y) if g_line is None else (g_x, g_y, g_line)
    if partial is None:
        return grads
    return (*grads, reduce.sum(device, partial, axis=(0,), keepdims=False))


def dual_timescale(
    device: Any,
    x: DeviceArray,
    fast: DeviceArray,
    slow: DeviceArray,
    decay_fast: DeviceArray,
    decay_slow: DeviceArray,
    w_fast: DeviceArray,
    w_slow: DeviceArray,
    /,
) -> tuple[DeviceArray, ...]:
    y: DeviceArray = device.empty(x.shape, "float32")
    last: tuple[DeviceArray, ...] = tuple([device.empty(fast.shape, "float32") for _ in range(2)])
    n, steps = fast.size, x.shape[0]
    if n:
        x, x_stride = spaced(device, x, 1)
        fast, fast_stride = spaced(device, fast, 0)
        slow, slow_stride = spaced(device, slow, 0)
        reads = (x, fast, slow, decay_fast, decay_slow, w_fast, w_slow)
        scalars = (n, steps, _time_stride(x, n), x_stride, fast_stride, slow_stride)
        device.run_each("snn-dual-timescale", n, reads, (y, *last), scalars, rounds(steps))
    return (y, *last)


def dual_timescale_vjp(
    device: Any,
    g: DeviceArray,
    g_fast: DeviceArray | None,
    g_slow: DeviceArray | None,
    decay_fast: DeviceArray,
    decay_slow: DeviceArray,
    w_fast: DeviceArray,
    w_slow: DeviceArray,
    x: DeviceArray | None,
    fast: DeviceArray | None,
    slow: DeviceArray | None,
    /,
) -> tuple[DeviceArray, ...]:
    g_x: DeviceArray = device.empty(g.shape, "float32")
    starts: tuple[DeviceArray, ...] = tuple([device.empty(g.shape[1:], "float32") for _ in range(2)])
    n, steps = starts[0].size, g.shape[0]
    sums: DeviceArray | None = None if x is None else device.empty((4, -(-n // _GROUP)), "float32")
    if n:
        g, g_stride = spaced(device, g, 1)
        # There is no room for the strides of the others.
        others = (g_fast, g_slow, x, fast, slow)
        g_fast, g_slow, x, fast, slow = (None if a is None else device.contiguous(a) for a in others)
        device.run_each(
            "snn-dual-timescale-backward",
            n,
            (g, g_fast, g_slow, decay_fast, decay_slow, w_fast, w_slow, x, fast, slow),
            (g_x, *starts, sums),
            (n, steps, _time_stride(g, n), g_stride),
            (*rounds(steps), g_fast is not None, g_slow is not None, x is not None),
        )
    if sums is None:
        return (g_x, *starts)
    return (g_x, *starts, reduce.sum(device, sums, axis=(1,), keepdims=False))


def _release(
    device: Any,
    g: DeviceArray | None,
    x: DeviceArray,
    u: DeviceArray,
    r: DeviceArray,
    numbers: tuple[float, float, float],
) -> tuple[DeviceArray, ...]:
    """The output and both states; backward, with ``g``, the gradient alone."""
    y: DeviceArray = device.empty(x.shape, "float32")
    last = tuple([device.empty(u.shape, "float32") for _ in range(2)]) if g is None else ()
    n, steps = u.size, x.shape[0]
    if n:
        x, x_stride = spaced(device, x, 1)
        u, u_stride = spaced(device, u, 0)
        r, r_stride = spaced(device, r, 0)
        g_time = g_stride = 0
        if g is not None:
            g, g_stride = spaced(device, g, 1)
            g_time = _time_stride(g, n)
        strides = (g_time, g_stride, _time_stride(x, n), x_stride, u_stride, r_stride)
        device.run_each(
            "snn-stp-synapse",
            n,
            (g, x, u, r),
            (y, *(last or (None, None))),
            (n, steps, *strides, *map(float32, numbers)),
            (*rounds(steps), g is not None),
        )
    return (y, *last)


def stp_synapse(
    device: Any,
    x: DeviceArray,
    u: DeviceArray,
    r: DeviceArray,
    /,
    *,
    decay_u: float,
    decay_r: float,
    use: float,
) -> tuple[DeviceArray, ...]:
    return _release(device, None, x, u, r, (decay_u, decay_r, use))


def stp_synapse_vjp(
    device: Any,
    g: DeviceArray,
    x: DeviceArray,
    u: DeviceArray,
    r: DeviceArray,
    /,
    *,
    decay_u: float,
    decay_r: float,
    use: float,
) -> DeviceArray:
    return _release(device, g, x, u, r, (decay_u, decay_r, use))[0]


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    kernel.__name__: (kernel, FLOAT)
    for kernel in (
        synapse_filter, synapse_filter_vjp, dual_timescale, dual_timescale_vjp, stp_synapse, stp_synapse_vjp,
    )
}  # fmt: skip
STRIDED = frozenset(KERNELS)
DECLINES: dict[str, Callable[..., str | None]] = {}
