"""``grilly predict``: classes of samples, from a model that ``grilly train`` wrote."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grilly._checks import whole_number
from grilly.cli._parser import Parser
from grilly.data import load, load_idx, load_inputs
from grilly.data.checks import FloatArray, IntArray, as_labels
from grilly.data.npz import load_labels
from grilly.io import write_bytes_atomic
from grilly_core import selection
from grilly_core.errors import DataError

__all__ = ["main"]

_DESCRIPTION = "Print the class of each sample, one a line, or write them to a file; with labels, say how many are right."


def main(args: Sequence[str]) -> int:
    """Run ``grilly predict`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly predict``.
    """
    options = _parser().parse_args(args)
    from grilly.training import load_model, predict

    size = whole_number(options.batch_size, "batch-size", 1)
    with selection.using(options.backend or selection.current_backend()):
        network, notes = load_model(options.model)
        wanted, temporal = network.description.input_shape, network.description.temporal
        x, y, name = _read(options.input, temporal, int(notes.get("seed", 0)))
        if x.shape[1:] != wanted:
            raise DataError(
                f"{name} has samples of shape {x.shape[1:]}, but the model {options.model} takes {wanted}; "
                "give data like those it was trained on"
            )
        if y is not None:
            y = as_labels(y, f"y of {name}", classes=network.description.classes)
        classes = predict(network, x, batch_size=size)
    _write(options.out, classes, y)
    if y is not None:
        right = int((classes == y).sum())
        print(
            f"accuracy {right / len(y):.2%}: {right} of {len(y)} samples of {name} are right", file=sys.stderr
        )
    return 0


def _parser() -> Parser:
    from grilly.training.evaluation import EVALUATION_BATCH

    parser = Parser(prog="grilly predict", description=_DESCRIPTION)
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.safetensors, or the folder of a run")
    add(
        "input",
        metavar="INPUT",
        help="FILE.npz (x, perhaps y), FILE.npy, an IDX file of images, a folder of MNIST files (its test images), "
        "or digits (the samples set aside for the test when the model was trained)",
    )
    add("--out", metavar="FILE.csv", help="write sample, predicted class and label there instead of printing")
    add("--backend", metavar="NAME[:DEVICE]", help="where to run (GRILLY_BACKEND, else automatic)")
    add("--batch-size", metavar="N", type=int, default=EVALUATION_BATCH, help="samples at once (%(default)s)")
    return parser


def _read(source: str, temporal: bool, seed: int) -> tuple[FloatArray, IntArray | None, str]:
    """Samples, labels where there are any, and what to call them."""
    if source == "digits":
        digits = load("digits", seed)
        return *digits.test, "digits (test part)"
    path = Path(source).expanduser()
    if path.is_dir():
        folder = load_idx(path)
        return *folder.test, f"{path} (test part)"
    x = load_inputs(path, temporal=temporal)
    return x, load_labels(path, len(x)), str(path)


def _write(out: str | None, classes: IntArray, y: IntArray | None) -> None:
    if out is None:
        print("\n".join(map(str, classes.tolist())))
        return
    columns: dict[str, Any] = {"sample": np.arange(len(classes)), "predicted": classes}
    if y is not None:
        columns["label"] = y
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_bytes_atomic(Path(out).expanduser(), text.getvalue().encode())
