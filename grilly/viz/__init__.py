"""Plots of spikes, potentials and feature maps on a Matplotlib axis, without a display.

Every function takes arrays or Tensors and an axis; without one it makes a figure of its own, which is reached as
``axis.figure``. Matplotlib is imported on first use (``pip install "grilly[train]"``).

Example:
    >>> import numpy as np
    >>> from grilly import viz
    >>> axis = viz.raster(np.eye(5))
    >>> axis.figure.savefig("raster.png")  # doctest: +SKIP
"""

from grilly.viz.maps import feature_maps
from grilly.viz.spikes import raster, spike_count
from grilly.viz.values import traces

__all__ = ["feature_maps", "raster", "spike_count", "traces"]
