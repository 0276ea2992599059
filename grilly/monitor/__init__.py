"""Monitors: what chosen layers of a network put out, take in, hold and get as gradient, recorded while it runs.

Example:
    >>> import numpy as np
    >>> from grilly import functional as F, monitor, nn
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.LIFNode())
    >>> with monitor.OutputMonitor(net, nn.LIFNode) as spikes:
    ...     _ = F.multi_step_forward(net, np.ones((8, 4, 3)))
    >>> spikes.layers, spikes.sequence("1").shape
    (('1',), (8, 4, 2))
"""

from grilly.monitor.base import Monitor
from grilly.monitor.kinds import AttributeMonitor, GradOutputMonitor, InputMonitor, OutputMonitor

__all__ = ["AttributeMonitor", "GradOutputMonitor", "InputMonitor", "Monitor", "OutputMonitor"]
