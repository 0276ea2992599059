"""The table at the end of a conformance run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from grilly_core.backend import Backend
from grilly_core.op import Op, registry
from grilly_core.plugins import kernel_for

__all__ = ["CAPABILITY", "OP", "runs", "write"]

OP = "grilly_op"
"""Property of a test report: the op's name."""

CAPABILITY = "grilly_capability"
"""Property of a skipped test's report: the feature that the backend does not declare."""

_OUTCOMES = ("passed", "failed", "skipped", "xfailed")


def runs(op: Op, backend: Backend) -> str:
    """'native', 'composite' or 'unsupported'."""
    if kernel_for(op, backend) is not None:
        return "native"
    return "composite" if op.body is not None else "unsupported"


def _counts(stats: dict[str, list[Any]]) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Outcomes per op, and tests skipped per feature."""
    per_op: dict[str, Counter[str]] = {}
    skipped: Counter[str] = Counter()
    for outcome, reports in stats.items():
        for report in reports:
            properties = dict(getattr(report, "user_properties", ()))
            if OP in properties:
                kind = "failed" if outcome == "error" else outcome
                per_op.setdefault(properties[OP], Counter())[kind] += 1
            if outcome == "skipped" and CAPABILITY in properties:
                skipped[properties[CAPABILITY]] += 1
    return per_op, skipped


def write(reporter: Any, backend: Backend) -> None:
    """Write the table, if any test of the suite ran."""
    per_op, skipped = _counts(reporter.stats)
    if not per_op and not skipped:
        return
    kinds = {op.name: runs(op, backend) for op in registry().values()}
    width = max(map(len, kinds))
    reporter.section(f"grilly conformance of {backend.name} ({backend.device})")
    reporter.line(f"{'op':<{width}}  {'runs':<11}  {'  '.join(_OUTCOMES)}")
    for name, kind in kinds.items():
        counts = per_op.get(name, Counter())
        cells = "  ".join(f"{counts[outcome] or '':>{len(outcome)}}" for outcome in _OUTCOMES)
        reporter.line(f"{name:<{width}}  {kind:<11}  {cells}".rstrip(), red=bool(counts["failed"]))
    total = Counter(kinds.values())
    reporter.line("")
    reporter.line(", ".join(f"{total[kind]} {kind}" for kind in ("native", "composite", "unsupported")))
    reporter.line(
        f"skipped for capabilities: {skipped.total()}"
        + "".join(f"; {feature} {count}" for feature, count in sorted(skipped.items()))
    )
    if wrong := sorted(name for name, counts in per_op.items() if counts["failed"]):
        reporter.line(f"wrong: {', '.join(wrong)}", red=True)
