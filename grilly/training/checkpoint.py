"""Model files and checkpoints: safetensors with a description in their metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grilly.io import load_arrays, save_arrays
from grilly.training.converted import conversion_of, restore_conversion
from grilly.training.network import Classifier, NetworkDescription, build
from grilly.training.options import TrainOptions
from grilly_core.errors import ArgumentError, CheckpointError, DivergenceError

__all__ = [
    "CHECKPOINT", "MODEL", "Checkpoint", "find", "load_checkpoint", "load_model", "save_checkpoint", "save_model",
]  # fmt: skip

MODEL, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"

Arrays = dict[str, np.ndarray]


def find(path: str | os.PathLike[str], name: str) -> Path:
    """The file itself, or the file ``name`` in a run folder.

    Raises:
        CheckpointError: a folder without it.
    """
    given = Path(path).expanduser()
    if not given.is_dir():
        return given
    if not (given / name).exists():
        raise CheckpointError(
            f"{given} has no {name}; give a folder that grilly train wrote, or the file itself"
        )
    return given / name


def save_model(path: Path, network: Classifier, notes: Mapping[str, Any]) -> None:
    """Write a trained network with its description.

    Args:
        path: the file.
        network: the network.
        notes: more plain values to store, such as the seed.
    """
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    metadata = {
        "kind": "model",
        "network": json.dumps(network.description.to_json()),
        **conversion_of(network),
    }
    save_arrays(path, arrays, {**metadata, "notes": json.dumps(dict(notes))})


def load_model(path: str | os.PathLike[str]) -> tuple[Classifier, dict[str, Any]]:
    """A network from the file that ``grilly train`` or ``grilly convert`` wrote, on the active backend, and its notes.

    Args:
        path: the model file or its run folder.

    Raises:
        CheckpointError: missing, damaged, or not a model of ``grilly train``.
    """
    file = find(path, MODEL)
    arrays, metadata = _load(file, "model", f"give the {MODEL} of a finished run")
    description = NetworkDescription.from_json(_json(metadata, "network", file), os.fspath(file))
    notes = _json(metadata, "notes", file)
    network = build(description)
    if "conversion" in metadata:
        try:
            network = restore_conversion(network, _json(metadata, "conversion", file))
        except ArgumentError as error:
            raise CheckpointError(
                f"{file} does not fit the network it describes: {error}; use another file"
            ) from error
    _fill(network, arrays, file)
    return network, notes if isinstance(notes, dict) else {}


@dataclass
class Checkpoint:
    """Everything that a run needs to go on exactly.

    Attributes:
        options: what the run was started with.
        network: its description.
        data: fingerprint of the data set.
        epoch: epochs done.
        batch: batches done of the next one.
        random: seed and number of the next draw.
        history: figures of the epochs done.
        seconds: spent on training batches.
        samples: trained on in that time.
        optimizer: settings and step count.
        totals: samples and batches in the sums of the epoch under way.
        weights, slots, sums: arrays of the network, the optimiser, and the epoch under way.
    """

    options: TrainOptions
    network: NetworkDescription
    data: str
    epoch: int
    batch: int
    random: tuple[int, int]
    history: list[dict[str, Any]]
    seconds: float
    samples: int
    optimizer: dict[str, Any]
    totals: tuple[int, int]
    weights: Arrays
    slots: Arrays
    sums: np.ndarray


_PLAIN: dict[str, Any] = {
    "data": str,
    "epoch": int,
    "batch": int,
    "random": list,
    "history": list,
    "seconds": float,
    "samples": int,
    "optimizer": dict,
    "totals": list,
}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an old one is replaced only when the new one is whole.

    Raises:
        DivergenceError: a weight is NaN or infinite; nothing is written.
    """
    arrays = {f"network.{name}": array for name, array in checkpoint.weights.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            place = (
                f"epoch {checkpoint.epoch + 1}, batch {checkpoint.batch}"
                if checkpoint.batch
                else (f"the last batch of epoch {checkpoint.epoch}")
            )
            raise DivergenceError(
                f"{name} became NaN or infinite by {place}, so {path} was left as it was; use a smaller learning rate "
                f"than {checkpoint.options.lr:g}, and look for huge values in the data"
            )
    arrays |= {f"optimizer.{name}": array for name, array in checkpoint.slots.items()}
    arrays["sums"] = checkpoint.sums
    state = {name: getattr(checkpoint, name) for name in _PLAIN}
    state |= {"options": checkpoint.options.to_json(), "network": checkpoint.network.to_json()}
    save_arrays(path, arrays, {"kind": "checkpoint", "training": json.dumps(state)})


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Path, Checkpoint]:
    """The checkpoint of a run, and its file.

    Args:
        path: the checkpoint file or its run folder.

    Raises:
        CheckpointError: missing, damaged, or not a checkpoint of ``grilly train``.
    """
    file = find(path, CHECKPOINT)
    arrays, metadata = _load(file, "checkpoint", f"give the {CHECKPOINT} in the same folder")
    state = _json(metadata, "training", file)
    try:
        network = NetworkDescription.from_json(state["network"], os.fspath(file))
        options = TrainOptions.from_json(state["options"])
        plain: dict[str, Any] = {name: state[name] for name in _PLAIN}
        if wrong := [name for name, kind in _PLAIN.items() if not isinstance(plain[name], kind)]:
            raise TypeError(f"{', '.join(wrong)} of the wrong kind")
        plain["weights"], plain["slots"] = _below(arrays, "network."), _below(arrays, "optimizer.")
        plain["sums"] = arrays["sums"]
    except (KeyError, TypeError, ArgumentError) as error:
        raise CheckpointError(
            f"{file} is a checkpoint this version cannot read ({error}); use the grilly that wrote it"
        ) from error
    return file, Checkpoint(options=options, network=network, **plain)


def _load(file: Path, kind: str, cure: str) -> tuple[Arrays, dict[str, str]]:
    arrays, metadata = load_arrays(file, require_grilly=True)
    if metadata.get("kind") != kind:
        found = {"model": "a trained model", "checkpoint": "the checkpoint of a run"}.get(
            metadata.get("kind", ""), "weights without a network's description"
        )
        raise CheckpointError(f"{file} is not a {kind}: it holds {found}; {cure}")
    return arrays, metadata


def _json(metadata: Mapping[str, str], key: str, file: Path) -> Any:
    try:
        return json.loads(metadata[key])
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"the metadata {key!r} of {file} is missing or damaged; use another file"
        ) from error


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _fill(network: Classifier, arrays: Arrays, file: Path) -> None:
    try:
        network.load_state_dict(arrays)
    except CheckpointError as error:
        raise CheckpointError(
            f"{file} does not fit the network it describes: {error}; use another file"
        ) from error
