"""The backends that tests run on: NumPy always, the others where they open.

A backend that this machine lacks the driver or device for is skipped with its reason, unless the environment variable
``GRILLY_TEST_REQUIRE`` (comma-separated names) lists it: then collecting the tests fails. A broken one always fails.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest

from grilly_core import plugins, selection
from grilly_core.backend import Backend
from grilly_core.errors import BackendUnavailable

__all__ = ["backend_params", "names", "open_or_skip", "required"]

_ALWAYS_SHOWN = ("numpy", "vulkan")
_IF_INSTALLED = ("cupy",)


def required() -> list[str]:
    """Names in ``GRILLY_TEST_REQUIRE``."""
    return [name.strip() for name in os.environ.get("GRILLY_TEST_REQUIRE", "").split(",") if name.strip()]


@functools.cache
def _missing(name: str) -> str | None:
    """Why ``name`` cannot be tested here, None if it can. Opened by name, so that CPU devices count."""
    if name not in plugins.available():
        return f"backend {name} is not installed or blocked"
    try:
        selection.resolve(name)
    except BackendUnavailable as error:
        return f"backend {name} is unavailable: {error}"
    return None


def _candidates() -> dict[str, str | None]:
    """Name and reason against it, NumPy first; one that is required has no reason left."""
    installed = [name for name in _IF_INSTALLED if name in plugins.available()]
    reasons = {name: _missing(name) for name in dict.fromkeys([*_ALWAYS_SHOWN, *installed, *required()])}
    for name in ("numpy", *required()):
        if reasons[name] is not None:
            raise RuntimeError(f"{reasons[name]}, but the tests require it (GRILLY_TEST_REQUIRE)")
    return reasons


def names() -> list[str]:
    """Names of the backends that open here, NumPy first.

    Raises:
        RuntimeError: one that is required does not open.

    Example:
        >>> names()[0]
        'numpy'
    """
    return [name for name, reason in _candidates().items() if reason is None]


def backend_params() -> list[Any]:
    """One ``pytest.param`` per known backend, its name; those that cannot run here are marked as skipped.

    Example:
        >>> backend_params()[0].id
        'numpy'
    """
    return [
        pytest.param(name, id=name, marks=() if reason is None else pytest.mark.skip(reason=reason))
        for name, reason in _candidates().items()
    ]


def open_or_skip(name: str) -> Backend:
    """The backend ``name``, for tests of that one; they are skipped with the reason where it does not open.

    Example:
        >>> open_or_skip("numpy").name
        'numpy'
    """
    reason = _candidates().get(name, f"backend {name} is not installed or blocked")
    if reason is not None:
        pytest.skip(reason)
    return selection.resolve(name)
