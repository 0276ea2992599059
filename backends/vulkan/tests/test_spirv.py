"""The SPIR-V reader, on made-up binaries and on shaders; constants reach a shader as it declares them."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grilly_core.errors import UnsupportedOpError
from grilly_vulkan import pipeline, spirv
from grilly_vulkan._vk import ffi
from grilly_vulkan.pipeline import manifest


def binary(*instructions: tuple[int, ...], version: int = 0x00010500, magic: int = 0x07230203) -> bytes:
    """SPIR-V of (opcode, operands...)."""
    words = [magic, version, 0, 100, 0]
    for opcode, *operands in instructions:
        words += [(len(operands) + 1) << 16 | opcode, *operands]
    return struct.pack(f"{len(words)}I", *words)


MADE_UP = binary(
    (17, 1), (17, 5347), (10, 0x41), (11, 1, 0x42), (71, 7, 1, 0), (71, 8, 1, 2), (71, 9, 1, 5), (71, 9, 11, 3),
    (20, 1), (21, 2, 32, 0), (22, 3, 32), (48, 1, 7), (50, 3, 8, 0x3F800000), (50, 2, 9, 4), (54, 1, 99, 0, 1), (17, 9),
)  # fmt: skip


def test_what_a_shader_declares() -> None:
    assert spirv.version(MADE_UP) == (1, 5)
    assert spirv.version(binary(version=0x00010600)) == (1, 6)
    assert spirv.capabilities(MADE_UP) == {1, 5347}
    assert spirv.constants(MADE_UP) == {0: "b", 2: "f", 5: "i"}
    assert [opcode for opcode, _ in spirv.instructions(MADE_UP)][:3] == [17, 17, 10]


def test_what_is_no_shader() -> None:
    with pytest.raises(ValueError, match="magic number"):
        spirv.version(binary(magic=0x03022307))
    with pytest.raises(ValueError, match="an instruction of no words"):
        list(spirv.instructions(binary() + bytes(8)))


def words_of(declared: dict[int, str], *constants: Any) -> dict[int, bytes]:
    """Constant id to its bytes, as handed to Vulkan."""
    info, _held = pipeline._specialisation(declared, constants)
    if info == ffi.NULL:
        return {}
    data = bytes(ffi.buffer(info.pData, info.dataSize))
    entries = [info.pMapEntries[i] for i in range(info.mapEntryCount)]
    return {e.constantID: data[e.offset : e.offset + e.size] for e in entries}


def test_constants_are_written_as_declared() -> None:
    one = struct.pack("f", 1.0)
    assert words_of({0: "f", 1: "f"}, 1, 1.0) == {0: one, 1: one}, "an integer for a float constant"
    assert words_of({0: "i", 1: "b"}, -1, True) == {0: b"\xff" * 4, 1: struct.pack("I", 1)}
    assert words_of({1: "i"}, 5, np.int64(6), 7) == {1: struct.pack("I", 6)}, (
        "what is not declared is left out"
    )
    assert words_of({}, 1) == words_of({0: "i"}) == {}
    with pytest.raises(TypeError):
        words_of({0: "i"}, 1.5)


def test_a_feature_that_the_device_lacks(make: Callable[..., Any]) -> None:
    backend = make()
    lesser = dataclasses.replace(
        backend.capabilities, api=(1, 2), features=backend.capabilities.features - {"bufferDeviceAddress"}
    )
    backend._device.capabilities = lesser
    with pytest.raises(
        UnsupportedOpError, match="shader copy needs bufferDeviceAddress, which Vulkan device"
    ):
        backend.pipelines.get("copy")
    with pytest.raises(UnsupportedOpError, match=r"shader late needs Vulkan 1\.3"):
        backend.pipelines._check_features("late", binary((17, 1), version=0x00010600))


def test_pipelines_are_made_once(make: Callable[..., Any], faulty: Any) -> None:
    backend = make()
    one, two = backend.pipelines.get("copy"), backend.pipelines.get("copy")
    assert one is two and faulty.calls["vkCreateComputePipelines"] == 1
    assert one.per_group == 256 * manifest()["copy"]["each"] and one.size == 20
    backend.pipelines.get("fill")
    assert faulty.calls["vkCreateShaderModule"] == faulty.calls["vkDestroyShaderModule"] == 2


def test_every_shader_compiles_here(make: Callable[..., Any]) -> None:
    """With its constants as declared; those for features that this device lacks are refused by name."""
    backend = make()
    refused = []
    for name in manifest():
        try:
            backend.pipelines.get(name)
        except UnsupportedOpError as error:
            refused.append(f"{error}")
    assert all("needs" in text for text in refused)
    assert len(refused) < len(manifest()) / 2


def test_the_cache_on_disk(tmp_path: Any) -> None:
    file = tmp_path / "deep" / "cache.bin"
    assert pipeline._read_cache(file) == b"" == pipeline._read_cache(None)
    pipeline._write_cache(file, b"data" * 100)
    assert pipeline._read_cache(file) == b"data" * 100
    assert [path.name for path in file.parent.iterdir()] == ["cache.bin"]
    content = file.read_bytes()
    for damaged in (content[:-1], content + b"x", content.replace(b"cache 1", b"cache 0"), b"", content[:20]):
        file.write_bytes(damaged)
        assert pipeline._read_cache(file) == b""
    (tmp_path / "taken").write_text("")
    pipeline._write_cache(
        tmp_path / "taken" / "cache.bin", b"data"
    )  # a folder that cannot be made is no error


def test_the_cache_is_saved_and_used(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "cache.bin"
    monkeypatch.setattr(pipeline, "_cache_file", lambda device: file)
    backend = make()
    backend.pipelines.get("copy")
    backend.close()
    assert len(pipeline._read_cache(file)) >= 32, "a header at least"
    again = make()
    assert again.to_numpy(again.from_numpy(np.ones(3, np.float32))).tolist() == [1, 1, 1]
