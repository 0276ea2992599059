"""Spikes: when, and how many."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.viz.axes import RED, axis_or_new, chosen, names_of, over_time

__all__ = ["raster", "spike_count"]


def raster(spikes: Any, ax: Any = None, *, max_neurons: int = 64) -> Any:
    """A tick at every spike: time from left to right, a row per neuron, neuron 0 at the bottom.

    Args:
        spikes: ``[T, ...]``, zero where there is no spike; all axes after the first are neurons. Negative spikes are
            drawn red. Of a batch ``[T, N, ...]`` pass one sample, ``spikes[:, 0]``.
        ax: a Matplotlib axis; None: of a new figure.
        max_neurons: of more neurons, this many evenly spread ones are drawn.

    Returns:
        The axis.

    Raises:
        ShapeError: no steps or no neurons.
        DTypeError: not numbers.

    Example:
        >>> from grilly import viz
        >>> viz.raster([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).get_xlabel()
        'time step'
    """
    trains = over_time(spikes, "raster")
    steps, neurons = trains.shape
    rows = chosen(neurons, whole_number(max_neurons, "raster: max_neurons", 1))
    ax = axis_or_new(ax, (6.4, 3.2))
    width = float(np.clip(300 / steps, 0.5, 3.0))
    for sign, colour in ((1, "black"), (-1, RED)):
        time, row = np.nonzero(sign * trains[:, rows] > 0)
        ax.vlines(time, row - 0.4, row + 0.4, color=colour, linewidth=width)
    ax.set_xlim(-0.5, steps - 0.5)
    ax.set_ylim(-0.5, len(rows) - 0.5)
    ax.set_xlabel("time step")
    ax.set_ylabel("neuron" if len(rows) == neurons else f"{len(rows)} of {neurons} neurons")
    at = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 5)).round().astype(int))
    ax.set_yticks(at, [str(rows[i]) for i in at])
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def spike_count(spikes: Any, ax: Any = None, *, labels: Any = None) -> Any:
    """A bar per neuron: how many spikes it gave in all steps. The highest bars are red.

    Args:
        spikes: ``[T, ...]``; all axes after the first are neurons. Of a batch pass one sample, ``spikes[:, 0]``.
        ax: a Matplotlib axis; None: of a new figure.
        labels: names of the neurons, such as the classes; None: their numbers.

    Returns:
        The axis.

    Raises:
        ArgumentError: another number of labels than neurons.
        ShapeError: no steps or no neurons.
        DTypeError: not numbers.

    Example:
        >>> from grilly import viz
        >>> axis = viz.spike_count([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]], labels=["cat", "dog"])
        >>> [int(bar.get_height()) for bar in axis.patches]
        [3, 1]
    """
    trains = over_time(spikes, "spike_count")
    counts = trains.sum(0)
    names = None if labels is None else names_of(labels, len(counts), "spike_count")
    ax = axis_or_new(ax, (6.4, 3.2))
    best = (counts == counts.max()) & (counts > 0)
    ax.bar(np.arange(len(counts)), counts, width=0.8, color=np.where(best, RED, "black").tolist())
    if names is None:
        ax.xaxis.get_major_locator().set_params(integer=True)
    else:
        ax.set_xticks(np.arange(len(counts)), names)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_xlim(-0.6, len(counts) - 0.4)
    ax.set_ylim(min(0.0, 1.05 * counts.min()), max(1.0, 1.05 * counts.max()))
    ax.set_xlabel("neuron" if names is None else "")
    ax.set_ylabel(f"spikes in {len(trains)} steps")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
