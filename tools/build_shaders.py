"""Compile shaders/*.glsl to SPIR-V and write the manifest: python tools/build_shaders.py [--check] [NAME ...]

Needs ``pip install --no-deps slangpy==0.43.1``, whose wheel bundles a recent glslang. Users need no compiler: the results
are committed. A line ``//! variant NAME A=1 B=2`` in a shader compiles it with those macros as NAME.spv; without such lines
it is compiled once under its own name. ``//! spirv 1.6`` asks for another version than 1.5, ``//! optimise`` for
spirv-opt, ``//! each 4`` says that an invocation handles four elements (``run_each`` divides by it).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "shaders"
TARGET = ROOT / "backends/vulkan/grilly_vulkan/spv"
COMPILER = "slangpy 0.43.1"

_OUTPUT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_CODES = {"uint": "I", "int": "i", "float": "f"}


class _Request(ctypes.Structure):
    """What the bundled glslang's one exported function takes."""

    _fields_ = (
        ("size", ctypes.c_size_t), ("path", ctypes.c_char_p), ("begin", ctypes.c_void_p), ("end", ctypes.c_void_p),
        ("said", _OUTPUT), ("said_data", ctypes.c_void_p), ("out", _OUTPUT), ("out_data", ctypes.c_void_p),
        ("stage", ctypes.c_int), ("action", ctypes.c_uint), ("optimise", ctypes.c_uint), ("debug", ctypes.c_uint),
        ("target", ctypes.c_char_p), ("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int),
        ("entry", ctypes.c_char_p),
    )  # fmt: skip


def compiler() -> ctypes.CDLL:
    """The glslang inside the pinned wheel."""
    name, version = COMPILER.split()
    if importlib.util.find_spec(name) is None or importlib.metadata.version(name) != version:
        sys.exit(f"build_shaders: needs {COMPILER}: pip install --no-deps {name}=={version}")
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.submodule_search_locations
    return ctypes.CDLL(str(next(Path(spec.submodule_search_locations[0]).glob("libslang-glslang-*.so"))))


def flatten(path: Path, seen: frozenset[Path] = frozenset()) -> str:
    """The source with its includes in place."""

    def include(match: re.Match[str]) -> str:
        target = SOURCES / "include" / match[1]
        if target in seen:
            sys.exit(f"build_shaders: {path.name} includes {target.name} in a circle")
        return flatten(target, seen | {target})

    return re.sub(r'^#include "([^"]+)"$', include, path.read_text(), flags=re.M)


def variants(path: Path) -> dict[str, dict[str, str]]:
    """Macros by the name of the compiled shader."""
    lines = re.findall(r"^//! variant (\S+)(.*)$", path.read_text(), flags=re.M)
    return {name: dict(item.split("=", 1) for item in macros.split()) for name, macros in lines} or {
        path.stem: {}
    }


def with_macros(source: str, macros: dict[str, str]) -> str:
    """The source with ``#define`` lines after ``#version``."""
    version, rest = source.split("\n", 1)
    return "\n".join([version, *(f"#define {name} {value}" for name, value in macros.items()), rest])


def preprocess_push(source: str, macros: dict[str, str]) -> str:
    """The struct format of the push constants: pointers as Q, then 4-byte scalars."""
    block = re.search(r"uniform\s+PC\s*\{(.*?)\}", source, flags=re.S)
    if block is None:
        return ""
    text = re.sub(r"//.*", "", block[1])
    code = ""
    for kind, names in re.findall(r"(\w+)\s+([^;]+);", text):
        for name in names.split(","):
            count = re.search(r"\[(\w+)\]", name)
            times = int(macros.get(count[1], count[1])) if count else 1
            code += _CODES.get(kind, "Q") * times
    if "Q" in code.lstrip("Q"):
        sys.exit("build_shaders: pointers must come before scalars in the push constants")
    return code


def local_size(source: str) -> list[int]:
    """The workgroup's extents as declared."""
    found = re.search(r"layout\(([^)]*local_size_x[^)]*)\)\s*in;", source)
    if found is None:
        sys.exit("build_shaders: a shader has no local_size_x")
    sizes = dict(re.findall(r"local_size_([xyz])\s*=\s*(\d+)", found[1]))
    return [int(sizes.get(axis, 1)) for axis in "xyz"]


def compile_glsl(
    library: ctypes.CDLL, name: str, source: str, version: tuple[int, int], optimise: bool
) -> bytes:
    """SPIR-V of one shader, or exit with what the compiler says."""
    text = source.encode()
    held = ctypes.create_string_buffer(text, len(text))
    out, said = bytearray(), bytearray()
    take = _OUTPUT(lambda data, size, _: out.extend(ctypes.string_at(data, size)))
    hear = _OUTPUT(lambda data, size, _: said.extend(ctypes.string_at(data, size)))
    begin = ctypes.addressof(held)
    request = _Request(
        ctypes.sizeof(_Request), f"{name}.glsl".encode(), begin, begin + len(text), hear, None, take, None,
        6, 0, int(optimise), 0, None, *version, 0, b"main",
    )  # fmt: skip
    if library.glslang_compile_1_2(ctypes.byref(request)) or not out:
        sys.exit(f"build_shaders: {name} does not compile:\n{said.decode(errors='replace')}")
    return bytes(out)


def entries() -> dict[str, dict[str, object]]:
    """Of every compiled shader: its source text, hash and layout; no compiler needed."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(SOURCES.glob("*.glsl")):
        flat = flatten(path)
        spirv = re.search(r"^//! spirv (\d)\.(\d)$", flat, flags=re.M)
        for name, macros in variants(path).items():
            if name in found:
                sys.exit(f"build_shaders: two shaders are called {name}")
            text = with_macros(flat, macros)
            found[name] = {
                "file": path.name,
                "text": text,
                "source": hashlib.sha256(text.encode()).hexdigest(),
                "spirv": [int(spirv[1]), int(spirv[2])] if spirv else [1, 5],
                "each": int(each[1]) if (each := re.search(r"^//! each (\d+)$", flat, flags=re.M)) else 1,
                "optimise": bool(re.search(r"^//! optimise$", flat, flags=re.M)),
                "push": preprocess_push(text, macros),
                "local": local_size(re.sub(r"\bLOCAL\b", macros.get("LOCAL", "LOCAL"), text)),
            }
    return found


def build(names: list[str]) -> dict[str, bytes]:
    """Compile and return file contents by name, the manifest among them."""
    manifest_file = TARGET / "manifest.json"
    old = json.loads(manifest_file.read_text())["shaders"] if manifest_file.exists() else {}
    library = compiler()
    files: dict[str, bytes] = {}
    manifest: dict[str, object] = {}
    for name, entry in entries().items():
        text = str(entry.pop("text"))
        spv = TARGET / f"{name}.spv"
        if (
            names
            and name not in names
            and old.get(name, {}).get("source") == entry["source"]
            and spv.exists()
        ):
            data = spv.read_bytes()
        else:
            major, minor = entry["spirv"]  # type: ignore[misc]
            data = compile_glsl(library, name, text, (major, minor), bool(entry["optimise"]))
        files[f"{name}.spv"] = data
        manifest[name] = {**entry, "spv": hashlib.sha256(data).hexdigest()}
    text = json.dumps({"compiler": COMPILER, "shaders": manifest}, indent=1, sort_keys=True) + "\n"
    return {**files, "manifest.json": text.encode()}


def main() -> int:
    """Build, or with ``--check`` compare with what is committed."""
    parser = argparse.ArgumentParser(description="Compile the shaders of the Vulkan backend.")
    parser.add_argument(
        "names", nargs="*", help="compile only these again (others whose source is unchanged are kept)"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if anything would change")
    options = parser.parse_args()
    files = build(options.names)
    TARGET.mkdir(parents=True, exist_ok=True)
    stale = [
        name
        for name, data in files.items()
        if not (TARGET / name).exists() or (TARGET / name).read_bytes() != data
    ]
    orphans = [path for path in TARGET.iterdir() if path.name not in files]
    if options.check:
        for name in [*stale, *(path.name for path in orphans)]:
            print(f"differs: {name}")
        return 1 if stale or orphans else 0
    for name in stale:
        (TARGET / name).write_bytes(files[name])
    for path in orphans:
        path.unlink()
    print(f"{len(files) - 1} shaders, {len(stale)} files changed, {len(orphans)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
