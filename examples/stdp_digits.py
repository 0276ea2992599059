"""Digit prototypes learned without labels: spike-timing-dependent plasticity and neurons that compete.

Images become Poisson spike trains. The neuron whose potential stands highest above its threshold fires and silences the
others; STDP moves its weights towards the pixels that led to the spike, and weights keep their norm. Thresholds rise with
use, so that every neuron gets its share (Diehl & Cook 2015, doi 10.3389/fncom.2015.00099). Labels serve only to say, at
the end, what each neuron has learned.

    python examples/stdp_digits.py --out prototypes.png
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import grilly
import grilly.functional as F
from grilly import nn
from grilly.data import load_digits
from grilly_core import ops

TEST = 297  # images kept for the end


class WinnerTakeAll(nn.Module):
    """Leaky neurons of which at most one fires at a step: the one highest above its own threshold; all are reset then.

    Args:
        neurons: how many.
        decay: share of the potential that a step keeps.
        threshold: at first, for all.
    """

    def __init__(self, neurons: int, decay: float = 0.9, threshold: float = 4.0) -> None:
        super().__init__()
        self.neurons, self.decay = neurons, decay
        self.register_buffer("threshold", np.full(neurons, threshold, np.float32))
        self.register_memory("v", 0.0)

    def forward(self, x: grilly.Tensor) -> grilly.Tensor:
        """Spikes of one step, ``[N, neurons] -> [N, neurons]``."""
        v = x + self.v * self.decay
        above = v - self.threshold
        best = ops.argmax(above, axis=1)
        fires = (above.max(axis=1, keepdims=True) >= 0.0).astype("float32")
        self.v = v * (1.0 - fires)
        return ops.one_hot(best, classes=self.neurons) * fires

    def adapt(self, share: np.ndarray, rate: float) -> None:
        """Raise the thresholds of neurons that fired more than their share, lower the others'."""
        moved = self.threshold.numpy() + rate * (share - 1.0 / self.neurons)
        self.threshold = grilly.tensor(np.maximum(moved, 0.5).astype(np.float32))


@dataclass
class Result:
    """What was learned: prototypes ``[neurons, 8, 8]``, the digit of each, and how often that is right on unseen images."""

    prototypes: np.ndarray
    digits: np.ndarray
    accuracy: float


def normalised(weight: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return weight / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-6)


def run(net: Any, images: np.ndarray, steps: int) -> np.ndarray:
    """Spikes of each neuron for each image, ``[N, neurons]``."""
    F.reset_net(net)
    with grilly.no_grad():
        trains = F.poisson_encode(images.reshape(len(images), -1), T=steps)
        total: Any = 0.0
        for t in range(steps):
            total = net(trains[t]) + total
    counts: np.ndarray = total.numpy()
    return counts


def learn(
    neurons: int = 64,
    epochs: int = 3,
    batch: int = 16,
    steps: int = 16,
    images: int | None = None,
    seed: int = 0,
) -> Result:
    """Learn prototypes of scikit-learn's digits.

    Args:
        neurons: how many prototypes.
        epochs: passes over the training images.
        batch: images whose spikes change the weights together.
        steps: time steps for which an image is shown.
        images: use so many training images only.
        seed: of initial weights, order and spikes.
    """
    grilly.seed(seed)
    rng = np.random.default_rng(seed)
    pixels, labels = load_digits()
    order = rng.permutation(len(pixels))
    test, train = order[:TEST], order[TEST:][:images]
    layer, neuron = nn.Linear(64, neurons, bias=False), WinnerTakeAll(neurons)
    net = nn.Sequential(layer, neuron)
    layer.weight.assign(normalised(rng.uniform(0.5, 1.0, (neurons, 64))))
    learner = nn.STDPLearner(layer, neuron, tau_pre=5.0, tau_post=5.0, a_pre=5e-4, a_post=1.5e-3, w_min=0.0)
    for epoch in range(epochs):
        scale = 1.0 - epoch / epochs
        shuffled = rng.permutation(train)
        for start in range(0, len(train), batch):
            chosen = shuffled[start : start + batch]
            counts = run(net, pixels[chosen], steps)
            learner.step(scale)
            learner.reset()
            layer.weight.assign(normalised(layer.weight.numpy()))
            neuron.adapt(counts.sum(axis=0) / max(1.0, counts.sum()), rate=2.0 * scale)
    net.eval()
    counts = run(net, pixels[train], steps)
    votes = np.stack([counts[labels[train] == digit].mean(axis=0) for digit in range(10)])
    digits = votes.argmax(axis=0)
    seen = run(net, pixels[test], steps)
    score = np.stack([seen[:, digits == digit].sum(axis=1) for digit in range(10)])
    accuracy = float((score.argmax(axis=0) == labels[test]).mean())
    return Result(layer.weight.numpy().reshape(neurons, 8, 8), digits, accuracy)


def draw(result: Result, path: str) -> None:
    """A picture of all prototypes, ordered by the digit each stands for."""
    from matplotlib.figure import Figure

    order = np.argsort(result.digits, kind="stable")
    columns = int(np.ceil(len(order) ** 0.5))
    rows = -(-len(order) // columns)
    figure = Figure(figsize=(columns * 0.9, rows * 0.95 + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, i in zip(axes, order, strict=False):
        axis.imshow(result.prototypes[i], cmap="gray_r")
        axis.set_title(str(result.digits[i]), fontsize=8, pad=2)
    figure.suptitle(
        f"learned without labels; {100 * result.accuracy:.1f} % of unseen digits recognised", fontsize=10
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    """Learn, say how well, draw."""
    parser = argparse.ArgumentParser(description="Learn digit prototypes by unsupervised STDP and draw them.")
    parser.add_argument("--neurons", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16, help="time steps for which an image is shown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="stdp_digits.png", help="where the picture goes")
    options = parser.parse_args()
    result = learn(options.neurons, options.epochs, steps=options.steps, seed=options.seed)
    print(f"{options.neurons} prototypes of {len(set(result.digits.tolist()))} digits")
    print(f"unseen digits recognised: {100 * result.accuracy:.1f} %")
    draw(result, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
