"""``grilly conformance``: the published suite that says whether a backend computes what it must."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from grilly._extras import import_extra
from grilly.cli._parser import Parser
from grilly_core import selection

__all__ = ["main"]

_SUITE = "grilly_core.testing.conformance"
_PROFILES = ("dev", "ci", "nightly")


def main(args: Sequence[str]) -> int:
    """Run ``grilly conformance`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly conformance``.

    Raises:
        ConfigError, BackendUnavailable, BackendLoadError: the backend does not open, or pytest is missing.
    """
    options = _parser().parse_args(args)
    pytest = import_extra("pytest", "grilly conformance", extra="test")
    if find_spec("hypothesis") is None:  # not imported here: pytest wants to do that itself
        import_extra("hypothesis", "grilly conformance", extra="test")
    selection.resolve(options.backend)
    command = ["-q", "-p", "grilly_core.testing.plugin", "-p", "no:cacheprovider", "--pyargs", _SUITE]
    command += ["--grilly-backend", options.backend]
    if options.k:
        command += ["-k", options.k]
    with _profile(options.profile):
        return int(pytest.main(command))


def _parser() -> Parser:
    parser = Parser(
        prog="grilly conformance",
        description="Compare every op of a backend, its gradients and its errors with what they must be; "
        "the report at the end says how each op runs.",
    )
    parser.add_argument(
        "backend", metavar="NAME[:device]", help="an installed backend, e.g. numpy or vulkan:cpu"
    )
    parser.add_argument(
        "--profile",
        choices=_PROFILES,
        default="dev",
        help="examples per test: dev 20, ci 100 and the same ones each time, nightly 2000 (default: dev)",
    )
    parser.add_argument(
        "-k", metavar="EXPR", help="only tests whose names match, as in pytest, e.g. 'lif and value'"
    )
    return parser


@contextmanager
def _profile(name: str) -> Iterator[None]:
    """Where the suite reads it from."""
    before = os.environ.get("HYPOTHESIS_PROFILE")
    os.environ["HYPOTHESIS_PROFILE"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYPOTHESIS_PROFILE"]
        else:
            os.environ["HYPOTHESIS_PROFILE"] = before
