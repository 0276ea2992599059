"""Imports run one way, heavy ones wait, and core never reads a device behind the user's back."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "vulkan",
    "cupy",
    "matplotlib",
    "torch",
    "safetensors",
    "sklearn",
    "tqdm",
    "hypothesis",
    "pytest",
    "_pytest",
)
BACKENDS = {path.name: path for path in sorted((ROOT / "backends").glob("*/grilly_*")) if path.is_dir()}
PACKAGES = {"grilly": ROOT / "grilly", "grilly_core": ROOT / "grilly_core", **BACKENDS}
IMPORT_SECONDS = 0.3


class Imports(ast.NodeVisitor):
    """Every import in a module: what is imported, and whether importing the module runs it."""

    def __init__(self, package: str, file: Path, root: Path) -> None:
        self.package = ".".join([package, *file.relative_to(root).parent.parts])
        self.found: list[tuple[str, bool]] = []
        self.runs = True
        self.visit(ast.parse(file.read_text()))

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, self.runs) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            home = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
            base = ".".join([*home, *([base] if base else [])])
        self.found += [(f"{base}.{alias.name}", self.runs) for alias in node.names]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before, self.runs = self.runs, False
        self.generic_visit(node)
        self.runs = before

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_If(self, node: ast.If) -> None:
        checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        before, self.runs = self.runs, self.runs and not checking
        self.generic_visit(node)
        self.runs = before


def files(package: str) -> Iterator[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    yield from found


def imports(package: str) -> Iterator[tuple[str, str, bool]]:
    """File, what it imports, whether at once."""
    for file in files(package):
        for name, at_once in Imports(package, file, PACKAGES[package]).found:
            yield str(file.relative_to(ROOT)), name, at_once


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_parser_sees_what_it_should(tmp_path: Path) -> None:
    text = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n    import i\n"
    file = tmp_path / "sub" / "module.py"
    file.parent.mkdir()
    file.write_text(
        text + "if TYPE_CHECKING:\n    from j import k\ntry:\n    import m\nexcept ImportError: pass\n"
    )
    assert Imports("p", file, tmp_path).found == [
        ("a.b", True), ("c.d", True), ("p.sub.e", True), ("p.f.g", True), ("i", False), ("j.k", False), ("m", True),
    ]  # fmt: skip


def test_core_knows_no_backend_and_no_user_interface() -> None:
    assert [
        f"{file} imports {name}"
        for file, name, _ in imports("grilly_core")
        if top(name) == "grilly" or top(name) in BACKENDS
    ] == []


def test_core_needs_numpy_and_pluggy_only() -> None:
    allowed = {*sys.stdlib_module_names, "grilly_core", "numpy", "pluggy"}
    testing = "grilly_core/testing/"
    seen = list(imports("grilly_core"))
    assert [
        f"{file} imports {name}"
        for file, name, _ in seen
        if top(name) not in allowed | ({"hypothesis", "pytest"} if file.startswith(testing) else set())
    ] == []
    assert [
        file for file, name, _ in seen if name.startswith("grilly_core.testing") and testing not in file
    ] == []


@pytest.mark.parametrize("package", BACKENDS)
def test_backends_import_what_plugin_authors_may(package: str) -> None:
    others = {"grilly", *BACKENDS} - {package}
    seen = list(imports(package))
    assert [f"{file} imports {name}" for file, name, _ in seen if top(name) in others] == []
    assert [
        f"{file} imports {name}"
        for file, name, _ in seen
        if top(name) == "grilly_core" and not f"{name}.".startswith("grilly_core.extend.")
    ] == []


def test_users_side_reaches_backends_through_plugins() -> None:
    assert [f"{file} imports {name}" for file, name, _ in imports("grilly") if top(name) in BACKENDS] == []


def test_only_the_published_suite_imports_test_tools() -> None:
    for package in PACKAGES:
        for file, name, _ in imports(package):
            if top(name) in ("pytest", "hypothesis", "_pytest"):
                assert file.startswith("grilly_core/testing/"), f"{file} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_heavy_imports_wait(package: str) -> None:
    assert [
        f"{file} imports {name} at once"
        for file, name, at_once in imports(package)
        if at_once
        and top(name) in HEAVY
        and not file.startswith("grilly_core/testing/")
        and not file.endswith("_vk.py")
    ] == []


class Reads(ast.NodeVisitor):
    """Functions that call ``to_numpy``."""

    def __init__(self, file: Path) -> None:
        self.stack: list[str] = []
        self.found: set[str] = set()
        self.visit(ast.parse(file.read_text()))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.stack.append(node.name)
        self.generic_visit(node)
        self.stack.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to_numpy":
            self.found.add(self.stack[-1] if self.stack else "<module>")
        self.generic_visit(node)


def test_nothing_reads_a_device_but_what_the_user_asks_for() -> None:
    found = {
        (str(file.relative_to(ROOT)), function)
        for package in ("grilly", "grilly_core")
        for file in files(package)
        if "testing" not in file.parts
        for function in Reads(file).found
    }
    tensor = "grilly_core/tensor.py"
    assert found == {(tensor, "numpy"), (tensor, "_transfer"), (tensor, "_exporter")}


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "program",
    [
        "import grilly",
        "import grilly; grilly.backends.available(); grilly.backends.kernel_packs()",
        "import grilly; grilly.use_backend('numpy'); grilly.tensor([1.0]) + 1",
        "import grilly.cli; grilly.cli.main(['--help'])",
    ],
)
def test_nothing_heavy_is_loaded(program: str) -> None:
    program += f"\nimport sys\nprint('loaded', *[name for name in {HEAVY!r} if name in sys.modules])"
    assert python(program).splitlines()[-1] == "loaded"


def test_no_backend_is_loaded_before_it_is_needed() -> None:
    program = "import sys, grilly\nfrom grilly import nn\ngrilly.backends.available()\n"
    program += f"print('loaded', *[name for name in {tuple(BACKENDS)!r} if name in sys.modules])"
    assert python(program) == "loaded"


def test_importing_takes_no_time() -> None:
    """At most 0.3 s on a quiet machine; where other work slows everything down, three times what NumPy takes by itself."""
    program = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
    python(program.format("grilly"))  # compiles
    taken: list[float] = []
    numpy: list[float] = []
    while len(taken) < 8 and min(taken, default=1.0) > max(IMPORT_SECONDS, 3 * min(numpy, default=0.0)):
        numpy.append(float(python(program.format("numpy"))))
        taken.append(float(python(program.format("grilly"))))
    said = f"best of {len(taken)}: {min(taken):.2f} s of processor time, NumPy alone {min(numpy):.2f} s"
    assert min(taken) <= max(IMPORT_SECONDS, 3 * min(numpy)), said
