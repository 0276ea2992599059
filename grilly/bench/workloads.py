"""The workloads: each yields one result per size and figure."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grilly
from grilly import functional as F
from grilly import nn, optim
from grilly.bench.kernels import conv, copy, gemm, neurons, norms, synapses
from grilly.bench.overhead import overhead
from grilly_core.backend import Backend
from grilly_core.errors import DivergenceError
from grilly_core.tensor import Tensor

__all__ = ["WORKLOADS", "Bench"]

Line = dict[str, Any]


@dataclass
class Bench:
    """What all workloads share: the backend, how often to time, which sizes.

    Attributes:
        backend: where to run.
        runs: timed calls; None: 5 in host memory, 20 on a device.
        quick: tiny sizes.
    """

    backend: Backend
    runs: int | None = None
    quick: bool = False

    @property
    def on_host(self) -> bool:
        """Whether this is a CPU in host memory, with its smaller sizes."""
        return "host_memory" in self.backend.features

    def sizes(self, device: list[Any], host: list[Any], quick: list[Any]) -> list[Any]:
        """The sizes for this backend."""
        return quick if self.quick else host if self.on_host else device

    def time(self, call: Callable[[], Any], factor: int = 1) -> Line:
        """Median, smallest and largest time of many calls, in milliseconds, and the peak memory of one."""
        runs = (self.runs or (5 if self.on_host else 20)) * factor
        for _ in range(1 if self.quick else 5):
            call()
        times = []
        for _ in range(runs):
            self.backend.synchronize()
            start = time.perf_counter()
            call()
            self.backend.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
        times.sort()
        peak = self._peak(call)
        return dict(
            ms_median=times[len(times) // 2], ms_min=times[0], ms_max=times[-1], runs=runs, peak_bytes=peak
        )

    def _peak(self, call: Callable[[], Any]) -> int | None:
        """Largest number of bytes in use during one call."""
        if not self.on_host:
            self.backend.synchronize()
            self.backend.peak_memory(reset=True)
            call()
            self.backend.synchronize()
            return self.backend.peak_memory()
        gc.collect()
        self.backend.close()
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def line(self, workload: str, shapes: list[int], check: float | None, figures: Line) -> Line:
        """One result with the fields every workload has.

        Raises:
            DivergenceError: when the network is silent or saturated.
        """
        if check is not None and not 0.02 <= check <= 0.98:
            raise DivergenceError(
                f"{workload} {shapes}: firing rate {check:.4f} is outside 2 % to 98 %; this times nothing"
            )
        head = dict(
            workload=workload, library="grilly", backend=self.backend.name, device=self.backend.device
        )
        return {**head, "shapes": shapes, "check": check, **figures}


def lif(bench: Bench) -> Iterator[Line]:
    """Multi-step LIF: forward without gradient; forward and backward with an upstream gradient."""
    million = 1 << 20
    sizes = bench.sizes(
        [(4, million), (16, million), (16, 16 * million), (100, million)],
        [(16, million), (4, million // 4), (16, million // 64)],
        [(4, 1031)],
    )
    for steps, n in sizes:
        node = nn.LIFNode(tau=2.0, surrogate_function=nn.ATan(), step_mode="m")
        x = grilly.rand((steps, n)) * 1.5
        x_grad = x.detach().requires_grad_()
        upstream = grilly.rand((steps, n))

        def forward(node: Any = node, x: Tensor = x) -> Tensor:
            F.reset_net(node)
            with grilly.no_grad():
                spikes: Tensor = node(x)
            return spikes

        def both(node: Any = node, x: Tensor = x_grad, upstream: Tensor = upstream) -> None:
            F.reset_net(node)
            x.grad = None
            node(x).backward(upstream)

        rate = forward().mean().item()
        yield bench.line("lif_forward", [steps, n], rate, bench.time(forward))
        yield bench.line("lif_train", [steps, n], rate, bench.time(both))


def lif_step(bench: Bench) -> Iterator[Line]:
    """One single-step LIF, state kept."""
    n = bench.sizes([1 << 20], [1 << 20], [1031])[0]
    node = nn.LIFNode(tau=2.0)
    x = grilly.rand(n) * 1.5

    def step() -> Tensor:
        with grilly.no_grad():
            spikes: Tensor = node(x)
        return spikes

    yield bench.line("lif_step", [n], None, bench.time(step, factor=5))


def network(channels: int) -> nn.Sequential:
    """Conv-BN-IF-MaxPool twice, then Linear-IF twice, for 28x28 images with one channel."""

    def node() -> nn.IFNode:
        return nn.IFNode(surrogate_function=nn.ATan())

    c = channels
    net = nn.Sequential(
        *(nn.Conv2d(1, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), node(), nn.MaxPool2d(2, 2)),
        *(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), node(), nn.MaxPool2d(2, 2)),
        *(
            nn.Flatten(),
            nn.Linear(c * 49, c * 16, bias=False),
            node(),
            nn.Linear(c * 16, 10, bias=False),
            node(),
        ),
    )
    F.set_step_mode(net, "m")
    return net


def _over_time(images: Tensor, steps: int) -> Tensor:
    return images.expand_dims(0).broadcast_to((steps, *images.shape))


def csnn(bench: Bench) -> Iterator[Line]:
    """A training step and the evaluation-mode forward pass of a convolutional network, T = 4."""
    for channels, batch in bench.sizes([(128, 16), (128, 128), (128, 512)], [(32, 32), (128, 16)], [(2, 3)]):
        grilly.seed(0)
        net = network(channels)
        optimiser = optim.Adam(net.parameters(), lr=1e-3)
        images = grilly.rand((batch, 1, 28, 28))
        labels = (grilly.rand(batch) * 10).astype("int32")
        target = F.one_hot(labels, 10)

        def train(
            net: Any = net, optimiser: Any = optimiser, images: Tensor = images, target: Tensor = target
        ) -> None:
            optimiser.zero_grad()
            loss = F.mse_loss(net(_over_time(images, 4)).mean(0), target)
            loss.backward()
            optimiser.step()
            F.reset_net(net)

        def infer(net: Any = net, images: Tensor = images) -> None:
            with grilly.no_grad():
                net(_over_time(images, 4)).mean(0)
            F.reset_net(net)

        with grilly.no_grad():
            rate = net[:3](_over_time(images, 4)).mean().item()
        F.reset_net(net)
        shapes = [4, batch, channels]
        yield bench.line("csnn", shapes, rate, bench.time(train))
        net.eval()
        yield bench.line("csnn_infer", shapes, None, bench.time(infer))


def linear_lif(bench: Bench) -> Iterator[Line]:
    """Linear and LIF over 500 steps of 10 % binary input, backward to the weights."""
    for n in bench.sizes([512, 4096, 16384], [512], [65]):
        steps = 20 if bench.quick else 500
        linear = nn.Linear(n, n, bias=False, step_mode="m")
        nn.init.normal_(linear.weight, std=3 / n**0.5)
        node = nn.LIFNode(tau=2.0, surrogate_function=nn.ATan(), step_mode="m")
        x = (grilly.rand((steps, 16, n)) < 0.1).astype("float32")

        def both(linear: Any = linear, node: Any = node, x: Tensor = x) -> Tensor:
            F.reset_net(node)
            linear.zero_grad()
            out: Tensor = node(linear(x))
            out.sum().backward()
            return out

        rate = both().mean().item()
        yield bench.line("linear_lif", [steps, 16, n], rate, bench.time(both))


WORKLOADS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "lif": lif,
    "lif_step": lif_step,
    "csnn": csnn,
    "linear_lif": linear_lif,
    "overhead": overhead,
    "copy": copy,
    "neurons": neurons,
    "norms": norms,
    "synapses": synapses,
    "gemm": gemm,
    "conv": conv,
}
"""Workload by name."""
