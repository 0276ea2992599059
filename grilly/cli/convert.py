"""``grilly convert``: a spiking network from a network of ReLUs, and how right it is after so many steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grilly._checks import whole_number
from grilly._table import columns
from grilly.cli._parser import Parser
from grilly.data import Dataset, load
from grilly_core import selection
from grilly_core.errors import ArgumentError, DataError

__all__ = ["main"]

_DESCRIPTION = """Make a spiking network of a network of ReLUs that grilly train --ann trained. Prints what became of each
layer, the accuracy of the ReLUs, and that of the spikes after 1, 2, 4, ... steps, on the test samples."""
_CALIBRATION = 2048  # training samples: more change a maximum or percentile little


def main(args: Sequence[str]) -> int:
    """Run ``grilly convert`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly convert``.
    """
    options = _parser().parse_args(args)
    from grilly.training import accuracy_over_time, convert_classifier, evaluate, load_model
    from grilly.training.checkpoint import save_model

    steps = whole_number(options.steps, "steps", 1)
    size = whole_number(options.batch_size, "batch-size", 1)
    with selection.using(options.backend or selection.current_backend()):
        network, notes = load_model(options.model)
        seed = int(notes.get("seed", 0))
        try:
            data = load(options.data, seed)
            _check(data, network.description.input_shape, network.description.classes, options.model)
            x = data.x_train[_spread(len(data.x_train))]
            snn = convert_classifier(network, x, _mode(options.mode), steps)
        except ArgumentError as error:
            raise ArgumentError(f"{options.model}: {error}") from error
        print(f"{snn.layers.report()}\n")
        ann = evaluate(network, *data.test, batch_size=size).accuracy
        found = accuracy_over_time(snn, *data.test, _times(steps), batch_size=size)
        if options.out is not None:
            more = {"data": data.name, "seed": seed, "test_accuracy": found[steps], "mode": options.mode}
            save_model(Path(options.out).expanduser(), snn, more)
    print(f"ANN accuracy {ann:.2%} on {len(data.x_test):,} test samples of {data.name}")
    rows = [(str(t), f"{right:.2%}", f"{100 * (right - ann):+.2f}") for t, right in found.items()]
    print(columns([("T", "SNN accuracy", "points"), *rows]))
    if options.out is not None:
        print(f"the spiking network, for T = {steps}, is in {options.out}")
    return 0


def _parser() -> Parser:
    from grilly.training.evaluation import EVALUATION_BATCH

    parser = Parser(prog="grilly convert", description=_DESCRIPTION)
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.safetensors, or the folder of a run of grilly train --ann")
    add(
        "--data",
        metavar="SOURCE",
        default="digits",
        help="what the network was trained on: digits, FILE.npz or a folder of MNIST files (%(default)s); training "
        "samples calibrate, test samples are classified",
    )
    add(
        "--mode",
        default="robust_norm",  # one outlier does not make all neurons slow
        help="which activation a spike a step stands for: robust_norm (99.9th percentile), max_norm, another percentile "
        "such as 99.5%%, or a number times the maximum (%(default)s)",
    )
    add("--steps", metavar="T", type=int, default=64, help="the largest number of steps (%(default)s)")
    add("--out", metavar="FILE", help="write the spiking network there, as a model file for grilly predict")
    add("--backend", metavar="NAME[:DEVICE]", help="where to run (GRILLY_BACKEND, else automatic)")
    add("--batch-size", metavar="N", type=int, default=EVALUATION_BATCH, help="samples at once (%(default)s)")
    return parser


def _mode(given: str) -> str | float:
    try:
        return float(given)
    except ValueError:
        return given


def _check(data: Dataset, wanted: tuple[int, ...], classes: int, model: str) -> None:
    if data.sample_shape != wanted or data.classes > classes:
        raise DataError(
            f"{data.name} has samples of shape {data.sample_shape} in {data.classes} classes, but the model {model} takes "
            f"{wanted} and knows {classes}; give the data it was trained on with --data"
        )


def _spread(count: int) -> np.ndarray:
    """Indices of the samples that calibrate, spread evenly."""
    return np.linspace(0, count - 1, min(count, _CALIBRATION)).astype(np.int64)


def _times(steps: int) -> list[int]:
    """1, 2, 4, ... and ``steps`` itself."""
    powers = [1 << i for i in range(steps.bit_length()) if 1 << i < steps]
    return [*powers, steps]
