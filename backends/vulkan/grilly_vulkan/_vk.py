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

OUT_OF_MEMORY = frozenset({-2, -12, -1000069000, -1000161000})
"""Results that say the device has no more memory."""


class VulkanError(GrillyError, RuntimeError):
    """A Vulkan call that failed in a way that has no exception of its own."""


def result_name(code: int) -> str:
    """The name of a ``VkResult``, or the number if it is newer than the package's header."""
    return str(ffi.typeof("VkResult").elements.get(code, f"VkResult {code}"))


def check(code: int, call: str) -> None:
    """Raise the exception that a ``VkResult`` stands for; nothing for success.

    Raises:
        OutOfMemoryError: no device memory, or no host memory (the message says which).
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
        raise OutOfMemoryError(f"{call}: out of host memory ({name})")
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
