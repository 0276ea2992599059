"""A run from data to files: what ``grilly train`` does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grilly_core
from grilly import random
from grilly._extras import import_extra
from grilly.data import Dataset, load
from grilly.io import ensure_folder, write_json_atomic
from grilly.training.checkpoint import (
    CHECKPOINT,
    MODEL,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    save_model,
)
from grilly.training.interrupt import Interrupt, TrainingInterrupted
from grilly.training.network import build, describe
from grilly.training.options import TrainOptions
from grilly.training.plots import plot_curves, plot_raster
from grilly.training.trainer import Trainer
from grilly_core import selection
from grilly_core.errors import CheckpointError

__all__ = ["resume", "train"]

StrPath = str | os.PathLike[str]


def train(options: TrainOptions, out: StrPath | None = None, *, quiet: bool = True) -> dict[str, Any]:
    """Train a network and write ``model.safetensors``, ``metrics.json``, pictures and a checkpoint.

    A network of ReLUs has the same metrics, its firing rates being the shares of ReLUs above 0, and no raster.

    Args:
        options: what to do.
        out: folder for the files; None: ``runs/`` and the name of the data.
        quiet: print nothing.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        DataError, OutputError, ConfigError, ArgumentError: before any training.
        DivergenceError: the loss is NaN or infinite; files written before stay.
        TrainingInterrupted: Ctrl-C; the message says how to go on.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     metrics = train(TrainOptions(model="mlp", epochs=1, backend="numpy"), folder)
        ...     print(metrics["epochs"], sorted(os.listdir(folder)))
        1 ['checkpoint.safetensors', 'curves.png', 'metrics.json', 'model.safetensors', 'raster.png']
    """
    data = load(options.data, options.seed)
    describe(options, data)  # what does not fit is said before a backend opens or a folder is made
    with selection.using(options.backend or selection.current_backend()):
        return _run(options, data, Path("runs", data.name or "data") if out is None else out, None, quiet)


def resume(
    source: StrPath,
    given: Mapping[str, Any] | None = None,
    out: StrPath | None = None,
    *,
    quiet: bool = True,
) -> dict[str, Any]:
    """Go on with a run; it ends with the weights it would have had without the stop.

    Args:
        source: the run's folder or its checkpoint file.
        given: options, which must be those of the run, except ``backend``.
        out: folder for the files; None: that of the checkpoint.
        quiet: print nothing.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        CheckpointError: no checkpoint, a damaged one, other options, or other data than it was started with.
    """
    file, checkpoint = load_checkpoint(source)
    options = checkpoint.options
    given = given or {}
    if differing := options.contradictions(given):
        raise CheckpointError(
            f"{file} belongs to a run with other options: {'; '.join(differing)}; leave these options out to go on, "
            "or start a new run without --resume"
        )
    data = load(options.data, options.seed)
    if _fingerprint(data) != checkpoint.data:
        raise CheckpointError(
            f"the data of {options.data} have changed since {file} was written; bring the old ones back, or start "
            "a new run without --resume"
        )
    with selection.using(given.get("backend") or options.backend or selection.current_backend()):
        return _run(options, data, file.parent if out is None else out, checkpoint, quiet)


def _run(
    options: TrainOptions, data: Dataset, out: StrPath, checkpoint: Checkpoint | None, quiet: bool
) -> dict[str, Any]:
    for module in ("safetensors.numpy", "matplotlib.figure", "tqdm"):
        import_extra(module, "training")  # not found missing when the training is done
    folder = ensure_folder(os.path.expanduser(out))
    random.seed(options.seed)
    network = build(describe(options, data) if checkpoint is None else checkpoint.network)
    network.fit_scaling(data.x_train)
    trainer = Trainer(options, network, data, quiet)
    if checkpoint is not None:
        trainer.restore(checkpoint)
    _introduce(trainer, folder, checkpoint)
    _train(trainer, folder)
    return _finish(trainer, folder)


def _introduce(trainer: Trainer, folder: Path, checkpoint: Checkpoint | None) -> None:
    """Say what is about to run, and what it is going to replace."""
    backend, network, say = selection.current_backend(), trainer.network, trainer.progress.say
    data = trainer.data
    say(
        f"{data.name}: {len(data.x_train):,} samples to train on, {len(data.x_test):,} for the test, "
        f"shape {data.sample_shape}, {data.classes} classes"
    )
    parameters = sum(parameter.size for parameter in network.parameters())
    described = network.description
    time = f"{described.steps} steps, {described.encoder} encoding" if network.spiking else "no time steps"
    units = f"{described.neuron} neurons" if network.spiking else "ReLUs"
    say(
        f"{described.model} of {units}, {parameters:,} parameters, {time}, on {backend.name} ({backend.device})"
    )
    if checkpoint is not None:
        say(f"going on after {_place(trainer)}")
    elif (old := _unfinished(folder)) is not None:
        say(
            f"note: {folder} holds an unfinished run ({old}), which this one replaces after its first epoch; to go "
            f"on with it instead: grilly train --resume {folder}"
        )


def _unfinished(folder: Path) -> str | None:
    if not (folder / CHECKPOINT).is_file():
        return None
    try:
        old = load_checkpoint(folder)[1]
    except CheckpointError:
        return None
    return f"{old.epoch} of {old.options.epochs} epochs done" if old.epoch < old.options.epochs else None


def _train(trainer: Trainer, folder: Path) -> None:
    fingerprint = _fingerprint(trainer.data)

    def save() -> None:
        save_checkpoint(folder / CHECKPOINT, trainer.capture(fingerprint))

    with Interrupt() as interrupt:
        try:
            trainer.run(interrupt.check, save)
        except KeyboardInterrupt:
            if trainer.whole:
                save()
                saved = f"stopped after {_place(trainer)}"
            elif (folder / CHECKPOINT).is_file():
                saved = "stopped in the middle of a batch; what was saved before is whole"
            else:
                raise TrainingInterrupted("stopped before anything was saved") from None
            raise TrainingInterrupted(f"{saved}; go on with: grilly train --resume {folder}") from None


def _place(trainer: Trainer) -> str:
    if trainer.epoch == trainer.options.epochs:
        return f"epoch {trainer.epoch}, the last one"
    if trainer.batch == 0:
        return f"epoch {trainer.epoch} of {trainer.options.epochs}"
    return f"batch {trainer.batch} of {len(trainer.loader)} in epoch {trainer.epoch + 1} of {trainer.options.epochs}"


def _finish(trainer: Trainer, folder: Path) -> dict[str, Any]:
    """Write model, pictures and, last, metrics."""
    backend, options, network = selection.current_backend(), trainer.options, trainer.network
    last = trainer.history[-1]
    metrics = {
        "backend": backend.name,
        "device": backend.device,
        "data": trainer.data.name,
        "test_accuracy": last["test_accuracy"],
        "test_loss": last["test_loss"],
        "train_seconds": round(trainer.seconds, 3),
        "samples_per_second": round(trainer.samples_per_second, 1),
        "epochs": options.epochs,
        "seed": options.seed,
        "firing_rates": last["firing_rates"],
        "version": grilly_core.__version__,
        "batch_size": options.batch_size,
        "lr": options.lr,
        "parameters": sum(parameter.size for parameter in network.parameters()),
        "network": network.description.to_json(),
        "history": trainer.history,
    }
    notes = {"data": trainer.data.name, "seed": options.seed, "test_accuracy": last["test_accuracy"]}
    save_model(folder / MODEL, network, notes)
    plot_curves(folder / "curves.png", trainer.history, network.spiking)
    if network.spiking:
        plot_raster(folder / "raster.png", network, trainer.data)
    write_json_atomic(folder / "metrics.json", metrics)
    trainer.progress.say(
        f"test accuracy {last['test_accuracy']:.2%} after {trainer.seconds:.1f} s of training; "
        f"model, metrics and pictures are in {folder}"
    )
    return metrics


def _fingerprint(data: Dataset) -> str:
    """Hash of all samples and labels."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (*data.train, *data.test):
        digest.update(str((array.shape, array.dtype.name)).encode())
        digest.update(array.data.cast("B") if array.flags.c_contiguous else array.tobytes())
    return digest.hexdigest()
