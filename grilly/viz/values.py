"""Values over time: potentials, currents, traces."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import finite_number, whole_number
from grilly.viz.axes import GREY, axis_or_new, chosen, names_of, over_time
from grilly_core.errors import ShapeError

__all__ = ["traces"]


def traces(
    values: Any,
    ax: Any = None,
    *,
    spikes: Any = None,
    threshold: float | None = None,
    labels: Any = None,
    max_neurons: int = 8,
) -> Any:
    """A line per neuron: a value, such as the membrane potential, over time.

    Args:
        values: ``[T, ...]``; all axes after the first are neurons. Of a batch pass one sample, ``v_seq[:, 0]``.
        ax: a Matplotlib axis; None: of a new figure.
        spikes: of the shape of ``values``: ticks above the lines, in their colours, a row per neuron, the first on top.
        threshold: where to draw a dashed line.
        labels: names of the neurons; None: their numbers.
        max_neurons: of more neurons, this many evenly spread ones are drawn.

    Returns:
        The axis.

    Raises:
        ArgumentError: another number of labels than neurons.
        ShapeError: no steps or no neurons, or spikes of another shape.
        DTypeError: not numbers.

    Example:
        >>> from grilly import viz
        >>> axis = viz.traces([[0.5, 0.1], [0.75, 0.2]], threshold=1.0)
        >>> [line.get_label() for line in axis.get_lines()]
        ['0', '1', 'threshold']
    """
    lines = over_time(values, "traces")
    steps, neurons = lines.shape
    fired = None if spikes is None else over_time(spikes, "traces")
    if fired is not None and fired.shape != lines.shape:
        raise ShapeError(f"traces: values {np.shape(values)} and spikes {np.shape(spikes)} differ in shape")
    names = names_of(range(neurons) if labels is None else labels, neurons, "traces")
    rows = chosen(neurons, whole_number(max_neurons, "traces: max_neurons", 1))
    ax = axis_or_new(ax, (6.4, 3.2))
    colours = [
        ax.plot(np.arange(steps), lines[:, row], linewidth=1.3, label=names[row])[0].get_color()
        for row in rows
    ]
    if threshold is not None:
        level = finite_number(threshold, "traces: threshold")
        ax.axhline(level, color=GREY, linestyle="--", linewidth=1.0, label="threshold")
    if fired is not None:
        _ticks_above(ax, fired[:, rows], colours)
    ax.set_xlim(-0.5, steps - 0.5)
    ax.set_xlabel("time step")
    ax.set_ylabel("value")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    if len(rows) > 1 or labels is not None:
        title = None if labels is not None else "neuron"
        ax.legend(title=title, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _ticks_above(ax: Any, fired: np.ndarray, colours: list[str]) -> None:
    """A row of ticks for each neuron above all lines, the first on top."""
    low, high = ax.get_ylim()
    row = 0.06 * (high - low)
    for place, colour in enumerate(reversed(colours)):
        at = np.nonzero(fired[:, -1 - place])[0]
        ax.plot(at, np.full(len(at), high + (place + 0.5) * row), "|", color=colour)
    ax.set_ylim(low, high + len(colours) * row)
