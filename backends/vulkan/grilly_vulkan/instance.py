"""The Vulkan instance of this process, the devices it sees, and which of them is meant."""

from __future__ import annotations

import os
import threading
from typing import Any

from grilly_core.extend import BackendUnavailable, ConfigError
from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new, result_name
from grilly_vulkan.capabilities import Capabilities, read_capabilities

__all__ = ["FORKED", "choose", "destroy_instance", "devices", "get_instance", "keep_instance"]

FORKED = (
    "Vulkan cannot be used in a forked process: its device belongs to the parent. Start workers with the 'spawn' method "
    "(multiprocessing.set_start_method('spawn'))"
)

_INSTANCE_VERSION = (1 << 22) | (3 << 12)
_PREFERENCE = ("discrete", "integrated", "virtual", "other", "cpu")

_lock = threading.Lock()
_instance: Any = None
_inherited = _kept = False


def get_instance() -> Any:
    """The ``VkInstance``, created once per process.

    Raises:
        BackendUnavailable: there is a loader but no driver, or this process was forked from one that has an instance.
    """
    global _instance
    with _lock:
        if _inherited:
            raise BackendUnavailable(FORKED)
        if _instance is None:
            _instance = _create()
        return _instance


def destroy_instance() -> None:
    """Give the instance back, once all devices are (at exit)."""
    global _instance
    with _lock:
        instance, _instance = _instance, None
        if instance is not None and not _inherited and not _kept:
            _vk.lib.vkDestroyInstance(instance, ffi.NULL)


def keep_instance() -> None:
    """Never destroy it: one of its devices was not."""
    global _kept
    _kept = True


def _after_fork() -> None:
    global _inherited, _lock
    _inherited, _lock = _instance is not None or _inherited, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _create() -> Any:
    extensions = _instance_extensions()
    names = [name for name in ("VK_KHR_portability_enumeration",) if name in extensions]
    strings = [ffi.new("char[]", name.encode()) for name in names]
    array = ffi.new("char*[]", strings)
    title = ffi.new("char[]", b"grilly")
    app = new("VkApplicationInfo", "APPLICATION_INFO", pApplicationName=title, apiVersion=_INSTANCE_VERSION)
    info = new("VkInstanceCreateInfo", "INSTANCE_CREATE_INFO", pApplicationInfo=app)
    info.flags = 1 if names else 0
    info.enabledExtensionCount, info.ppEnabledExtensionNames = len(names), array
    out = ffi.new("VkInstance*")
    code = _vk.lib.vkCreateInstance(info, ffi.NULL, out)
    if code in (-9, -3):
        raise BackendUnavailable(
            f"the Vulkan loader is installed but no driver that works is ({result_name(code)}); install your GPU vendor's "
            "driver, or on Debian and Ubuntu: apt install mesa-vulkan-drivers"
        )
    check(code, "vkCreateInstance")
    return out[0]


def _instance_extensions() -> set[str]:
    count = ffi.new("uint32_t*")
    check(
        _vk.lib.vkEnumerateInstanceExtensionProperties(ffi.NULL, count, ffi.NULL),
        "vkEnumerateInstanceExtensionProperties",
    )
    properties = ffi.new("VkExtensionProperties[]", count[0])
    _vk.lib.vkEnumerateInstanceExtensionProperties(ffi.NULL, count, properties)
    return {ffi.string(entry.extensionName).decode() for entry in properties}


def devices() -> list[Capabilities]:
    """All devices with their capabilities, best first: discrete GPUs before others, then by memory.

    Raises:
        BackendUnavailable: there is no driver, or no device.
    """
    instance = get_instance()
    count = ffi.new("uint32_t*")
    check(_vk.lib.vkEnumeratePhysicalDevices(instance, count, ffi.NULL), "vkEnumeratePhysicalDevices")
    handles = ffi.new("VkPhysicalDevice[]", count[0])
    if count[0]:
        _vk.lib.vkEnumeratePhysicalDevices(instance, count, handles)
    found: dict[Any, Capabilities] = {}
    for i, handle in enumerate(handles):
        capabilities = read_capabilities(handle)
        # Two drivers may show one device; some old ones give none an identity.
        found.setdefault(capabilities.uuid if any(capabilities.uuid) else i, capabilities)
    if not found:
        raise BackendUnavailable(
            "the Vulkan driver reports no device; check that the GPU is visible to this user (permissions of /dev/dri, "
            "container options) and that its driver is installed"
        )
    return sorted(found.values(), key=lambda c: (_PREFERENCE.index(c.kind), -c.memory))


def choose(wanted: str | None, automatic: bool) -> Capabilities:
    """The device that ``GRILLY_BACKEND=vulkan[:wanted]`` means.

    Args:
        wanted: an index in :func:`devices`, a part of a name, ``cpu``, or None for the best.
        automatic: True if the user named no backend; a CPU device is declined then.

    Raises:
        BackendUnavailable: no device, only a CPU device and automatic choice, or a device that lacks a feature.
        ConfigError: no device is called that, with those there are.
    """
    there = devices()
    if wanted is None:
        usable = [c for c in there if not c.missing() and (not c.is_cpu or there[0].is_cpu)]
        chosen = usable[0] if usable else there[0]
        if automatic and chosen.is_cpu:
            raise BackendUnavailable(
                f"the only Vulkan device is a CPU ({chosen.name}), slower than the NumPy backend; use it anyway with "
                "GRILLY_BACKEND=vulkan, or install your GPU's driver"
            )
    else:
        chosen = _named(there, wanted)
    if missing := chosen.missing():
        raise BackendUnavailable(
            f"Vulkan device {chosen.name} (driver {chosen.driver}) lacks {', '.join(missing)}, which grilly needs; update "
            f"its driver, or choose another device with GRILLY_BACKEND=vulkan:<index or name>: {_listed(there)}"
        )
    return chosen


def _named(there: list[Capabilities], wanted: str) -> Capabilities:
    if wanted.isdecimal():
        if int(wanted) >= len(there):
            raise ConfigError(f"there is no Vulkan device {wanted}; there are {_listed(there)}")
        return there[int(wanted)]
    matches = [c for c in there if wanted.lower() == c.kind or wanted.lower() in c.name.lower()]
    if not matches:
        raise ConfigError(f"no Vulkan device is called {wanted!r}; there are {_listed(there)}")
    return matches[0]


def _listed(there: list[Capabilities]) -> str:
    return ", ".join(f"{i}: {c.name} ({c.kind})" for i, c in enumerate(there))
