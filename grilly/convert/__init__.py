"""From networks of ReLUs to spiking ones.

Example:
    >>> import numpy as np
    >>> from grilly import nn
    >>> ann = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> ann[0].weight.assign(np.ones((3, 2)))
    >>> snn = nn.Converter()(ann, np.ones((1, 2)))
    >>> [type(layer).__name__ for layer in snn]
    ['Linear', 'Sequential']
"""

from grilly.convert.converter import Converter
from grilly.convert.layers import RateMaxPool1d, RateMaxPool2d, Scale, spiking_relu, spiking_relus
from grilly.convert.report import Report, Row
from grilly.convert.voltage import VoltageScaler

__all__ = [
    "Converter", "RateMaxPool1d", "RateMaxPool2d", "Report", "Row", "Scale", "VoltageScaler", "spiking_relu",
    "spiking_relus",
]  # fmt: skip
