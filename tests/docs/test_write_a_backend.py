"""The guide for authors of backends, followed to the letter: its files are written, its commands give what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fake_plugins import Site

from grilly_core.op import registry

GUIDE = (Path(__file__).parents[2] / "docs" / "write-a-backend.md").read_text()
FILES = re.findall(r"^(?:More of )?`([\w./]+)`:\n\n```\w+\n(.*?)^```", GUIDE, re.M | re.S)
KERNELS = "grilly_foo/kernels.py"


class Author:
    """Someone in an empty folder who does what the guide says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site(folder / "site")
        for name, text in FILES:
            if name != KERNELS:
                self.write(name, text)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        ((name, module),) = project["entry-points"]["grilly.backends"].items()
        self.site.install(project["name"], None, version=project["version"], name=name, module=module)

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text((file.read_text() + "\n\n" if file.exists() else "") + text)

    def kernels(self, parts: int) -> None:
        """Write as many blocks of the kernels' file as the guide has up to some place."""
        for text in [text for name, text in FILES if name == KERNELS][:parts]:
            self.write(KERNELS, text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "GRILLY_"))
        }
        return subprocess.run(
            [sys.executable, "-m", "grilly", *arguments],
            cwd=self.folder,
            env={
                **kept,
                "PYTHONPATH": f"{self.site.folder}{os.pathsep}{self.folder}",
                "PYTEST_ADDOPTS": "--hypothesis-seed=0 -W error",
            },
            capture_output=True,
            text=True,
            timeout=1500,
        )


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_the_guide_has_its_files() -> None:
    assert list(dict.fromkeys(name for name, _ in FILES)) == [
        "pyproject.toml", "grilly_foo/__init__.py", "grilly_foo/backend.py", KERNELS,
    ]  # fmt: skip
    assert [name for name, _ in FILES].count(KERNELS) == 3
    primitives = sum(op.is_primitive for op in registry().values())
    assert f"(there are {primitives};" in GUIDE and f"{primitives} native, …" in GUIDE


def test_half_of_the_primitives_are_not_enough(author: Author) -> None:
    author.kernels(1)
    done = author.run("conformance", "foo")
    said = re.search(r"^(grilly: .*?), …$", GUIDE, re.M)
    assert said is not None and done.returncode == 2
    assert said[1] in done.stderr


def test_all_primitives_open_it(author: Author) -> None:
    author.kernels(2)
    done = author.run("conformance", "foo", "-k", "test_contract or (test_value and (pad or scatter_add))")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^34 native, \d+ composite, 0 unsupported$", done.stdout, re.M)


@pytest.mark.slow
def test_it_conforms(author: Author) -> None:
    author.kernels(3)
    done = author.run("conformance", "foo")
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    assert re.search(r"^if_multi_step +native", done.stdout, re.M)


def test_a_device_it_does_not_have(author: Author) -> None:
    author.kernels(2)
    done = author.run("conformance", "foo:1")
    assert done.returncode == 2 and "backend foo has one device, '0', not '1'" in done.stderr


def test_it_trains(author: Author) -> None:
    pytest.importorskip("sklearn")
    author.kernels(3)
    done = author.run("train", "--backend", "foo", "--epochs", "1", "--quiet", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert (author.folder / "run" / "metrics.json").exists()
