"""Strategies of networks: which layers, behind and before which others, and of what shapes."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from grilly_core.tensor import Tensor
from grilly_core.testing.cases.neuron import STEPS
from grilly_core.testing.strategies import seeds

from .neurons import (
    COUNTS,
    HALF,
    QUARTER,
    SPIKES,
    Digits,
    grid_neuron,
    parallel_neuron,
    potentials,
    real_neuron,
    weighed,
)
from .plans import Layer, Plan

__all__ = ["OVER_SEQUENCES", "added", "grid_plans", "real_plans"]

_VALUES = 4  # that a norm takes statistics of, at least
_EPS = 0.05  # of norms: a silent channel has variance 0, and roundings come out 1 / sqrt(eps) times as large
OVER_SEQUENCES = ("BatchNormThroughTime", "TemporalEffectiveBatchNorm", "ThresholdDependentBatchNorm")
"""Norms that take all steps at once and nothing else, less their ending 1d or 2d."""


def added(y: Tensor, x: Tensor) -> Tensor:
    """What an ``ElementWiseRecurrentContainer`` gives its module."""
    return x + y


class _Sketch:
    """A network being drawn: its layers so far, and what leaves the last of them."""

    def __init__(
        self, draw: DrawFn, steps: int, batch: int, *, exact: bool, sequences: bool, v_seq: bool
    ) -> None:
        self.draw, self.steps, self.batch, self.exact = draw, steps, batch, exact
        self.sequences, self.v_seq = sequences, v_seq
        channels, extent = st.integers(1, 3), st.integers(3, 7)
        flat = st.tuples(st.sampled_from((1, 3, 8, 33)))
        self.shape: tuple[int, ...] = draw(
            flat | st.tuples(channels, extent) | st.tuples(channels, extent, extent)
        )
        self.first, self.digits = self.shape, Digits(-2, 2.0)
        self.spiking = self.fired = False  # what leaves is spikes; the last neuron is behind the last weights
        self.layers: list[Layer] = []

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def add(
        self, kind: str, shape: tuple[int, ...] | None = None, digits: Digits | None = None, **settings: Any
    ) -> None:
        self.layers.append(Layer(kind, settings))
        self.shape = self.shape if shape is None else shape
        self.digits = self.digits if digits is None else digits

    def _room(self, digits: Digits) -> bool:
        """Whether some neuron still fits behind what has these digits, after the weights that may come before it."""
        if self.fired:
            digits = weighed(digits, max(math.prod(self.shape), 81))
        return not self.exact or potentials(0)(digits, self.steps).fit()

    # Layers with weights

    def weights(self) -> None:
        """Linear or a convolution; what is not flat may be flattened before."""
        if len(self.shape) > 1 and self.one_of(False, False, True):
            self.add("Flatten", (math.prod(self.shape),))
        bias = self.draw(st.booleans())
        if len(self.shape) == 1 or self.one_of(False, False, False, True):
            features = self.one_of(2, 1, 5, 9, 33)
            self.digits = weighed(self.digits, self.shape[-1])
            self.add(
                "Linear",
                (*self.shape[:-1], features),
                in_features=self.shape[-1],
                out_features=features,
                bias=bias,
            )
        else:
            self._convolution(bias)
        self.spiking = self.fired = False

    def _convolution(self, bias: bool) -> None:
        channels, *extents = self.shape
        groups = channels if self.one_of(False, False, True) else 1
        out = groups * self.one_of(1, 2, 3)
        least = min(extents)
        kernel = self.one_of(*[k for k in (3, 1, 2) if k <= least])
        settings: dict[str, Any] = {
            "stride": self.one_of(1, 2),
            "padding": self.one_of(0, 1),
            "dilation": self.one_of(*([1, 2] if 2 * kernel - 1 <= least else [1])),
        }
        reach = settings["dilation"] * (kernel - 1)
        after = [(e + 2 * settings["padding"] - reach - 1) // settings["stride"] + 1 for e in extents]
        self.digits = weighed(self.digits, channels // groups * kernel ** len(extents))
        self.add(
            f"Conv{len(extents)}d", (out, *after), in_channels=channels, out_channels=out, kernel_size=kernel,
            groups=groups, bias=bias, **settings,
        )  # fmt: skip

    # Layers without

    def pool(self) -> None:
        """A pool, where there is something to pool; means on the grid are of 2 or 4 values."""
        channels, *extents = self.shape
        if not extents or min(extents) < 2 or not self._room(self._mean(4)):
            return
        kind, dims = self.one_of("MaxPool", "AvgPool", "AdaptiveAvgPool"), f"{len(extents)}d"
        if kind == "AdaptiveAvgPool":
            if self.exact and any(extent % 2 for extent in extents):
                return
            sizes = [e // 2 if self.exact else self.draw(st.integers(1, e)) for e in extents]
            self.add(
                kind + dims,
                (channels, *sizes),
                self._mean(4),
                output_size=sizes[0] if dims == "1d" else tuple(sizes),
            )
            return
        kernel = self.one_of(2, 3) if kind == "MaxPool" and min(extents) > 2 else 2
        stride, padding = self.one_of(None, 1, 2), self.one_of(0, 1)
        after = [(e + 2 * padding - kernel) // (stride or kernel) + 1 for e in extents]
        self.add(
            kind + dims, (channels, *after), self._mean(4) if kind == "AvgPool" else None, kernel_size=kernel, stride=stride,
            padding=padding,
        )  # fmt: skip
        self.spiking = self.spiking and kind == "MaxPool"

    def _mean(self, count: int) -> Digits:
        return Digits(self.digits.unit - 2, self.digits.limit * count)

    def between(self) -> None:
        """Something that weights and neurons do not mind between them."""
        norms = () if self.exact else self._norms()
        plain = ("Identity", "ReLU", "Dropout", *(() if self.exact else ("Tanh", "LeakyReLU", "Softmax")))
        kind = self.one_of(*(norms if norms and self.one_of(True, False) else plain))
        if kind == "Dropout":
            self.add(kind, digits=Digits(self.digits.unit, 2 * self.digits.limit), p=0.5)
        elif kind in ("LayerNorm", "RMSNorm"):
            lasts = [self.shape[axis:] for axis in range(len(self.shape))]
            last = self.one_of(*[last for last in lasts if math.prod(last) >= _VALUES])
            self.add(kind, normalized_shape=last, eps=_EPS)
        elif kind.endswith("BatchNorm") or kind in OVER_SEQUENCES:
            time = {"T": self.steps} if kind in OVER_SEQUENCES[:2] else {}
            self.add(f"{kind}{max(1, len(self.shape) - 1)}d", num_features=self.shape[0], eps=_EPS, **time)
        else:
            self.add(kind)

    def _norms(self) -> list[str]:
        """Norms that have enough values: of two nothing but a sign is left, and its gradient is all rounding."""
        samples = ["LayerNorm", "RMSNorm"] if math.prod(self.shape) >= _VALUES else []
        channels = ["BatchNorm", *(OVER_SEQUENCES if self.sequences else ())]
        return samples + (channels if self.batch * math.prod(self.shape[1:]) >= _VALUES else [])

    # Layers with state

    def neuron(self) -> None:
        """A neuron with any reset and surrogate; now and then one whose spikes come back to it."""
        fed_back = Digits(self.digits.unit, self.digits.limit + COUNTS.limit)
        if not self._room(fed_back) or not self.one_of(False, False, False, True):
            self.layers.append(self._neuron(whole=True))
            return
        if len(self.shape) == 1 and not self.exact:
            size = self.shape[0]
            self.add(
                "LinearRecurrentContainer", sub_module=self._neuron(), in_features=size, out_features=size
            )
            return
        self.digits = fed_back
        self.add("ElementWiseRecurrentContainer", sub_module=self._neuron(), element_wise_function=added)

    def _neuron(self, *, whole: bool = False) -> Layer:
        if self.exact:
            made = grid_neuron(self.draw, self.digits, self.steps, self.v_seq)
        elif self.one_of(*[False] * 6, True):
            made = parallel_neuron(self.draw, self.steps, whole and self.sequences)
        else:
            made = real_neuron(self.draw, self.v_seq)
        self.digits = COUNTS if made.kind == "ILIFNode" else SPIKES
        self.spiking = self.fired = True
        return made

    def synapse(self) -> None:
        """A synapse; one that releases at spikes only where spikes arrive."""
        if self.exact:
            self._exact_synapse()
        else:
            self._real_synapse()
        self.spiking = False

    def _exact_synapse(self) -> None:
        x = self.digits
        half = Digits(x.unit - self.steps, x.limit * 2)
        both = Digits(x.unit - 2 * self.steps - 1, x.limit * 2)
        fitting = [
            kind
            for kind, digits in (("SynapseFilter", half), ("DualTimescaleSynapse", both))
            if self._room(digits)
        ]
        if not fitting:
            return
        if self.one_of(*fitting) == "SynapseFilter":
            self.add("SynapseFilter", digits=half, tau_syn=HALF, delay=self.draw(st.integers(0, 3)))
        else:
            self.add("DualTimescaleSynapse", digits=both, tau_fast=QUARTER, tau_slow=HALF)

    def _real_synapse(self) -> None:
        kinds = ["SynapseFilter", "DualTimescaleSynapse", *(["STPSynapse"] if self.spiking else [])]
        kind, learnable = self.one_of(*kinds), self.draw(st.booleans())
        taus = st.floats(0.5, 20.0)
        if kind == "SynapseFilter":
            delay = self.draw(st.integers(0, 3))
            self.add(kind, tau_syn=self.draw(taus), delay=delay, learnable=learnable)
        elif kind == "DualTimescaleSynapse":
            self.add(kind, tau_fast=self.draw(taus), tau_slow=self.draw(taus), learnable=learnable)
        else:
            self.add(kind, tau_d=self.draw(taus), tau_f=self.draw(taus), U=self.draw(st.floats(0.1, 1.0)))

    def end(self) -> None:
        """What the network ends with: spikes, or weights, or weights and a leaky integrator."""
        if self.one_of(True, False):
            self.weights()
            integrated = potentials(2)(self.digits, self.steps)
            if self.one_of(True, False) and (not self.exact or integrated.fit()):
                self.add("NonSpikingLIFNode", tau=self.one_of(2.0, 4.0))

    def norm_of_spikes(self) -> None:
        """NeuNorm, where there are images of spikes."""
        if len(self.shape) == 3 and self.spiking and not self.exact:
            names = dict(zip(("in_channels", "height", "width"), self.shape, strict=True))
            self.add("NeuNorm", k=self.draw(st.floats(0.1, 0.9)), **names)
            self.spiking = False


def _block(sketch: _Sketch, *, first: bool) -> None:
    rarely = (False, False, True)
    if not first or sketch.one_of(True, True, False):
        sketch.weights()
    for part, chance in ((sketch.pool, rarely), (sketch.between, (False, True)), (sketch.synapse, rarely)):
        if sketch.one_of(*chance):
            part()
    sketch.neuron()
    for part in (sketch.norm_of_spikes, sketch.synapse, sketch.pool):
        if sketch.one_of(*rarely):
            part()


@st.composite
def _plans(
    draw: DrawFn,
    *,
    exact: bool,
    least_steps: int = 1,
    sequences: bool = True,
    v_seq: bool = True,
    training: bool = True,
) -> Plan:
    steps = draw(st.sampled_from([t for t in STEPS if t >= least_steps]))
    batch = draw(st.integers(2, 4))
    sketch = _Sketch(draw, steps, batch, exact=exact, sequences=sequences, v_seq=v_seq)
    for number in range(draw(st.integers(1, 3))):
        _block(sketch, first=number == 0)
    sketch.end()
    return Plan(
        tuple(sketch.layers), sketch.first, steps, batch, draw(seeds()), exact, training and draw(st.booleans())
    )  # fmt: skip


def grid_plans(*, least_steps: int = 1, v_seq: bool = True) -> st.SearchStrategy[Plan]:
    """Networks closed over the dyadic grid: no result is ever rounded in float32.

    Args:
        least_steps: T at least.
        v_seq: whether neurons may keep the potentials of all steps, which they can in step mode 'm' only.
    """
    return _plans(exact=True, least_steps=least_steps, v_seq=v_seq)


def real_plans(*, any_form: bool = False) -> st.SearchStrategy[Plan]:
    """Networks of any numbers, norms and learnt decays among their layers.

    Args:
        any_form: only networks that compute the same in every form: no layer that takes whole sequences only, and nothing
            that looks at the other steps in training.
    """
    return _plans(exact=False, sequences=not any_form, v_seq=not any_form, training=not any_form)
