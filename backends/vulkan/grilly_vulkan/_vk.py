"""The one door to the ``vulkan`` package: ``ffi``, ``lib`` and results turned into exceptions.

Of the package only the raw cffi layer is used: its Python wrappers cost 8 to 70 us a call and several are
wrong (``vkGetBufferDeviceAddress`` returns its argument, unknown result codes raise KeyError). Calls that may
block go through cffi, which lets other Python threads run; commands are recorded through function pointers
that keep the interpreter lock (see ``commands.py``).
"""

from __future__ import annotations

from typing import Any

from grilly_core.extend import BackendUnavailable, DeviceLostError, GrillyError, OutOfMemoryError

__all__ = ["VulkanError", "check", "ffi", "lib", "new", "result_name"]

try:
    from vulkan import ffi, lib
except ImportError as error:
    raise BackendUnavailable(
        f"the Python package 'vulkan' cannot be imported ({error}); install it with: pip install vulkan"
    ) from error
except OSError as error:
    raise BackendUnavailable(
        "no Vulkan loader was found on this machine (libvulkan.so.1, vulkan-1.dll or libvulkan.dylib); install your GPU "
        "vendor's driver, or on Debian and Ubuntu: apt install libvulkan1 mesa-vulkan-drivers"
    ) from error

_RESULTS = {
    0: "VK_SUCCESS",
    1: "VK_NOT_READY",
    2: "VK_TIMEOUT",
    3: "VK_EVENT_SET",
    4: "VK_EVENT_RESET",
    5: "VK_INCOMPLETE",
    -1: "VK_ERROR_OUT_OF_HOST_MEMORY",
    -2: "VK_ERROR_OUT_OF_DEVICE_MEMORY",
    -3: "VK_ERROR_INITIALIZATION_FAILED",
    -4: "VK_ERROR_DEVICE_LOST",
    -5: "VK_ERROR_MEMORY_MAP_FAILED",
    -6: "VK_ERROR_LAYER_NOT_PRESENT",
    -7: "VK_ERROR_EXTENSION_NOT_PRESENT",
    -8: "VK_ERROR_FEATURE_NOT_PRESENT",
    -9: "VK_ERROR_INCOMPATIBLE_DRIVER",
    -10: "VK_ERROR_TOO_MANY_OBJECTS",
    -11: "VK_ERROR_FORMAT_NOT_SUPPORTED",
    -12: "VK_ERROR_FRAGMENTED_POOL",
    -13: "VK_ERROR_UNKNOWN",
    -1000069000: "VK_ERROR_OUT_OF_POOL_MEMORY",
    -1000072003: "VK_ERROR_INVALID_EXTERNAL_HANDLE",
    -1000161000: "VK_ERROR_FRAGMENTATION",
    -1000257000: "VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS",
    -1000011001: "VK_ERROR_VALIDATION_FAILED_EXT",
    -1000012000: "VK_ERROR_INVALID_SHADER_NV",
    -1000174001: "VK_ERROR_NOT_PERMITTED_KHR",
    1000297000: "VK_PIPELINE_COMPILE_REQUIRED",
}

OUT_OF_MEMORY = frozenset({-2, -12, -1000069000, -1000161000})
"""Results that say the device has no more memory."""


class VulkanError(GrillyError, RuntimeError):
    """A Vulkan call that failed in a way that has no exception of its own."""


def result_name(code: int) -> str:
    """The name of a ``VkResult``, or the number if it is newer than this table."""
    return _RESULTS.get(code, f"VkResult {code}")


def check(code: int, call: str) -> None:
    """Raise the exception that a ``VkResult`` stands for; nothing for success.

    Raises:
        OutOfMemoryError: no device memory.
        MemoryError: no host memory.
        DeviceLostError: the device does not answer any more.
        BackendUnavailable: driver or device cannot be used.
        VulkanError: anything else, with the call and the code.
    """
    if code == 0:
        return
    name = result_name(code)
    if code in OUT_OF_MEMORY:
        raise OutOfMemoryError(f"{call}: the device is out of memory ({name})")
    if code == -1:
        raise MemoryError(f"{call}: out of host memory ({name})")
    if code == -4:
        raise DeviceLostError(f"{call}: the device was lost ({name})")
    if code in (-3, -6, -7, -8, -9):
        raise BackendUnavailable(f"{call}: the Vulkan driver cannot be used ({name}); update it")
    raise VulkanError(f"{call} failed: {name}")


def new(kind: str, stype: str | None = None, **fields: Any) -> Any:
    """A zeroed struct with ``sType`` and fields set. Objects behind pointers must be kept alive by the caller."""
    struct = ffi.new(f"{kind}*")
    if stype is not None:
        struct.sType = getattr(lib, f"VK_STRUCTURE_TYPE_{stype}")
    for name, value in fields.items():
        setattr(struct, name, value)
    return struct
