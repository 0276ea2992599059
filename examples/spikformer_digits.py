"""A small Spikformer (Zhou et al. 2023, arXiv 2209.15425) that learns scikit-learn's handwritten digits.

Convolutions turn an image into 16 tokens of spikes (the patch embedding, with a convolution for the places of the tokens);
a block of spiking self-attention and a spiking perceptron, each with its input added, follows; a linear readout of the
mean over tokens and time names the digit. Every neuron is a LIF, nothing is a softmax but the loss.

    python examples/spikformer_digits.py --epochs 4
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import grilly
import grilly.functional as F
from grilly import nn, optim
from grilly.data import DataLoader, load


def spiking_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """Convolution, batch norm at twice the threshold (a LIF halves its input), LIF."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False),
        nn.ThresholdDependentBatchNorm2d(outputs, alpha=2.0),
        nn.LIFNode(detach_reset=True),
    )


class PatchEmbedding(nn.Module):
    """Images ``[T, N, 1, 8, 8]`` to spikes of 16 tokens ``[T, N, 16, D]``, by convolutions.

    Args:
        embed_dim: channels D.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.stem = spiking_conv(1, embed_dim // 2, 3, padding=1)
        self.patches = spiking_conv(embed_dim // 2, embed_dim, 2, stride=2)
        self.places = spiking_conv(embed_dim, embed_dim, 3, padding=1)

    def forward(self, x: grilly.Tensor) -> grilly.Tensor:
        x = self.patches(self.stem(x))
        return (x + self.places(x)).flatten(3).swapaxes(2, 3)


class SpikingMLP(nn.Module):
    """Two layers of neurons on every token, ``[T, N, L, D] -> [T, N, L, D]``.

    Args:
        embed_dim: channels D.
        hidden: neurons of the first layer.
    """

    def __init__(self, embed_dim: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((embed_dim, hidden), (hidden, embed_dim)):
            layers += [
                nn.Linear(inputs, outputs, bias=False),
                nn.ThresholdDependentBatchNorm1d(outputs, alpha=2.0),
                nn.LIFNode(detach_reset=True),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: grilly.Tensor) -> grilly.Tensor:
        steps, n, tokens, channels = x.shape
        return self.layers(x.reshape(steps, n * tokens, channels)).reshape(x.shape)


class Block(nn.Module):
    """Attention between tokens, then a perceptron on each; what comes in is added to what comes out.

    Args:
        embed_dim: channels D.
        num_heads: heads, a divisor of D.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.attention = nn.SpikingSelfAttention(embed_dim, num_heads)
        self.mlp = SpikingMLP(embed_dim, 2 * embed_dim)

    def forward(self, x: grilly.Tensor) -> grilly.Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)


class Spikformer(nn.Module):
    """Images ``[N, 1, 8, 8]`` to scores of the classes ``[N, classes]``.

    Args:
        embed_dim: channels D.
        num_heads: heads, a divisor of D.
        blocks: how many blocks.
        steps: time steps T.
        classes: number of classes.
    """

    def __init__(
        self, embed_dim: int = 64, num_heads: int = 4, blocks: int = 1, steps: int = 4, classes: int = 10
    ) -> None:
        super().__init__()
        self.steps = steps
        self.embedding = PatchEmbedding(embed_dim)
        self.blocks = nn.Sequential(*(Block(embed_dim, num_heads) for _ in range(blocks)))
        self.head = nn.Linear(embed_dim, classes)
        F.set_step_mode(self, "m")

    def forward(self, x: grilly.Tensor) -> grilly.Tensor:
        sequence = x.expand_dims(0).broadcast_to((self.steps, *x.shape))
        return self.head(self.blocks(self.embedding(sequence)).mean((0, 2)))


@dataclass
class Result:
    """The trained network, and after each epoch the share of test images that it named rightly."""

    net: Spikformer
    accuracy: list[float]


def accuracy(net: Spikformer, x: np.ndarray, y: np.ndarray) -> float:
    """Share of images named rightly."""
    net.eval()
    with grilly.no_grad():
        F.reset_net(net)
        scores = net(x).numpy()
        F.reset_net(net)
    net.train()
    return float((scores.argmax(axis=1) == y).mean())


def train(
    epochs: int = 4,
    embed_dim: int = 64,
    num_heads: int = 4,
    steps: int = 4,
    batch: int = 64,
    lr: float = 4e-3,
    images: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Result:
    """Train on four fifths of the digits, test on the rest.

    Args:
        epochs: passes over the training images.
        embed_dim: channels of a token.
        num_heads: heads, a divisor of embed_dim.
        steps: time steps for which an image is shown.
        batch: images in a batch.
        lr: learning rate at first; it falls to 0 along half a cosine.
        images: use so many training images only.
        seed: of initial weights and order.
        say: gets a line after each epoch.
    """
    grilly.seed(seed)
    data = load("digits", seed=seed)
    net = Spikformer(embed_dim, num_heads, steps=steps, classes=data.classes)
    loader = DataLoader((data.x_train[:images], data.y_train[:images]), batch, seed=seed, drop_last=True)
    optimiser = optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    schedule = optim.CosineAnnealingLR(optimiser, max(1, epochs * len(loader)))
    result, start = Result(net, []), time.perf_counter()
    for epoch in range(epochs):
        losses = []
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            F.reset_net(net)
            losses.append(loss.item())
        result.accuracy.append(accuracy(net, data.x_test, data.y_test))
        say(
            f"epoch {epoch + 1:2d}  loss {np.mean(losses):.3f}  test accuracy {100 * result.accuracy[-1]:.1f} %  "
            f"{time.perf_counter() - start:.0f} s"
        )
    return result


def main() -> None:
    """Train and say how well."""
    parser = argparse.ArgumentParser(description="Train a small Spikformer on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--embed-dim", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="time steps for which an image is shown")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(
        options.epochs,
        options.embed_dim,
        options.heads,
        options.steps,
        lr=options.lr,
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
