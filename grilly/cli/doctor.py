"""``grilly doctor``: what is installed, what is set, which backends work, and whether they compute what they must."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

import numpy as np

from grilly import backends
from grilly._table import columns
from grilly.cli._parser import Parser
from grilly.cli.devices import describe
from grilly_core import __version__, config, plugins, selection
from grilly_core.errors import ConfigError, GrillyError
from grilly_core.spec import FLOATS

__all__ = ["main"]


def main(args: Sequence[str]) -> int:
    """Run ``grilly doctor`` with ``args``; starts whatever the environment holds.

    Args:
        args: command-line arguments after ``grilly doctor``.

    Returns:
        0, or 1 if a backend is broken, misconfigured or fails its self-test.
    """
    parser = Parser(
        prog="grilly doctor",
        description="Check the installation: versions, settings, every backend, and a spiking network trained for one "
        "step on each of them. Ends with 1 if a backend is broken or computes something wrong.",
    )
    parser.parse_args(args)
    print(
        f"grilly {__version__}, Python {platform.python_version()} ({sys.executable}), NumPy {np.__version__}\n"
        f"{platform.platform()}\n"
    )
    report = backends.status()
    print(describe(report))
    print(f"\n{_packs()}{_settings()}\n")
    works = _self_tests([one.name for one in report if one.state == "available"])
    return 0 if works and all(one.state not in ("broken", "misconfigured") for one in report) else 1


def _packs() -> str:
    """The kernel packs, and why one is never asked."""
    packs = backends.kernel_packs()
    if not packs:
        return ""
    rows = [("kernel pack", "from", "")]
    rows += [(one.name, one.distribution, one.reason and f"not used: {one.reason}") for one in packs]
    return columns(rows) + "\n\n"


def _settings() -> str:
    """The variables in force, what is wrong with them, and where new tensors go."""
    rows = [
        (f"{name}={os.environ[name]}", meaning)
        for name, meaning in config.VARIABLES.items()
        if os.environ.get(name)
    ]
    lines = [columns(rows)] if rows else ["no GRILLY_* variable is set"]
    try:
        plugins.check_settings()
    except ConfigError as error:
        lines.append(f"problem: {error}")
    else:
        lines.append(f"new tensors go to: {_chosen()}")
    return "\n".join(lines)


def _chosen() -> str:
    try:
        backend = selection.current_backend()
    except (GrillyError, ExceptionGroup) as error:
        return f"none; {error}"
    how = "GRILLY_BACKEND" if config.requested_backend() else "chosen automatically"
    return f"{backend.name} ({how}), {backend.device}"


def _self_tests(names: Sequence[str]) -> bool:
    """Test every backend, printing as it goes; True if all pass."""
    from grilly.cli._selftest import self_test

    print("self-test: a spiking network, forward and backward, against the same written out in NumPy")
    passed = True
    for name in names:
        backend = plugins.open_unchecked(name)
        problem = " ".join(self_test(backend).split())
        passed = passed and not problem
        dtypes = " and ".join(dtype for dtype in FLOATS if dtype in backend.dtypes)
        print(f"{name}: {f'FAILED, {problem}' if problem else f'passed in {dtypes}'}", flush=True)
    return passed
