"""Every Python block of the documents runs, top to bottom, in one namespace per document; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(
    document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for number, code in enumerate(blocks(document, "python"), 1):
        exec(compile(code, f"{document.name}, block {number}", "exec"), namespace)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_two_commands_are_there() -> None:
    section = (ROOT / "README.md").read_text().split("## Two commands", 1)[1].split("\n## ", 1)[0]
    install_and_train, install_and_test = re.findall(r"```bash\n(.*?)```", section, re.S)
    assert "grilly train" in install_and_train
    assert "pytest" in install_and_test


def test_layers_named_in_the_readme_exist() -> None:
    from grilly import nn

    table = (ROOT / "README.md").read_text().split("## What there is", 1)[1].split("\n## ", 1)[0]
    rows = [
        row
        for row in table.splitlines()
        if row.startswith(("| neurons", "| surrogates", "| layers", "| norms", "| contain"))
    ]
    assert len(rows) == 5
    for row in rows:
        for name in re.findall(r"`(\w+?)(?:1d/2d)?`", row):
            assert hasattr(nn, name) or (hasattr(nn, name + "1d") and hasattr(nn, name + "2d")), name
