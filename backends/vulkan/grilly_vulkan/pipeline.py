"""Pipelines: a shader and its specialisation constants, compiled on first use; the driver's cache on disk.

Windows and short runs of time steps are specialisation constants, so a program that goes through many of them makes
pipelines without end, and drivers keep host memory for each: lavapipe about a megabyte. Only the last used are kept.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.resources
import json
import operator
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grilly_core.extend import ALONE, UnsupportedOpError
from grilly_vulkan import _vk, spirv
from grilly_vulkan._vk import check, ffi, new
from grilly_vulkan.commands import handle
from grilly_vulkan.device import Device

__all__ = ["Kernel", "Pipelines", "manifest"]

_COMPUTE = 0x20
_KEPT = 256  # pipelines: training a Spikformer makes 42, all workloads of ``grilly bench`` together 59
_MAGIC = b"grilly pipeline cache 1\n"


@functools.cache
def manifest() -> dict[str, dict[str, Any]]:
    """What ``tools/build_shaders.py`` wrote of each shader."""
    text = (importlib.resources.files("grilly_vulkan") / "spv" / "manifest.json").read_text()
    shaders: dict[str, dict[str, Any]] = json.loads(text)["shaders"]
    return shaders


class Kernel:
    """A pipeline ready to be recorded.

    Attributes:
        name: the shader's name.
        pipeline, layout: handles as ctypes takes them.
        pack: packs pointers and scalars into the push-constant buffer.
        size: bytes of push constants.
        per_group: elements that a workgroup of a one-dimensional shader handles.
        value: timeline value of the last submission that uses it; 0 before the first.
    """

    __slots__ = ("layout", "name", "pack", "per_group", "pipeline", "raw", "size", "value")

    def __init__(self, name: str, pipeline: Any, layout: Any, push: str, per_group: int) -> None:
        self.name = name
        self.raw = pipeline
        self.pipeline, self.layout = handle(pipeline), handle(layout)
        packed = struct.Struct("=" + push)
        self.pack, self.size, self.per_group = packed.pack_into, packed.size, per_group
        self.value = 0


class Pipelines:
    """The pipelines of a device, the least recently used of them dropped first.

    Attributes:
        completed: the last timeline value that the device has reached.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kernels: dict[tuple[str, tuple[Any, ...]], Kernel] = {}
        self._dropped: list[Kernel] = []
        self._layouts: dict[int, Any] = {}
        self.completed: Callable[[], int] = device.completed
        self._file = _cache_file(device)
        self._cache = self._load_cache()

    def get(self, name: str, constants: tuple[Any, ...] = ()) -> Kernel:
        """The pipeline of a shader with specialisation constants 0, 1, ... (ints, bools or floats)."""
        key = (name, constants)
        found = self._kernels.get(key)
        if found is None:
            with self._device.lock:
                self._device.check_alive()
                if key not in self._kernels:
                    self._make_room()
                    self._kernels[key] = self._create(name, constants)
                found = self._kernels[key]
        return found

    def _make_room(self) -> None:
        """Drop the pipeline used longest ago when there are too many; destroy those dropped and out of use."""
        if len(self._kernels) >= _KEPT:
            oldest = min(self._kernels, key=lambda key: self._kernels[key].value)
            self._dropped.append(self._kernels.pop(oldest))
        done = self.completed() if self._dropped else 0
        for i in reversed(range(len(self._dropped))):
            kernel = self._dropped[i]
            # Who else holds it may be another thread that is about to record it.
            if kernel.value <= done and sys.getrefcount(kernel) <= ALONE:
                del self._dropped[i]
                _vk.lib.vkDestroyPipeline(self._device.handle, kernel.raw, ffi.NULL)

    def _create(self, name: str, constants: tuple[Any, ...]) -> Kernel:
        entry = manifest()[name]
        code = (importlib.resources.files("grilly_vulkan") / "spv" / f"{name}.spv").read_bytes()
        self._check_features(name, code)
        size = struct.calcsize("=" + entry["push"])
        layout = self._layout(size)
        pipeline = self._pipeline(name, code, layout, constants)
        x, y, z = entry["local"]
        return Kernel(name, pipeline, layout, entry["push"], x * y * z * entry["each"])

    def _check_features(self, name: str, code: bytes) -> None:
        capabilities = self._device.capabilities
        needs = {spirv.CAPABILITY_FEATURES.get(number) for number in spirv.capabilities(code)} - {None}
        missing = sorted(str(feature) for feature in needs if feature not in capabilities.features)
        if spirv.version(code) > (1, 5) and capabilities.api < (1, 3):
            missing.append("Vulkan 1.3")
        if missing:
            raise UnsupportedOpError(
                f"shader {name} needs {', '.join(missing)}, which Vulkan device {capabilities.name} has not"
            )

    def _layout(self, size: int) -> Any:
        """The layout with so many bytes of push constants."""
        if size in self._layouts:
            return self._layouts[size]
        bounds = new("VkPushConstantRange", stageFlags=_COMPUTE, size=max(size, 4))
        info = new("VkPipelineLayoutCreateInfo", "PIPELINE_LAYOUT_CREATE_INFO", pushConstantRangeCount=1)
        info.pPushConstantRanges = bounds
        out = ffi.new("VkPipelineLayout*")
        check(
            _vk.lib.vkCreatePipelineLayout(self._device.handle, info, ffi.NULL, out), "vkCreatePipelineLayout"
        )
        self._layouts[size] = out[0]
        return out[0]

    def _pipeline(self, name: str, code: bytes, layout: Any, constants: Sequence[Any]) -> Any:
        device = self._device.handle
        held = ffi.from_buffer(code)
        module_info = new("VkShaderModuleCreateInfo", "SHADER_MODULE_CREATE_INFO", codeSize=len(code))
        module_info.pCode = ffi.cast("uint32_t*", held)
        module = ffi.new("VkShaderModule*")
        check(_vk.lib.vkCreateShaderModule(device, module_info, ffi.NULL, module), "vkCreateShaderModule")
        info = new("VkComputePipelineCreateInfo", "COMPUTE_PIPELINE_CREATE_INFO", layout=layout)
        entry = ffi.new("char[]", b"main")
        info.stage.sType = _vk.lib.VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO
        info.stage.stage, info.stage.module, info.stage.pName = _COMPUTE, module[0], entry
        special, _held = _specialisation(spirv.constants(code), constants)
        info.stage.pSpecializationInfo = special
        out = ffi.new("VkPipeline*")
        try:
            code_ = _vk.lib.vkCreateComputePipelines(device, self._cache, 1, info, ffi.NULL, out)
            check(code_, f"vkCreateComputePipelines ({name})")
        finally:
            _vk.lib.vkDestroyShaderModule(device, module[0], ffi.NULL)
        return out[0]

    # The driver's cache

    def _load_cache(self) -> Any:
        data = _read_cache(self._file)
        info = new("VkPipelineCacheCreateInfo", "PIPELINE_CACHE_CREATE_INFO", initialDataSize=len(data))
        held = ffi.from_buffer(data) if data else ffi.NULL
        info.pInitialData = held
        out = ffi.new("VkPipelineCache*")
        check(
            _vk.lib.vkCreatePipelineCache(self._device.handle, info, ffi.NULL, out), "vkCreatePipelineCache"
        )
        return out[0]

    def _save(self) -> None:
        """Write the driver's cache; a folder that cannot be written is no error."""
        if self._file is None or not self._kernels:
            return
        size = ffi.new("size_t*")
        if _vk.lib.vkGetPipelineCacheData(self._device.handle, self._cache, size, ffi.NULL):
            return
        data = ffi.new("char[]", size[0])
        if _vk.lib.vkGetPipelineCacheData(self._device.handle, self._cache, size, data):
            return
        _write_cache(self._file, bytes(ffi.buffer(data, size[0])))

    def destroy(self) -> None:
        """Write the cache, then destroy it and all pipelines."""
        if self._device.abandoned:
            return
        self._save()
        device = self._device.handle
        for kernel in (*self._kernels.values(), *self._dropped):
            _vk.lib.vkDestroyPipeline(device, kernel.raw, ffi.NULL)
        for layout in self._layouts.values():
            _vk.lib.vkDestroyPipelineLayout(device, layout, ffi.NULL)
        self._kernels.clear()
        self._dropped.clear()
        self._layouts.clear()
        _vk.lib.vkDestroyPipelineCache(device, self._cache, ffi.NULL)


def _specialisation(declared: dict[int, str], constants: Sequence[Any]) -> tuple[Any, Any]:
    """``VkSpecializationInfo`` of constants 0, 1, ..., each as the shader declares it, and what it points to."""
    ids = [number for number in range(len(constants)) if number in declared]
    if not ids:
        return ffi.NULL, None
    words = b"".join(_as_word(declared[number], constants[number]) for number in ids)
    data = ffi.new("char[]", words)
    entries = ffi.new("VkSpecializationMapEntry[]", len(ids))
    for i, entry in enumerate(entries):
        entry.constantID, entry.offset, entry.size = ids[i], 4 * i, 4
    info = new("VkSpecializationInfo", mapEntryCount=len(ids), dataSize=len(words))
    info.pMapEntries, info.pData = entries, data
    return info, (data, entries)


def _as_word(kind: str, value: Any) -> bytes:
    if kind == "f":
        return struct.pack("=f", value)
    return struct.pack("=I", operator.index(value) & 0xFFFFFFFF)


def _cache_file(device: Device) -> Path | None:
    """Where the cache of this device and driver lies; None for CPU devices, whose driver keeps its own."""
    capabilities = device.capabilities
    if capabilities.is_cpu:
        return None
    base = (
        os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    )
    identity = hashlib.sha256(capabilities.uuid + capabilities.driver.encode()).hexdigest()[:16]
    return Path(base) / "grilly" / f"vulkan-{identity}.bin"


def _read_cache(file: Path | None) -> bytes:
    """The cached data, or nothing if the file is missing, foreign or damaged: drivers trust what they get."""
    if file is None:
        return b""
    try:
        content = file.read_bytes()
    except OSError:
        return b""
    head, data = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    return data if head == _MAGIC + hashlib.sha256(data).digest() else b""


def _write_cache(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=file.parent)
    except OSError:
        return
    try:
        with os.fdopen(number, "wb") as out:
            out.write(_MAGIC + hashlib.sha256(data).digest() + data)
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)


def push_buffer() -> Any:
    """Room for one kernel's push constants."""
    return ctypes.create_string_buffer(128)
