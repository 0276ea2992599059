"""Single kernels against the machine's limits: copy bandwidth, matrix products, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grilly
from grilly_core import ops
from grilly_core.tensor import Tensor

if TYPE_CHECKING:
    from grilly.bench.workloads import Bench

__all__ = ["conv", "copy", "gemm"]


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
    figures = _many(bench, lambda: ops.neg(x))
    rate = 2 * x.nbytes / figures["ms_median"] / 1e6
    yield bench.line("copy", [steps, n], None, {**figures, "gb_per_s": round(rate, 1)})


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
