"""What the documents say is so: their Python blocks run, their links lead somewhere, what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import grilly.functional as F
from grilly import monitor, nn, optim, viz
from grilly.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("backends/*/README.md"),
    ]
)


def blocks(document: Path, language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)


EXAMPLE = blocks(ROOT / "README.md", "python")[0]
FILES = ROOT / "docs" / "write-a-backend.md"  # its blocks are files: test_write_a_backend.py


@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if one != FILES], ids=lambda path: str(path.relative_to(ROOT))
)
def test_python_blocks_run(
    document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for number, code in enumerate(blocks(document, "python"), 1):
        if code == EXAMPLE:  # run by a test of its own
            continue
        exec(compile(code, f"{document.name}, block {number}", "exec"), namespace)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_two_commands_are_there() -> None:
    section = README.split("## Two commands", 1)[1].split("\n## ", 1)[0]
    install_and_train, install_and_test = re.findall(r"```bash\n(.*?)```", section, re.S)
    assert "grilly train" in install_and_train
    assert "pytest" in install_and_test


def named(section: str) -> set[str]:
    """Public names in the table of the README, ``X1d/2d`` spelt out and without the module in front."""
    table = README.split("## What there is", 1)[1].split("\n## ", 1)[0]
    rows = [row for row in table.splitlines() if row.startswith(f"| {section}")]
    assert len(rows) == 1, section
    found: set[str] = set()
    for name, twice in re.findall(r"`(?:\w+\.)?(\w+?)(1d/2d)?`", rows[0]):
        found |= {f"{name}1d", f"{name}2d"} if twice else {name}
    return found


def test_the_table_names_what_there_is() -> None:
    kinds: dict[str, set[str]] = {"surrogates": set(), "neurons": set(), "losses": set(), "modules": set()}
    for name, item in ((name, getattr(nn, name)) for name in nn.__all__):
        if not isinstance(item, type) or item in (nn.Module, nn.BaseNode, nn.Surrogate):
            continue
        if issubclass(item, nn.Surrogate):
            kinds["surrogates"].add(name)
        elif issubclass(item, nn.BaseNode):
            kinds["neurons"].add(name)
        elif issubclass(item, nn.Module):
            kinds["losses" if name.endswith("Loss") else "modules"].add(name)
    assert named("surrogates") == kinds["surrogates"]
    neurons = named("neurons") - {"neuron"}  # a function; some of the others are no nodes
    assert neurons >= kinds["neurons"] and callable(nn.neuron)
    functions = {
        name for name in F.__all__ if re.search(r"_loss$|_encode$|cross_entropy$|^first_spike", name)
    }
    assert named("losses") | named("encoders") >= functions
    assert named("losses") - functions == kinds["losses"]
    plastic = named("plasticity") - {"STDPLearner", "stdp_update", "hebbian_update"}
    assert plastic <= kinds["modules"] and {"stdp_update", "hebbian_update"} <= set(F.__all__)
    modules = plastic | named("layers") | named("norms") | named("containers") | named("encoders") - functions
    modules |= named("attention") | named("synapses") - set(F.__all__) | neurons - kinds["neurons"]
    assert modules | named("activations") - {"sigmoid", "Sigmoid"} == kinds["modules"]


def test_functions_and_optimisers_named_in_the_table_exist() -> None:
    assert named("training") - {"DataLoader"} <= set(optim.__all__)
    assert named("over time") <= set(F.__all__)
    assert named("looking inside") | {"Monitor"} == {*monitor.__all__, *viz.__all__}
    assert {"cross_entropy", "mse_loss", "sigmoid"} <= set(F.__all__)


def test_the_example_trains(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(EXAMPLE.splitlines()) <= 28
    exec(compile(EXAMPLE, "README.md", "exec"), {})
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3 and losses[2] < losses[0] / 2 < 1.2


def test_commands_named_in_the_documents_exist(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    commands = set(re.findall(r"(?:`|&& )grilly ([a-z]+)", text))
    assert {"train", "predict", "doctor", "devices", "bench", "conformance"} <= commands
    for command in sorted(commands):
        assert main([command, "--help"]) == 0, command
        assert f"grilly {command}" in capsys.readouterr().out


def test_options_of_train_named_in_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    section = README.split("## Two commands", 1)[1].split("\n## ", 1)[0]
    options = set(re.findall(r"`(--[a-z-]+)", section)) | set(
        re.findall(r"grilly train (--[a-z-]+)", section)
    ) - {"--help"}
    assert {"--data", "--resume", "--backend"} <= options
    main(["train", "--help"])
    shown = capsys.readouterr().out
    assert not [option for option in options if option not in shown]


@pytest.mark.parametrize("command", ["devices", "doctor"])
def test_cheap_commands_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 0
    assert "numpy" in capsys.readouterr().out
