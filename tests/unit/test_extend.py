"""What plugin authors rely on: ``grilly_core.extend`` is all they import, says what each name is, and stays as it is.

Where a change here is wanted, ``grilly_core/extend.py`` says whether ``API_VERSION`` goes up; if it does, this file is
brought up to date in the same step.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from grilly_core import extend
from grilly_core.op import REQUIRED, registry
from grilly_core.plugin_manager import Specs

ROOT = Path(__file__).parents[2]
PLUGINS = [path for path in sorted((ROOT / "backends").glob("*/grilly_*")) if path.is_dir()]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))

# What plugins of API 1 may rely on. More may come; nothing here may go or change while API_VERSION is 1.
VERSION = 1
NAMES = {
    "API_VERSION", "Array", "Backend", "BackendInfo", "BackendUnavailable", "ConfigError", "DTYPES", "DeviceLostError",
    "FEATURES", "FLOATS", "GrillyError", "Kernel", "KernelError", "KernelTable", "Op", "OutOfMemoryError", "Spec",
    "Surrogate", "UnsupportedOpError", "flag", "hookimpl", "make_kernel", "no_grad", "numpy_dtype", "ops", "philox",
    "registry", "wrap",
}  # fmt: skip
SIGNATURES = {
    "Backend.from_numpy": "(self, array)", "Backend.to_numpy": "(self, array)", "Backend.spec": "(self, array)",
    "Backend.full": "(self, shape, value, dtype)", "Backend.is_exclusive": "(self, array)",
    "Backend.from_dlpack": "(self, data)",
    "Backend.synchronize": "(self)", "Backend.profile": "(self)", "Backend.peak_memory": "(self, reset=False)",
    "Backend.close": "(self)", "KernelTable": "(owner)", "KernelTable.get": "(self, op)",
    "KernelTable.register":
        "(self, op, *, dtypes=('float32', 'float64', 'int32', 'uint32', 'bool'), when=None)",
    "make_kernel":
        "(op, function, *, dtypes=('float32', 'float64', 'int32', 'uint32', 'bool'), when=None, source='')",
    "BackendInfo": "(name, api_version, open)", "Spec": "(shape, dtype)", "philox": "(count, seed, stream)",
    "numpy_dtype": "(name)", "flag": "(name)", "registry": "()",
}  # fmt: skip
MUST_WRITE = {"from_numpy", "to_numpy", "spec", "full"}
DTYPES = ("float32", "float64", "int32", "uint32", "bool")
FEATURES = {"deterministic_scatter", "float64", "host_memory", "ieee_special"}
HOOKS = {"grilly_backend": "(self)", "grilly_kernel": "(self, op, backend)"}
PRIMITIVES = """
abs(x) add(x y) argmax(x; axis) atan(x) broadcast_to(x; shape) cast(x; dtype) concat(xs; axis=0) div(x y) equal(x y) exp(x)
floor(x) gather(x index; axis=0) greater(x y) greater_equal(x y) log(x) matmul(x y) max(x; axis keepdims=False) maximum(x y)
minimum(x y) mul(x y) neg(x) pad(x; low high interior=None value=0.0) random_bits(; shape seed stream bits=32)
reshape(x; shape) round(x) scatter_add(x index src; axis=0) spike(u; surrogate) sqrt(x) strided_slice(x; start stop step)
sub(x y) sum(x; axis keepdims=False) tanh(x) transpose(x; axes) where(condition x y)
"""


def plain(function: object) -> str:
    """The signature without annotations."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


def named(path: str) -> object:
    found: object = extend
    for part in path.split("."):
        found = getattr(found, part)
    return found


def declared() -> set[str]:
    """The primitives as ``name(inputs; attributes)``."""
    out = set()
    for op in registry().values():
        if op.is_primitive:
            attributes = [
                name if value is REQUIRED else f"{name}={value}" for name, value in op.attributes.items()
            ]
            out.add(f"{op.name}({' '.join(op.inputs)}{'; ' if attributes else ''}{' '.join(attributes)})")
    return out


def test_names_and_values_stay() -> None:
    assert extend.API_VERSION == VERSION, "a new API: bring this file up to date"
    assert set(extend.__all__) >= NAMES
    assert extend.DTYPES == DTYPES and DTYPES[:2] == extend.FLOATS
    assert extend.FEATURES >= FEATURES


@pytest.mark.parametrize("path", SIGNATURES)
def test_signatures_stay(path: str) -> None:
    assert plain(named(path)) == SIGNATURES[path]


def test_what_a_backend_must_write_stays() -> None:
    assert extend.Backend.__abstractmethods__ == MUST_WRITE
    assert {field.name for field in dataclasses.fields(extend.BackendInfo)} == {"name", "api_version", "open"}
    for name, signature in HOOKS.items():
        assert plain(getattr(Specs, name)) == signature
    assert {name for name in vars(Specs) if not name.startswith("_")} == HOOKS.keys()


def test_primitives_stay() -> None:
    wanted = set(re.findall(r"\w+\([^)]*\)", PRIMITIVES.replace("\n", " ")))
    assert declared() == wanted, "a backend of this API must supply other primitives: API_VERSION goes up"


def test_every_name_has_its_meaning_in_one_place() -> None:
    assert len(set(extend.__all__)) == len(extend.__all__)
    meant = re.findall(r"^``(\w+)``  +\S", extend.__doc__ or "", re.M)
    assert sorted(meant) == sorted(extend.__all__)
    assert [name for name in extend.__all__ if not hasattr(extend, name)] == []


def imported_from_core(file: Path) -> list[str]:
    """What a file imports from grilly_core, whole dotted names."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.partition(".")[0] == "grilly_core"]


@pytest.mark.parametrize("folder", [*PLUGINS, *EXAMPLES], ids=lambda path: path.name)
def test_plugins_import_nothing_else(folder: Path) -> None:
    allowed = {f"grilly_core.extend.{name}" for name in extend.__all__}
    seen = {str(file.relative_to(folder)): imported_from_core(file) for file in folder.rglob("*.py")}
    assert any(seen.values()), "a plugin that imports nothing of extend is none"
    wrong = {file: [name for name in names if name not in allowed] for file, names in seen.items()}
    assert {file: names for file, names in wrong.items() if names} == {}


def test_the_parser_sees_what_it_should(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import grilly_core.op\nfrom grilly_core.extend import *\ndef f():\n    from grilly_core import ops\n"
    )
    assert imported_from_core(file) == ["grilly_core.op", "grilly_core.extend.*", "grilly_core.ops"]
