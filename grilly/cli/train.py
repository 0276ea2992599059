"""``grilly train``: train a spiking network and write its files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields

from grilly.cli._parser import Parser

__all__ = ["main"]

_DESCRIPTION = """Train a spiking network. Writes model.safetensors, metrics.json, curves.png, raster.png and
checkpoint.safetensors. Ctrl-C stops after the batch under way and leaves a checkpoint; a run that is resumed ends with
the same weights as one that was never stopped."""


def main(args: Sequence[str]) -> int:
    """Run ``grilly train`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly train``.
    """
    given = vars(_parser().parse_args(args))
    from grilly.training import TrainOptions, resume, train

    out, source, quiet = given.pop("out"), given.pop("resume"), given.pop("quiet")
    if source is None:
        train(TrainOptions(**given), out, quiet=quiet)
    else:
        resume(source, given, out, quiet=quiet)
    return 0


def _parser() -> Parser:
    from grilly.training import TrainOptions
    from grilly.training.choices import SURROGATES

    # Only what the user gives is set, so that --resume can tell it from a default.
    parser = Parser(prog="grilly train", description=_DESCRIPTION, argument_default=argparse.SUPPRESS)
    default = {field.name: field.default for field in fields(TrainOptions)}
    add = parser.add_argument
    add(
        "--data",
        metavar="SOURCE",
        help="digits (bundled), FILE.npz with x and y, or a folder of MNIST files (digits)",
    )
    add("--backend", metavar="NAME[:DEVICE]", help="where to run (GRILLY_BACKEND, else automatic)")
    add("--model", metavar="NAME", help="mlp or csnn, convolutional (csnn for images)")
    add("--neuron", metavar="NAME", help=f"if, lif or plif ({default['neuron']})")
    add("--surrogate", metavar="NAME", help=f"{', '.join(SURROGATES)} ({default['surrogate']})")
    add("--encoder", metavar="NAME", help=f"direct, poisson or latency ({default['encoder']})")
    add("--steps", metavar="T", type=int, help="time steps (4 direct, 16 poisson, 8 latency)")
    add("--ann", action="store_true", help="ReLUs in place of neurons and no time, for grilly convert")
    add("--epochs", metavar="N", type=int, help=f"passes over the data ({default['epochs']})")
    add("--batch-size", metavar="N", type=int, help=f"samples in a batch ({default['batch_size']})")
    add("--lr", metavar="RATE", type=float, help=f"learning rate at the start ({default['lr']})")
    add("--seed", metavar="N", type=int, help=f"same seed, same result ({default['seed']})")
    add("--out", metavar="FOLDER", default=None, help="where the files go (runs/ and the name of the data)")
    add("--resume", metavar="RUN", default=None, help="go on with the run in this folder or checkpoint file")
    add("--quiet", action="store_true", default=False, help="print nothing but errors")
    return parser
