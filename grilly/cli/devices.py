"""``grilly devices``: the backends, their devices, and for those that cannot be used, why and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from grilly import backends
from grilly._table import columns
from grilly.backends import BackendStatus
from grilly.cli._parser import Parser

__all__ = ["describe", "main"]


def main(args: Sequence[str]) -> int:
    """Run ``grilly devices`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly devices``.
    """
    parser = Parser(
        prog="grilly devices",
        description="List the installed backends with their devices; choose one with GRILLY_BACKEND or --backend.",
    )
    parser.parse_args(args)
    print(describe(backends.status()))
    return 0


def describe(report: Sequence[BackendStatus]) -> str:
    """A table of backends, and a line for each that cannot be used.

    Example:
        >>> print(describe([BackendStatus("foo", "grilly-foo 1.2", "unavailable", "", "no driver; install one")]))
        backend  state        device  from
        foo      unavailable          grilly-foo 1.2
        <BLANKLINE>
        foo is unavailable: no driver; install one
    """
    rows = [("backend", "state", "device", "from")]
    rows += [(one.name, one.state, one.device, one.distribution) for one in report]
    reasons = [f"{one.name} is {one.state}: {' '.join(one.reason.split())}" for one in report if one.reason]
    return "\n".join([columns(rows), *([""] if reasons else []), *reasons])
