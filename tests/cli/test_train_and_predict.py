"""``grilly train`` and ``grilly predict`` as a user runs them, and what they say when something is wrong."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grilly
from grilly import nn
from grilly.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with ``toy.npz``: 40 vectors of five features in two classes."""
    monkeypatch.chdir(tmp_path)
    y = np.arange(40) % 2
    x = np.random.default_rng(0).random((40, 5), dtype=np.float32) + 0.7 * y[:, None].astype(np.float32)
    np.savez("toy.npz", x=x, y=y)
    return tmp_path


def train(*args: str) -> int:
    short = ["--backend", "numpy", "--epochs", "2", "--batch-size", "8", "--steps", "2"]
    return main(["train", *short, *args])


@pytest.fixture
def trained(in_folder: Path, capsys: Capture) -> Path:
    assert train("--data", "toy.npz", "--epochs", "12") == 0
    capsys.readouterr()
    return in_folder / "runs" / "toy"


def error_of(code: int, capsys: Capture) -> str:
    """The one line on stderr of a command that must have failed with exit code 2."""
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("grilly: ") and said.count("\n") == 1, said
    return said


# --- train ---


def test_train_says_what_it_does(capsys: Capture) -> None:
    assert train("--data", "toy.npz") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: 32 samples to train on, 8 for the test, shape (5,), 2 classes"
    assert lines[1].startswith("mlp of lif neurons, ") and "2 steps, direct encoding, on numpy (" in lines[1]
    assert [line.split("  loss")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert all("test" in line and "firing" in line and "samples/s" in line for line in lines[2:4])
    assert lines[4].startswith("test accuracy ") and lines[4].endswith("are in runs/toy") and len(lines) == 5


def test_quiet_and_out(capsys: Capture) -> None:
    assert (
        train("--data", "toy.npz", "--out", "there/deeper", "--quiet", "--neuron", "PLIF", "--lr", "0.01")
        == 0
    )
    assert capsys.readouterr() == ("", "")
    metrics = json.loads(Path("there/deeper/metrics.json").read_text())
    assert (metrics["network"]["neuron"], metrics["lr"], metrics["data"]) == ("plif", 0.01, "toy")


def test_idx_folder(in_folder: Path, capsys: Capture) -> None:
    generator = np.random.default_rng(1)
    (in_folder / "shapes").mkdir()
    for part, count in (("train", 24), ("t10k", 6)):
        images = generator.integers(0, 255, (count, 7, 5), np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(count, dtype=np.uint8) % 3)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            with gzip.open(in_folder / "shapes" / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(header + array.tobytes())
    assert train("--data", "shapes") == 0
    metrics = json.loads(Path("runs/shapes/metrics.json").read_text())
    assert metrics["network"]["model"] == "csnn" and metrics["network"]["input_shape"] == [1, 7, 5]
    capsys.readouterr()
    assert main(["predict", "--backend", "numpy", "runs/shapes", "shapes"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.split()) == 6 and f"accuracy {metrics['test_accuracy']:.2%}: " in shown.err
    assert main(["predict", "--backend", "numpy", "runs/shapes", "shapes/t10k-images-idx3-ubyte.gz"]) == 0
    assert capsys.readouterr() == (shown.out, "")


def test_the_default_is_digits(capsys: Capture) -> None:
    assert main(["train", "--backend", "numpy", "--epochs", "1", "--steps", "1", "--model", "mlp"]) == 0
    assert "digits: 1,438 samples to train on, 359 for the test" in capsys.readouterr().out
    accuracy = json.loads(Path("runs/digits/metrics.json").read_text())["test_accuracy"]
    assert main(["predict", "--backend", "numpy", "runs/digits", "digits"]) == 0
    assert f"accuracy {accuracy:.2%}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, message",
    [
        (["--data", "toy.npy"], "no such file or folder: 'toy.npy'; did you mean 'toy.npz'?"),
        (["--neuron", "liff"], "unknown neuron 'liff'; did you mean 'lif'? There are if, lif, plif"),
        (["--surrogate", "actan"], "unknown surrogate 'actan'; did you mean 'ATan'?"),
        (["--model", "cnn"], "unknown model 'cnn'; did you mean 'csnn'?"),
        (["--encoder", "rate"], "unknown encoder 'rate'; there are direct, poisson, latency"),
        (["--steps", "0"], "steps must be an integer of at least 1, got 0"),
        (["--epochs", "0"], "epochs must be an integer of at least 1, got 0"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'; see grilly train --help"),
        (["--batch-size", "-4"], "batch_size must be an integer of at least 1, got -4"),
        (["--lr", "0"], "lr must be a number above 0 (0.001 to 0.01 is usual), got 0.0"),
        (["--lr", "nan"], "lr must be a number above 0"),
        (["--seed", "-1"], "seed must be an integer from 0"),
        (["--epoch", "3"], "unknown argument --epoch; did you mean --epochs? see grilly train --help"),
        (["more"], "unknown argument more; see grilly train --help"),
        (["--data", "toy.npz", "--model", "csnn"], "model csnn needs images"),
        (
            ["--data", "toy.npz", "--backend", "nunpy"],
            "no backend 'nunpy' is installed; did you mean 'numpy'?",
        ),
        (
            ["--data", "toy.npz", "--out", "toy.npz"],
            "cannot write toy.npz: File exists; a part of the path is a file",
        ),
        (["--resume", "."], ". has no checkpoint.safetensors; give a folder that grilly train wrote"),
        (["--resume", "nowhere"], "no such file: nowhere; check the path"),
        (["--resume", "toy.npz"], "toy.npz is not a safetensors file: it looks like a zip file"),
    ],
)
def test_what_train_refuses(args: list[str], message: str, in_folder: Path, capsys: Capture) -> None:
    assert message in error_of(train(*args), capsys)
    assert [path.name for path in in_folder.iterdir()] == ["toy.npz"], "nothing is left behind"


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"x": np.float32([[1, np.nan]] * 4), "y": [0, 1, 0, 1]},
            "x in bad.npz holds NaN or infinity, first in sample 0",
        ),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "x in bad.npz is empty"),
        (
            {"x": np.zeros((4, 3)), "y": [0, -1, 0, 1]},
            "y in bad.npz has the label -1 at sample 1, out of range",
        ),
        ({"x": np.zeros((4, 3)), "y": [0, 9, 0, 1]}, "y in bad.npz has the label 9, out of range"),
        ({"x": np.zeros((4, 3))}, "bad.npz has no array 'y'"),
    ],
)
def test_data_that_cannot_be_used(arrays: dict[str, np.ndarray], message: str, capsys: Capture) -> None:
    np.savez("bad.npz", **arrays)
    assert message in error_of(train("--data", "bad.npz"), capsys)


def test_a_loss_that_is_not_finite(capsys: Capture) -> None:
    said = error_of(train("--data", "toy.npz", "--lr", "1e38", "--quiet"), capsys)
    assert (
        "NaN or infinite" in said and "epoch 1, batch " in said and "smaller learning rate than 1e+38" in said
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody may write")
def test_an_unwritable_folder_is_found_before_training(capsys: Capture) -> None:
    said = error_of(train("--data", "toy.npz", "--out", "/proc/self/run"), capsys)
    assert "cannot write /proc/self/run" in said


def test_resume_contradicted(trained: Path, capsys: Capture) -> None:
    said = error_of(main(["train", "--resume", str(trained), "--epochs", "3", "--neuron", "if"]), capsys)
    assert "neuron is lif, not if; epochs is 12, not 3; leave these options out" in said
    assert main(["train", "--resume", str(trained), "--epochs", "12", "--data", "toy.npz"]) == 0
    assert "going on after epoch 12, the last one" in capsys.readouterr().out


def test_a_truncated_checkpoint(trained: Path, capsys: Capture) -> None:
    path = trained / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "is truncated: " in error_of(main(["train", "--resume", str(trained)]), capsys)


# --- predict ---


def test_predict_prints_classes_and_accuracy(trained: Path, capsys: Capture) -> None:
    assert main(["predict", "--backend", "numpy", str(trained / "model.safetensors"), "toy.npz"]) == 0
    shown = capsys.readouterr()
    classes = np.array(shown.out.split(), int)
    right = int((classes == np.load("toy.npz")["y"]).sum())
    assert right >= 32, "two classes far apart"
    assert shown.err == f"accuracy {right / 40:.2%}: {right} of 40 samples of toy.npz are right\n"


def test_predict_writes_a_table(trained: Path, capsys: Capture) -> None:
    data = np.load("toy.npz")
    np.savez("x.npz", x=data["x"])
    np.save("x.npy", data["x"])
    for source, out in (("toy.npz", "a.csv"), ("x.npz", "b.csv"), ("x.npy", "c.csv")):
        args = ["predict", "--backend", "numpy", "--batch-size", "7", str(trained), source, "--out", out]
        assert main(args) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("accuracy") == 1, "only one of the files has labels"
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["sample"]) for row in rows] == list(range(40))
    assert [int(row["label"]) for row in rows] == data["y"].tolist()
    for name in ("b.csv", "c.csv"):
        lines = Path(name).read_text().splitlines()
        assert lines == ["sample,predicted"] + [f"{row['sample']},{row['predicted']}" for row in rows]


def test_what_predict_refuses(trained: Path, capsys: Capture) -> None:
    def refused(*args: str) -> str:
        return error_of(main(["predict", "--backend", "numpy", *args]), capsys)

    run = str(trained)
    np.savez("wide.npz", x=np.zeros((3, 6)))
    assert "wide.npz has samples of shape (6,), but the model" in refused(run, "wide.npz")
    assert "takes (5,)" in refused(run, "digits")
    np.savez("labels.npz", x=np.zeros((2, 5)), y=[0, 2])
    assert "has the label 2 at sample 1, out of range 0 to 1" in refused(run, "labels.npz")
    np.savez("few.npz", x=np.zeros((2, 5)), y=[0])
    assert "x in few.npz has 2 samples but y has 1 labels" in refused(run, "few.npz")
    np.savez("nan.npz", x=np.full((2, 5), np.nan))
    assert "holds NaN or infinity" in refused(run, "nan.npz")
    assert "no such file: absent.npz" in refused(run, "absent.npz")
    assert "batch-size must be an integer of at least 1" in refused(run, "toy.npz", "--batch-size", "0")
    assert "cannot write a/b.csv" in refused(run, "toy.npz", "--out", "a/b.csv")
    assert "the following arguments are required: INPUT" in refused(run)


def test_files_that_are_no_models(trained: Path, capsys: Capture) -> None:
    def refused(model: str) -> str:
        return error_of(main(["predict", "--backend", "numpy", model, "toy.npz"]), capsys)

    assert "no such file: absent" in refused("absent")
    assert ". has no model.safetensors" in refused(".")
    assert "looks like a zip file" in refused("toy.npz")
    assert "holds the checkpoint of a run; give the model.safetensors" in refused(
        str(trained / "checkpoint.safetensors")
    )
    with grilly.backend("numpy"):
        grilly.save(nn.Linear(2, 2), "layer.safetensors")
    assert "holds weights without a network's description" in refused("layer.safetensors")
    model = trained / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-9])
    assert "is truncated" in refused(str(model))


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
def test_a_reader_that_goes_away_is_no_error(trained: Path) -> None:
    np.save("many.npy", np.zeros((60_000, 5), np.float32))
    command = [sys.executable, "-m", "grilly", "predict", "--backend", "numpy", str(trained), "many.npy"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() in ("0\n", "1\n")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert errors == ""
