"""A trained network on samples: its predictions and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from grilly import functional as F
from grilly import random
from grilly._checks import whole_number
from grilly.data.checks import FloatArray, IntArray
from grilly.training.monitor import Figures, FiringMonitor, Totals
from grilly.training.network import Classifier
from grilly_core.autograd import no_grad
from grilly_core.tensor import tensor

__all__ = ["EVALUATION_BATCH", "evaluate", "inference", "predict"]

EVALUATION_BATCH = 256
"""Samples at once. Encoders that draw spikes give other ones for another number."""

_SEED = 0


@contextmanager
def inference(network: Classifier) -> Iterator[None]:
    """Evaluation mode, no recording, and the same random draws every time; afterwards all is as before."""
    state, training = random.get_state(), network.training
    random.seed(_SEED)
    network.eval()
    try:
        with no_grad():
            yield
    finally:
        F.reset_net(network)
        network.train(training)
        random.set_state(state)


def _batches(network: Classifier, x: FloatArray, size: int) -> Iterator[tuple[slice, FloatArray]]:
    for start in range(0, len(x), whole_number(size, "batch_size", 1)):
        part = slice(start, start + size)
        batch = x[part]
        yield part, np.ascontiguousarray(batch.swapaxes(0, 1)) if network.description.temporal else batch


def evaluate(
    network: Classifier,
    x: FloatArray,
    y: IntArray,
    *,
    batch_size: int = EVALUATION_BATCH,
    after_batch: Callable[[], None] = lambda: None,
) -> Figures:
    """Loss, accuracy and firing rates on labelled samples.

    Args:
        network: the network.
        x: samples ``[N, ...]``, float32.
        y: labels ``[N]``, int32.
        batch_size: samples at once.
        after_batch: called after each batch; may raise to stop.
    """
    with inference(network), FiringMonitor(network) as monitor:
        totals = Totals(monitor.layers)
        for part, batch in _batches(network, x, batch_size):
            F.reset_net(network)
            logits = network(batch)
            labels = tensor(y[part], dtype="int32")
            totals.add(F.cross_entropy(logits, labels), logits, labels, monitor.rates)
            after_batch()
        return totals.figures()


def predict(network: Classifier, x: FloatArray, *, batch_size: int = EVALUATION_BATCH) -> IntArray:
    """The class of each sample.

    Args:
        network: the network.
        x: samples ``[N, ...]``, float32.
        batch_size: samples at once.

    Returns:
        int32 ``[N]``.

    Example:
        >>> from grilly.training import NetworkDescription, build
        >>> network = build(NetworkDescription("mlp", "lif", "ATan", 2, "direct", 1, (3,), False, (), (4,)))
        >>> predict(network, np.ones((5, 3), "float32")).tolist()
        [0, 0, 0, 0, 0]
    """
    classes = np.empty(len(x), np.int32)
    with inference(network):
        for part, batch in _batches(network, x, batch_size):
            F.reset_net(network)
            classes[part] = network(batch).argmax(1).numpy()
    return classes
