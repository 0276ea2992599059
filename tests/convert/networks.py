"""Networks to convert, and what their rates are."""

from __future__ import annotations

from typing import Any

import numpy as np

import grilly
import grilly.functional as F
from grilly import nn

__all__ = ["ConvNet", "Residual", "outputs", "rates", "samples", "settle"]


def samples(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform in [0, 1], float32."""
    return np.random.default_rng([seed, *shape]).random(shape, dtype=np.float32)


def settle(net: Any, x: np.ndarray, seed: int = 1) -> Any:
    """Give batch norms running statistics and parameters that differ by channel; evaluation mode."""
    generator = np.random.default_rng(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            channels = module.num_features
            module.weight.assign(generator.uniform(0.5, 1.5, channels))
            module.bias.assign(generator.uniform(-0.3, 0.6, channels))
    net.train()
    for _ in range(20):
        net(x)
    return net.eval()


def outputs(net: Any, x: Any) -> np.ndarray:
    """Of one forward pass in evaluation mode."""
    with grilly.no_grad():
        return np.asarray(net(x))


def rates(snn: Any, x: Any, steps: int, mode: str = "s") -> np.ndarray:
    """Mean output over ``steps`` steps of the same input."""
    F.reset_net(snn)
    F.set_step_mode(snn, mode)
    with grilly.no_grad():
        out = F.multi_step_forward(snn, x, T=steps, repeat=True).mean(0).numpy()
    F.reset_net(snn)
    return out


class Residual(nn.Module):
    """A block whose input is added to what its layers make of it."""

    def __init__(self, features: int) -> None:
        super().__init__()
        # Registered in another order than they run.
        self.relu_out = nn.ReLU()
        self.norm = nn.BatchNorm1d(features)
        self.second = nn.Linear(features, features)
        self.relu = nn.ReLU()
        self.first = nn.Linear(features, features, bias=False)

    def forward(self, x: Any) -> Any:
        return self.relu_out(self.second(self.relu(self.norm(self.first(x)))) + x)


class ConvNet(nn.Module):
    """Convolution, both kinds of pooling, a residual block and nested modules, with a forward of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 3)
        self.block = Residual(16)
        self.stem = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Any) -> Any:
        return self.head(self.block(self.pool(self.stem(x)).flatten(1)))
