"""The committed shaders belong to their sources and keep to what every device has. Needs no compiler."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import struct
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grilly_vulkan import spirv
from grilly_vulkan.pipeline import manifest

ROOT = Path(__file__).parents[3]
SPV = ROOT / "backends/vulkan/grilly_vulkan/spv"
NAMES = sorted(manifest())

# Every Vulkan 1.2 device with subgroups has these: Shader, GroupNonUniform*, and access chains through pointers.
EVERYWHERE = {1, *range(61, 68)}
MATRIX_UNITS = 6022  # shaders for those may use what such devices have: 48 KiB of shared memory, 16-bit types


def build_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_shaders", ROOT / "tools/build_shaders.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources() -> dict[str, dict[str, Any]]:
    return build_tool().entries()


def code(name: str) -> bytes:
    return (SPV / f"{name}.spv").read_bytes()


def test_nothing_is_left_over(sources: dict[str, Any]) -> None:
    assert sorted(sources) == NAMES, "run tools/build_shaders.py"
    assert sorted(path.name for path in SPV.iterdir()) == sorted(
        [*(f"{n}.spv" for n in NAMES), "manifest.json"]
    )
    included = {
        name
        for path in ROOT.glob("shaders/**/*.glsl")
        for name in re.findall(r'#include "(.+?)"', path.read_text())
    }
    assert included == {path.name for path in ROOT.glob("shaders/include/*")}


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_describes_source_and_binary(name: str, sources: dict[str, Any]) -> None:
    entry = manifest()[name]
    wanted = {key: value for key, value in sources[name].items() if key != "text"}
    assert {key: value for key, value in entry.items() if key != "spv"} == wanted, (
        "run tools/build_shaders.py"
    )
    assert entry["spv"] == hashlib.sha256(code(name)).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_version_and_capabilities(name: str) -> None:
    wanted, found = tuple(manifest()[name]["spirv"]), spirv.capabilities(code(name))
    assert spirv.version(code(name)) == wanted
    assert wanted == (1, 5) or (wanted == (1, 6) and MATRIX_UNITS in found)
    assert found <= EVERYWHERE | set(spirv.CAPABILITY_FEATURES), "a capability whose feature nobody checks"


class Layout:
    """Sizes in a shader: of types, of push constants, of shared memory."""

    def __init__(self, binary: bytes) -> None:
        self.sizes: dict[int, int] = {}
        self.constants: dict[int, int] = {}
        self.strides: dict[int, int] = {}
        self.offsets: dict[tuple[int, int], int] = {}
        self.members: dict[int, list[int]] = {}
        self.elements: dict[int, tuple[int, int]] = {}
        self.pointers: dict[int, tuple[int, int]] = {}
        self.variables: list[tuple[int, int]] = []
        self.local: tuple[int, ...] = ()
        for opcode, words in spirv.instructions(binary):
            self._read(opcode, list(words))

    def _read(self, opcode: int, w: list[int]) -> None:
        if opcode == 71 and w[1] == 6:
            self.strides[w[0]] = w[2]
        elif opcode == 72 and w[2] == 35:
            self.offsets[w[0], w[1]] = w[3]
        elif opcode == 16 and w[1] == 17:
            self.local = tuple(w[2:5])
        elif opcode in (20, 21, 22):
            self.sizes[w[0]] = 4 if opcode == 20 else w[1] // 8
        elif opcode == 23:
            self.sizes[w[0]] = self.size(w[1]) * w[2]
        elif opcode == 28:
            self.elements[w[0]] = (w[1], self.constants[w[2]])
        elif opcode == 30:
            self.members[w[0]] = w[1:]
        elif opcode == 32:
            self.pointers[w[0]] = (w[1], w[2])
        elif opcode in (43, 50):
            self.constants[w[1]] = w[2]
        elif opcode == 59:
            self.variables.append((w[0], w[2]))

    def size(self, kind: int) -> int:
        """Bytes of a type."""
        if kind in self.sizes:
            return self.sizes[kind]
        if kind in self.pointers or kind not in {*self.elements, *self.members}:
            return 8  # the address of a buffer, perhaps not declared yet
        if kind in self.elements:
            element, count = self.elements[kind]
            return self.strides.get(kind, self.size(element)) * count
        if (kind, 0) in self.offsets:
            return max(self.offsets[kind, i] + self.size(m) for i, m in enumerate(self.members[kind]))
        return sum(self.size(m) for m in self.members[kind])

    def stored(self, storage: int) -> list[int]:
        """Sizes of the variables in a storage class: 9 push constants, 4 shared memory."""
        return [self.size(self.pointers[pointer][1]) for pointer, where in self.variables if where == storage]


@pytest.mark.parametrize("name", NAMES)
def test_sizes(name: str) -> None:
    binary, entry = code(name), manifest()[name]
    layout = Layout(binary)
    push = layout.stored(9)
    assert len(push) <= 1 and sum(push) == struct.calcsize("=" + entry["push"]) <= 128
    units = MATRIX_UNITS in spirv.capabilities(binary)
    assert sum(layout.stored(4)) <= (49152 if units else 32768)
    x, y, z = entry["local"]
    assert x * y * z <= 256
    if layout.local:
        assert list(layout.local) == entry["local"]


def test_the_layout_reader_reads() -> None:
    """Sizes known by hand, so that the tests above cannot pass for want of variables."""
    assert Layout(code("copy")).stored(9) == [20] and Layout(code("copy")).local == (256, 1, 1)
    shared = {name: sum(Layout(code(name)).stored(4)) for name in NAMES}
    assert shared["transpose"] == 4 * 32 * 33 and shared["copy"] == 0
    assert sum(size > 0 for size in shared.values()) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_spirv_val_accepts_it(name: str) -> None:
    tool = shutil.which("spirv-val")
    if tool is None:
        pytest.skip("spirv-val is not installed")
    version = "vulkan1.3" if manifest()[name]["spirv"] == [1, 6] else "vulkan1.2"
    done = subprocess.run(
        [tool, "--target-env", version, SPV / f"{name}.spv"], capture_output=True, text=True, check=False
    )
    if MATRIX_UNITS in spirv.capabilities(code(name)) and "Invalid capability operand" in done.stderr:
        pytest.skip("this spirv-val knows no cooperative matrices")
    assert done.returncode == 0, done.stderr
