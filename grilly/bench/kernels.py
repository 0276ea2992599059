"""Single kernels against the machine's limits: copy bandwidth, matrix products, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grilly
from grilly_core import ops
from grilly_core.ops.neuron_rules import keeps_potentials
from grilly_core.surrogate import ATan
from grilly_core.tensor import Tensor

if TYPE_CHECKING:
    from grilly.bench.workloads import Bench

__all__ = ["conv", "copy", "gemm", "neurons", "norms", "synapses"]


def _many(bench: Bench, call: Callable[[], Tensor]) -> dict[str, Any]:
    """Time of one call out of several in a row, waited for together: what the device needs, not the round trip."""
    batch = 1 if bench.on_host or bench.quick else 10

    def several() -> None:
        for _ in range(batch):
            call()

    figures = bench.time(several)
    for name in ("ms_median", "ms_min", "ms_max"):
        figures[name] /= batch
    return figures


def copy(bench: Bench) -> Iterator[dict[str, Any]]:
    """An elementwise op that reads and writes every element once: the roof of everything bound by memory."""
    steps, n = bench.sizes([(16, 16 << 20)], [(16, 1 << 20)], [(4, 1031)])[0]
    x = grilly.rand((steps, n))
    yield _moved(bench, "copy", [steps, n], None, _many(bench, lambda: ops.neg(x)), 2 * x.nbytes)


def neurons(bench: Bench) -> Iterator[dict[str, Any]]:
    """Multi-step LIF forward without gradient, and backward: bandwidth over the bytes that each cannot do without.

    Forward reads x and writes spikes; backward reads x (or the potentials) and the spikes' gradient, writes that of x;
    both read and write one potential per neuron. Compare with ``copy``.
    """
    steps, n = bench.sizes([(16, 16 << 20)], [(16, 1 << 20)], [(4, 1031)])[0]
    x, g, v = grilly.rand((steps, n)) * 1.5, grilly.rand((steps, n)), grilly.zeros(n)
    model: dict[str, Any] = dict(k=0.5, v_threshold=1.0, v_reset=0.0, decay_input=True, detach_reset=False)
    model["surrogate"] = ATan()
    rate = ops.lif_multi_step(x, v, **model)[0].mean().item()
    figures = _many(bench, lambda: ops.lif_multi_step(x, v, **model)[0])
    yield _moved(bench, "lif_forward_kernel", [steps, n], rate, figures, 2 * x.nbytes + 2 * v.nbytes)
    if keeps_potentials(ops.lif_multi_step, bench.backend):
        h = ops.lif_multi_step(x, v, **model, save_h=True)[2]
        figures = _many(bench, lambda: ops.lif_multi_step_vjp(g, None, None, h, **model)[0])
    else:
        figures = _many(bench, lambda: ops.lif_multi_step_recompute_vjp(g, None, x, v, **model)[0])
    yield _moved(bench, "lif_backward_kernel", [steps, n], rate, figures, 3 * x.nbytes + v.nbytes)


def norms(bench: Bench) -> Iterator[dict[str, Any]]:
    """A batch norm per step and NeuNorm: bandwidth over two reads and one write of x, or what else each cannot do without.

    Batch norm reads x for the statistics and again for the result; backward reads x and the gradient twice each. NeuNorm
    reads and writes every element once, and backward reads the gradient again for that of w.
    """
    shape = bench.sizes([(16, 32, 128, 1024)], [(16, 8, 32, 256)], [(4, 3, 2, 65)])[0]
    steps, n, channels, extent = shape
    x, g, weight = grilly.rand(shape), grilly.rand(shape), grilly.rand((steps, channels))
    _, mean, var = ops.bn_through_time(x, weight)
    start, w = grilly.zeros((n, 1, extent)), grilly.rand((channels, extent))
    states = ops.neunorm_multi_step(x, start, w)[1]
    calls: list[tuple[str, int, Callable[[], Tensor]]] = [
        ("bn_through_time", 3, lambda: ops.bn_through_time(x, weight)[0]),
        ("bn_through_time_vjp", 5, lambda: ops.bn_through_time_vjp(g, x, mean, var, weight, eps=1e-5)[0]),
        ("neunorm", 2, lambda: ops.neunorm_multi_step(x, start, w)[0]),
        ("neunorm_vjp", 3, lambda: ops.neunorm_multi_step_vjp(g, None, states, w, k=0.9)[0]),
    ]
    for name, passes, call in calls:
        yield _moved(bench, name, list(shape), None, _many(bench, call), passes * x.nbytes)


def synapses(bench: Bench) -> Iterator[dict[str, Any]]:
    """Synapses over all steps: bandwidth over the bytes that each cannot do without, states not counted.

    Forward reads x and writes the output; backward reads the gradient and writes that of x, and reads x too where a
    coefficient is learnt and for short-term plasticity. Compare with ``copy``.
    """
    steps, n = bench.sizes([(16, 4 << 20)], [(16, 1 << 20)], [(4, 1031)])[0]
    x, g, y = grilly.rand((steps, n)) - 0.5, grilly.rand((steps, n)) - 0.5, grilly.zeros(n)
    line, k = grilly.zeros((3, n)), grilly.tensor(0.8)
    four, none = (k, k, k, k), (None, None, None)
    stp: dict[str, float] = dict(decay_u=0.95, decay_r=0.99, use=0.2)
    calls: list[tuple[str, int, Callable[[], Tensor]]] = [
        ("synapse_filter", 2, lambda: ops.synapse_filter(x, y, k)[0]),
        ("synapse_filter_delayed", 2, lambda: ops.synapse_filter(x, y, k, line)[0]),
        ("synapse_filter_vjp", 2, lambda: ops.synapse_filter_vjp(g, None, k, *none, delay=0)[0]),
        ("synapse_filter_vjp_learnt", 3, lambda: ops.synapse_filter_vjp(g, None, k, x, y, None, delay=0)[0]),
        ("dual_timescale", 2, lambda: ops.dual_timescale(x, y, y, *four)[0]),
        ("dual_timescale_vjp", 2, lambda: ops.dual_timescale_vjp(g, None, None, *four, *none)[0]),
        ("dual_timescale_vjp_learnt", 3, lambda: ops.dual_timescale_vjp(g, None, None, *four, x, y, y)[0]),
        ("stp_synapse", 2, lambda: ops.stp_synapse(x, y, y, **stp)[0]),
        ("stp_synapse_vjp", 3, lambda: ops.stp_synapse_vjp(g, x, y, y, **stp)),
    ]
    for name, passes, call in calls:
        yield _moved(bench, name, [steps, n], None, _many(bench, call), passes * x.nbytes)


def _moved(
    bench: Bench, name: str, shapes: list[int], rate: float | None, figures: dict[str, Any], nbytes: int
) -> dict[str, Any]:
    """A line with the bandwidth that ``nbytes`` a call make."""
    return bench.line(
        name, shapes, rate, {**figures, "gb_per_s": round(nbytes / figures["ms_median"] / 1e6, 1)}
    )


def gemm(bench: Bench) -> Iterator[dict[str, Any]]:
    """Square products in float32, plain and with either factor transposed."""
    for n in bench.sizes([1024, 4096], [512, 1024], [65]):
        x, y = grilly.rand((n, n)) - 0.5, grilly.rand((n, n)) - 0.5
        for name, a, b in (("gemm", x, y), ("gemm_tn", x.T, y), ("gemm_nt", x, y.T)):
            figures = _many(bench, lambda a=a, b=b: ops.matmul(a, b))  # type: ignore[misc]
            rate = 2 * n**3 / figures["ms_median"] / 1e9
            yield bench.line(name, [n, n, n], None, {**figures, "tflop_per_s": round(rate, 2)})


def conv(bench: Bench) -> Iterator[dict[str, Any]]:
    """The 3x3 convolution of the csnn workload at batch 128, T = 4: forward and both gradients."""
    batch, c, size = bench.sizes([(512, 128, 14)], [(32, 32, 14)], [(2, 3, 5)])[0]
    x, w = grilly.rand((batch, c, size, size)), grilly.rand((c, c, 3, 3)) - 0.5
    window: dict[str, Any] = dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)
    g = ops.conv2d(x, w, None, **window)
    calls: list[tuple[str, Callable[[], Tensor]]] = [
        ("conv_forward", lambda: ops.conv2d(x, w, None, **window)),
        ("conv_input_gradient", lambda: ops.conv2d_input_vjp(g, w, input_size=(size, size), **window)),
        ("conv_weight_gradient", lambda: ops.conv2d_weight_vjp(g, x, kernel_size=(3, 3), **window)),
    ]
    for name, call in calls:
        figures = _many(bench, call)
        rate = 2 * g.size * c * 9 / figures["ms_median"] / 1e9
        yield bench.line(name, [batch, c, size], None, {**figures, "tflop_per_s": round(rate, 2)})
