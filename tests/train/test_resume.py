"""A run that is stopped and resumed ends as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly.data import load
from grilly.io import load_arrays, save_arrays
from grilly.training import TrainingInterrupted, TrainOptions, load_checkpoint, resume, train
from grilly.training.interrupt import Interrupt
from grilly.training.trainer import Trainer
from grilly_core.errors import CheckpointError

Options = Callable[..., TrainOptions]
TIMES = ("train_seconds", "samples_per_second")


def stop_at(monkeypatch: pytest.MonkeyPatch, call: int, *, inside: bool = False) -> None:
    """Raise ``KeyboardInterrupt`` at batch ``call`` of a run, between batches or in the middle of one."""
    step, calls = Trainer._step, []

    def stopping(self: Trainer, x: Any, y: Any) -> None:
        calls.append(1)
        step(self, x, y)
        if inside and len(calls) == call:
            raise KeyboardInterrupt

    due = "grilly.training.progress.Progress.due"

    def looking(self: object) -> bool:
        if not inside and len(calls) == call:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(Trainer, "_step", stopping)
    monkeypatch.setattr(due, looking)


def same_ending(first: Path, second: Path, metrics: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    arrays = [load_arrays(folder / "checkpoint.safetensors")[0] for folder in (first, second)]
    assert arrays[0].keys() == arrays[1].keys() and any(name.startswith("optimizer.") for name in arrays[0])
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name])
    assert [{k: v for k, v in m.items() if k not in TIMES} for m in metrics] == [
        {k: v for k, v in metrics[0].items() if k not in TIMES}
    ] * 2


@pytest.mark.parametrize("call", [2, 4, 7], ids=["mid-epoch", "end of an epoch", "second epoch"])
@pytest.mark.parametrize("encoder", ["direct", "poisson"])
def test_stopped_between_batches(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, encoder: str
) -> None:
    asked = options(encoder=encoder, neuron="plif")
    whole = train(asked, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, call)
        with pytest.raises(TrainingInterrupted, match=r"go on with: grilly train --resume .*stopped"):
            train(asked, tmp_path / "stopped")
    saved = load_checkpoint(tmp_path / "stopped")[1]
    assert (saved.epoch, saved.batch) == divmod(call, 4) if call % 4 else (saved.epoch, saved.batch) == (0, 4)
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    same_ending(tmp_path / "whole", tmp_path / "stopped", (whole, resume(tmp_path / "stopped")))


def test_stopped_twice_and_moved(options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(options(), tmp_path / "whole")
    for call, go in ((3, lambda: train(options(), tmp_path / "a")), (4, lambda: resume(tmp_path / "a"))):
        with monkeypatch.context() as patch:
            stop_at(patch, call)
            with pytest.raises(TrainingInterrupted):
                go()
    moved = resume(tmp_path / "a" / "checkpoint.safetensors", out=tmp_path / "b")
    same_ending(tmp_path / "whole", tmp_path / "b", (whole, moved))


def test_stopped_inside_a_batch_keeps_what_was_saved(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(options(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 6, inside=True)
        with pytest.raises(TrainingInterrupted, match="in the middle of a batch"):
            train(options(), tmp_path / "stopped")
    saved = load_checkpoint(tmp_path / "stopped")[1]
    assert (saved.epoch, saved.batch) == (1, 0)
    same_ending(tmp_path / "whole", tmp_path / "stopped", (whole, resume(tmp_path / "stopped")))


def test_stopped_inside_the_first_batches_has_nothing_to_save(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2, inside=True)
    with pytest.raises(TrainingInterrupted, match="before anything was saved"):
        train(options(), tmp_path / "stopped")
    assert list((tmp_path / "stopped").iterdir()) == []


def test_a_finished_run_can_be_resumed(options: Options, tmp_path: Path) -> None:
    metrics = train(options(), tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()  # as if stopped before the last files were written
    assert resume(tmp_path / "run") == metrics
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT as a terminal leaves it: who runs the tests in the background may have it ignored, which children inherit."""
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, outside)


@pytest.mark.usefixtures("ctrl_c")
def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    outside = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is outside


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_a_real_process(options: Options, tmp_path: Path, images: str) -> None:
    asked = options(epochs=40)
    command = [
        sys.executable,
        "-m",
        "grilly",
        "train",
        "--data",
        images,
        "--backend",
        "numpy",
        "--epochs",
        "40",
    ]
    command += ["--batch-size", "9", "--steps", "3", "--out", str(tmp_path / "stopped")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    while not (line := process.stdout.readline()).startswith("epoch  3/40"):
        assert line, process.stderr.read()
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("grilly: stopped after ") and "Traceback" not in errors
    assert f"go on with: grilly train --resume {tmp_path / 'stopped'}" in errors
    assert "test accuracy" not in output
    whole = train(asked, tmp_path / "whole")
    same_ending(tmp_path / "whole", tmp_path / "stopped", (whole, resume(tmp_path / "stopped")))


def test_contradicting_options_are_named(options: Options, tmp_path: Path) -> None:
    train(options(epochs=1), tmp_path / "run")
    given = {"epochs": 9, "lr": 0.5, "batch_size": 9, "backend": "numpy"}
    with pytest.raises(
        CheckpointError, match=r"other options: epochs is 1, not 9; lr is 0\.002, not 0\.5; leave"
    ):
        resume(tmp_path / "run", given)
    resume(tmp_path / "run", {"epochs": 1, "surrogate": "atan"})


def test_changed_data_are_noticed(options: Options, images: str, tmp_path: Path) -> None:
    train(options(epochs=1), tmp_path / "run")
    data = dict(np.load(images))
    data["x"][0, 0, 0] ^= 1
    np.savez(images, **data)
    with pytest.raises(CheckpointError, match="have changed since"):
        resume(tmp_path / "run")


def test_an_old_unfinished_run_is_announced(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 6)
        with pytest.raises(TrainingInterrupted):
            train(options(), tmp_path / "run")
    train(options(epochs=1), tmp_path / "run", quiet=False)
    assert "holds an unfinished run (1 of 3 epochs done)" in capsys.readouterr().out


def _without(name: str) -> Callable[[dict[str, Any], dict[str, str]], None]:
    def change(arrays: dict[str, Any], metadata: dict[str, str]) -> None:
        del arrays[name]

    return change


def _text(old: str, new: str) -> Callable[[dict[str, Any], dict[str, str]], None]:
    def change(arrays: dict[str, Any], metadata: dict[str, str]) -> None:
        assert old in metadata["training"]
        metadata["training"] = metadata["training"].replace(old, new)

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (_without("sums"), "cannot read .*sums"),
        (_without("network.layers.0.weight"), "missing .*layers.0.weight"),
        (_text('"epoch": 1', '"epoch": "1"'), "epoch of the wrong kind"),
        (_text('"neuron": "lif"', '"neuron": "hh"'), "unknown name 'hh'"),
        (_text('"channels"', '"kanaele"'), "does not know"),
        (_text("{", "["), "damaged"),
    ],
)
def test_checkpoints_that_cannot_be_used(
    options: Options, tmp_path: Path, change: Callable[..., None], message: str
) -> None:
    train(options(epochs=1), tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    arrays, metadata = load_arrays(path)
    change(arrays, metadata)
    save_arrays(path, arrays, {k: v for k, v in metadata.items() if k not in ("format", "version")})
    with pytest.raises(CheckpointError, match=message):
        resume(path)


def test_data_of_the_split_belong_to_the_seed(images: str) -> None:
    assert not np.array_equal(load(images, 0).x_test, load(images, 1).x_test)
