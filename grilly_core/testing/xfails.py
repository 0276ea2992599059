"""A file of expected failures: one test and its reason per line, so that a known fault has a written reason."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["apply", "read"]


def _name(item: pytest.Item) -> str:
    return f"{item.path.name}::{item.name}"


def read(file: Path) -> dict[str, str]:
    """Reasons by test (``test_value.py::test_value[erf]``); blank lines and those that start with # are skipped.

    Raises:
        pytest.UsageError: no such file, or a line without a reason.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise pytest.UsageError(f"--grilly-xfails: {error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        name, _, reason = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if not reason.strip():
            raise pytest.UsageError(f"{file}:{number}: {name} needs a reason after it")
        found[name] = reason.strip()
    return found


def apply(file: Path, items: list[pytest.Item], *, whole: bool) -> None:
    """Mark the tests named in ``file``; each must fail.

    Args:
        file: the file.
        items: the suite's tests that were collected.
        whole: whole modules were collected, so that a test of one of them that is missing does not exist.

    Raises:
        pytest.UsageError: a line names a test that does not exist.
    """
    by_name = {_name(item): item for item in items}
    modules = {item.path.name for item in items}
    for name, reason in read(file).items():
        if name in by_name:
            by_name[name].add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif whole and (name.partition("::")[0] in modules or len(modules) > 1):
            raise pytest.UsageError(f"{file}: {name} is no test of the suite any more; remove the line")
