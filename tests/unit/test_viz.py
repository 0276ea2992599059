"""Plots: what is drawn where, without a display; and the pictures are not blank."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import grilly
from grilly import viz
from grilly.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
SPIKES = (RNG.random((20, 5)) < 0.3).astype(np.float32)


def pixels(ax: Any) -> np.ndarray:
    """The picture of the axis's figure, ``[H, W, 3]``."""
    png = io.BytesIO()
    ax.figure.savefig(png, format="png", dpi=60)
    png.seek(0)
    return np.asarray(imread(png)[..., :3])


def dark(ax: Any) -> float:
    return float((pixels(ax).min(-1) < 0.6).mean())


def ticks(ax: Any, number: int) -> set[tuple[int, int]]:
    """Step and row of each tick of a raster."""
    segments = ax.collections[number].get_segments()
    assert all(np.ptp(segment[:, 0]) == 0 for segment in segments)
    return {(int(segment[0, 0]), int(segment[:, 1].mean().round())) for segment in segments}


@pytest.fixture
def ax() -> Any:
    return Figure().add_subplot()


def test_raster_has_a_tick_per_spike(ax: Any) -> None:
    assert viz.raster(grilly.tensor(SPIKES), ax) is ax
    assert ticks(ax, 0) == set(zip(*map(list, np.nonzero(SPIKES)), strict=True))
    assert ax.get_xlim() == (-0.5, 19.5) and ax.get_ylim() == (-0.5, 4.5) and ax.get_ylabel() == "neuron"
    assert dark(ax) > dark(viz.raster(np.zeros_like(SPIKES)))


def test_raster_of_negative_spikes_and_of_many_neurons(ax: Any) -> None:
    spikes = RNG.integers(-1, 2, (8, 10, 10))
    viz.raster(spikes, ax, max_neurons=12)
    rows = np.linspace(0, 99, 12).round().astype(int)
    flat = spikes.reshape(8, 100)[:, rows]
    for number, sign in enumerate((1, -1)):
        assert ticks(ax, number) == set(zip(*map(list, np.nonzero(flat == sign)), strict=True))
    assert (ax.collections[0].get_color() != ax.collections[1].get_color()).any()
    assert ax.get_ylabel() == "12 of 100 neurons"
    assert [tick.get_text() for tick in ax.get_yticklabels()][::4] == ["0", "99"]


def test_spike_count(ax: Any) -> None:
    viz.spike_count(SPIKES, ax, labels="abcde")
    counts = SPIKES.sum(0)
    assert [bar.get_height() for bar in ax.patches] == counts.tolist()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list("abcde")
    red = [bar.get_facecolor()[0] > 0.5 for bar in ax.patches]
    assert red == (counts == counts.max()).tolist() and ax.get_ylabel() == "spikes in 20 steps"
    silent = viz.spike_count(np.zeros((3, 4)))
    assert silent.get_ylim() == (0.0, 1.0) and dark(silent) > 0


def test_traces(ax: Any) -> None:
    values = np.cumsum(RNG.normal(size=(20, 5)), 0)
    viz.traces(values, ax, spikes=SPIKES, threshold=0.75)
    lines = {line.get_label(): line for line in ax.get_lines()}
    for i in range(5):
        np.testing.assert_array_equal(lines[str(i)].get_ydata(), values[:, i])
    assert list(lines["threshold"].get_ydata()) == [0.75, 0.75]
    marks = [line for line in ax.get_lines() if line.get_marker() == "|"]
    heights = [mark.get_ydata()[0] for mark in reversed(marks)]
    assert (
        heights[0] < ax.get_ylim()[1]
        and heights == sorted(heights, reverse=True)
        and heights[-1] > values.max()
    )
    for i, mark in enumerate(reversed(marks)):
        np.testing.assert_array_equal(mark.get_xdata(), np.nonzero(SPIKES[:, i])[0])
        assert mark.get_color() == lines[str(i)].get_color()
    assert len(marks) == 5 and {text.get_text() for text in ax.get_legend().get_texts()} == {
        *"01234",
        "threshold",
    }
    assert viz.traces(values[:, 0]).get_legend() is None
    some = viz.traces(values, max_neurons=2, labels="abcde")
    assert [line.get_label() for line in some.get_lines()] == ["a", "e"]


def test_feature_maps(ax: Any) -> None:
    maps = RNG.random((5, 3, 4))
    viz.feature_maps(grilly.tensor(maps), ax, columns=3)
    drawn = ax.images[0].get_array()
    assert drawn.shape == (7, 14)
    for i in range(5):
        top, left = i // 3 * 4, i % 3 * 5
        np.testing.assert_array_equal(drawn[top : top + 3, left : left + 4], maps[i])
    assert drawn.mask.sum() == drawn.size - maps.size
    over_time = viz.feature_maps(np.stack([maps, np.zeros_like(maps)]), columns=3).images[0].get_array()
    np.testing.assert_allclose(over_time, drawn / 2)
    assert viz.feature_maps(maps, max_maps=2).get_title() == "2 of 5 maps of 3 x 4"
    one = viz.feature_maps(maps[0] > 0.5).images[0].get_array()
    np.testing.assert_array_equal(one, maps[0] > 0.5)
    assert 0.05 < dark(viz.feature_maps(maps)) < 0.95


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: viz.raster(np.zeros((0, 4))), ShapeError, r"raster takes \[T, \.\.\.\] that is not empty, got \(0, 4\)"),
        (lambda: viz.raster([["a"]]), DTypeError, "raster draws numbers, got <U1"),
        (lambda: viz.raster(SPIKES, "ax"), ArgumentError, "ax must be a Matplotlib axis.*got str"),
        (lambda: viz.raster(SPIKES, max_neurons=0), ArgumentError, "raster: max_neurons"),
        (lambda: viz.spike_count(SPIKES, labels=["a"]), ArgumentError, "spike_count: labels must name 5 neurons, got 1"),
        (lambda: viz.traces(SPIKES, spikes=SPIKES[1:]), ShapeError, r"values \(20, 5\) and spikes \(19, 5\) differ"),
        (lambda: viz.traces(SPIKES, threshold=np.nan), ArgumentError, "traces: threshold"),
        (lambda: viz.feature_maps(np.zeros(4)), ShapeError, r"or \[T, C, H, W\] that is not empty, got \(4,\)"),
        (lambda: viz.feature_maps(np.zeros((2, 0, 4))), ShapeError, "not empty"),
        (lambda: viz.feature_maps(np.zeros((2, 2)), columns=0), ArgumentError, "feature_maps: columns"),
    ],
)  # fmt: skip
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_nothing_opens_a_window_and_matplotlib_waits() -> None:
    program = (
        "import sys\nfrom grilly import viz\nassert 'matplotlib' not in sys.modules\n"
        "viz.raster([[1.0]]).figure.savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\nprint('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "done"
