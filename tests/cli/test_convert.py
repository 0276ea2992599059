"""``grilly train --ann`` and ``grilly convert`` as a user runs them, and what they say when something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grilly.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder with ``toy.npz``: 60 vectors of five features in two classes."""
    monkeypatch.chdir(tmp_path)
    y = np.arange(60) % 2
    x = np.random.default_rng(0).random((60, 5), dtype=np.float32) + y[:, None].astype(np.float32)
    np.savez("toy.npz", x=x, y=y)


def run(*args: str) -> int:
    return main([args[0], "--backend", "numpy", *args[1:]])


def train(*args: str) -> int:
    return run("train", "--data", "toy.npz", "--epochs", "6", "--batch-size", "8", *args)


@pytest.fixture
def trained(in_folder: None, capsys: Capture) -> None:
    assert train("--ann") == 0
    out = capsys.readouterr().out
    assert "mlp of ReLUs, " in out and "no time steps" in out and "  active " in out and "firing" not in out


def refused(code: int, capsys: Capture) -> str:
    """The one line on stderr of a command that must have failed with exit code 2."""
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.startswith("grilly: ") and said.count("\n") == 1, said
    return said


def test_convert_prints_the_report_and_accuracies(trained: None, capsys: Capture) -> None:
    assert run("convert", "runs/toy", "--data", "toy.npz") == 0
    report, _, table = capsys.readouterr().out.partition("\n\n")
    lines = report.splitlines()
    assert lines[0] == "Sequential: ReLUs of 2 layers made spiking, lambda by robust_norm from 48 samples"
    assert lines[1].split() == ["layer", "was", "became", "lambda", "threshold"]
    assert [line.split()[1] for line in lines[2:]] == [
        *("Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"),
    ]  # fmt: skip
    first, head, *rows = table.splitlines()
    assert first.startswith("ANN accuracy ") and first.endswith(" on 12 test samples of toy")
    assert head.split() == ["T", "SNN", "accuracy", "points"]
    assert [row.split()[0] for row in rows] == ["1", "2", "4", "8", "16", "32", "64"]
    ann = float(first.split()[2].rstrip("%"))
    for row in rows:
        _, right, points = row.split()
        assert float(right.rstrip("%")) - ann == pytest.approx(float(points), abs=0.011)
    assert abs(float(rows[-1].split()[2])) < 10, "one of twelve at most"


def test_options_of_convert(trained: None, capsys: Capture) -> None:
    args = [
        "--data",
        "toy.npz",
        "--mode",
        "0.8",
        "--steps",
        "12",
        "--batch-size",
        "5",
        "--out",
        "snn.safetensors",
    ]
    assert run("convert", "runs/toy/model.safetensors", *args) == 0
    out = capsys.readouterr().out
    assert "lambda by 0.8 from" in out
    rows = out.splitlines()[-6:]
    assert [row.split()[0] for row in rows[:-1]] == ["1", "2", "4", "8", "12"]
    assert rows[-1] == "the spiking network, for T = 12, is in snn.safetensors"
    data = np.load("toy.npz")
    np.savez("test.npz", x=data["x"], y=data["y"])
    assert run("predict", "snn.safetensors", "test.npz") == 0
    shown = capsys.readouterr()
    assert len(shown.out.split()) == 60 and "of 60 samples of test.npz are right" in shown.err
    assert "spikes already; train one of ReLUs" in refused(
        run("convert", "snn.safetensors", "--data", "toy.npz"), capsys
    )


def test_what_train_ann_refuses(capsys: Capture) -> None:
    said = refused(train("--ann", "--encoder", "poisson", "--neuron", "if"), capsys)
    assert "ann trains a network of ReLUs, which has no neuron, encoder; leave that out" in said
    assert not Path("runs").exists()


def test_what_convert_refuses(trained: None, capsys: Capture) -> None:
    def said(*args: str) -> str:
        return refused(run("convert", *args), capsys)

    assert "runs/toy: Converter: mode must be 'max_norm'" in said(
        "runs/toy", "--data", "toy.npz", "--mode", "most"
    )
    assert "steps must be an integer of at least 1, got 0" in said(
        "runs/toy", "--data", "toy.npz", "--steps", "0"
    )
    assert "digits has samples of shape (1, 8, 8) in 10 classes, but the model runs/toy takes (5,)" in said(
        "runs/toy"
    )
    assert "no such file or folder: 'toys.npz'; did you mean 'toy.npz'?" in said(
        "runs/toy", "--data", "toys.npz"
    )
    assert "no such file: nowhere" in said("nowhere")
    assert "the following arguments are required: MODEL" in said()
    np.savez("zeros.npz", x=np.zeros((20, 5)) + 1e-9, y=np.arange(20) % 2)
    assert train("--out", "snn", "--quiet") == 0
    assert "snn: this is a network of lif neurons, which spikes already" in said("snn", "--data", "toy.npz")


def test_a_file_whose_conversion_is_damaged(trained: None, capsys: Capture) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    assert run("convert", "runs/toy", "--data", "toy.npz", "--steps", "2", "--out", "snn.safetensors") == 0
    capsys.readouterr()
    with safe_open("snn.safetensors", "np") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    for conversion in (
        '{"3": [1.0, 1.0]}',
        "[]",
        '{"3": [1.0, 1.0, -1.0], "6": [1.0, 1.0, 1.0]}',
        '{"3": [1.0, 1.0, 1.0]}',
    ):
        save_file(arrays, "bad.safetensors", {**metadata, "conversion": conversion})
        assert "bad.safetensors does not fit the network it describes" in refused(
            run("predict", "bad.safetensors", "toy.npz"), capsys
        )
