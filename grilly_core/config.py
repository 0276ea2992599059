"""Settings from the environment: one table, read when first needed, with near misses refused.

A misspelt variable must not be ignored in silence, so the first use of a backend checks all of them;
``grilly doctor`` starts whatever the environment holds.
"""

from __future__ import annotations

import difflib
import os

from grilly_core.errors import ConfigError

__all__ = ["VARIABLES", "blocked", "check_environment", "flag", "requested_backend", "split_backend"]

VARIABLES = {
    "GRILLY_BACKEND": "backend to use, name[:device], e.g. numpy, vulkan:1",
    "GRILLY_BLOCK": "comma-separated names of backends and kernel packs never to load",
    "GRILLY_CUPY_PLAIN_FLOAT": "1: no tensor cores: CuPy products in plain float32 (slower)",
    "GRILLY_NUMPY_POOL_MB": "idle memory the NumPy backend keeps for later arrays, in megabytes (256)",
    "GRILLY_NUM_THREADS": "threads of the NumPy backend",
    "GRILLY_ORACLE": "folder of golden cases (test suite)",
    "GRILLY_PROFILE": "1: print time and bandwidth per op (backends on a device)",
    "GRILLY_REQUIRE_NATIVE": "1: refuse ops that would run as composites",
    "GRILLY_TEST_REQUIRE": "comma-separated names of backends that must open (test suite)",
    "GRILLY_VK_PLAIN_FLOAT": "1: no matrix units: Vulkan products in plain float32 (slower, errors half as large)",
    "GRILLY_VK_MEMORY_MB": "most device memory the Vulkan backend takes, in megabytes (the device's size)",
    "GRILLY_VK_SYNC": "1: submit Vulkan work op by op, naming the one that fails",
}
"""Every variable grilly reads, with its meaning."""


_PREFIX = "GRILLY_"


def check_environment() -> None:
    """Refuse a variable that looks like one of ours and is none.

    Raises:
        ConfigError: naming the variable and what was probably meant.
    """
    for name in os.environ:
        if name in VARIABLES:
            continue
        close = _near(name.upper())
        if close:
            raise ConfigError(
                f"environment variable {name} is not known; did you mean {close}? Rename or unset it"
            )
        if name.upper().startswith(_PREFIX):
            raise ConfigError(
                f"environment variable {name} is not known; grilly reads {', '.join(VARIABLES)}. Unset it"
            )


def _near(name: str) -> str | None:
    """The variable that ``name`` resembles; behind our prefix, any likeness counts."""
    if name.startswith(_PREFIX):
        endings = [known.removeprefix(_PREFIX) for known in VARIABLES]
        close = difflib.get_close_matches(name.removeprefix(_PREFIX), endings, n=1)
        return _PREFIX + close[0] if close else None
    return next(iter(difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.9)), None)


def flag(name: str) -> bool:
    """A variable that is on or off.

    Raises:
        ConfigError: for anything but 0, 1, true, false or nothing.
    """
    text = os.environ.get(name, "").strip().lower()
    if text in ("", "0", "false"):
        return False
    if text in ("1", "true"):
        return True
    raise ConfigError(f"{name}={text!r} must be 1 or 0")


def split_backend(text: str, origin: str) -> tuple[str, str | None]:
    """``name[:device]`` as name and device.

    Raises:
        ConfigError: without a name.

    Example:
        >>> split_backend("vulkan:1", "an example")
        ('vulkan', '1')
    """
    name, colon, device = (part.strip() for part in text.partition(":"))
    if not name or (colon and not device):
        raise ConfigError(
            f"{origin}: {text!r} must be a backend's name or name:device, e.g. numpy or vulkan:0"
        )
    return name, device or None


def requested_backend() -> tuple[str, str | None] | None:
    """Name and device in ``GRILLY_BACKEND``, or None."""
    text = os.environ.get("GRILLY_BACKEND", "")
    return split_backend(text, "GRILLY_BACKEND") if text.strip() else None


def blocked() -> list[str]:
    """Names in ``GRILLY_BLOCK``."""
    return [name.strip() for name in os.environ.get("GRILLY_BLOCK", "").split(",") if name.strip()]
