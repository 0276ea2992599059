"""Check backends on the GPU of this machine and write what passed: python tools/gpu_report.py [--out FILE] [BACKEND ...]

Runs, for each backend (default: vulkan and cupy, those that open), the conformance suite, the golden cases, the
cross-check of whole networks and the backend's own tests, then one training run; writes a Markdown report with device,
driver and date. Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from grilly_core import __version__, plugins
from grilly_core.errors import GrillyError

ROOT = Path(__file__).resolve().parents[1]
_PUBLISHED = "-p grilly_core.testing.plugin --pyargs grilly_core.testing.conformance --grilly-backend {name}"
SUITES = {
    "conformance": _PUBLISHED.split(),
    "golden cases": ["tests/oracle", "-k", "{name}"],
    "cross-check of networks": ["tests/cross"],
    "its kernels": ["backends/{name}/tests", "-k", "kernels or products"],
}


class Row(NamedTuple):
    """What one suite said."""

    backend: str
    suite: str
    summary: str
    seconds: float
    ok: bool


def run_suite(backend: str, suite: str, arguments: list[str], processes: int) -> Row | None:
    """One pytest run in a process of its own; None where there is no such suite."""
    words = [word.format(name=backend) for word in arguments]
    if words[0].startswith(("tests", "backends")) and not (ROOT / words[0]).is_dir():
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:benchmark", "-n", str(processes), *words]
    environment = {**os.environ, "GRILLY_TEST_REQUIRE": backend}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    last = [
        line for line in done.stdout.splitlines() if re.search(r"\d+ (passed|failed|error|skipped)", line)
    ]
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr)
    summary = (
        re.sub(r" in [\d.]+s.*| \([\d:]+\)", "", last[-1]).strip("= ")
        if last
        else f"exit code {done.returncode}"
    )
    return Row(backend, suite, summary, time.perf_counter() - start, done.returncode == 0)


def train(backend: str) -> Row:
    """``grilly train`` with its defaults."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grilly", "train", "--backend", backend, "--quiet", "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return Row(
                backend, "grilly train", done.stderr.strip()[-200:], time.perf_counter() - start, False
            )
        metrics = json.loads((Path(folder) / "metrics.json").read_text())
    accuracy, rate = metrics["test_accuracy"], metrics["samples_per_second"]
    said = f"{accuracy:.2%} test accuracy, {rate:,.0f} samples per second"
    return Row(backend, "grilly train", said, time.perf_counter() - start, accuracy >= 0.97)


def report(devices: dict[str, str], rows: list[Row]) -> str:
    """The Markdown text."""
    lines = [
        "# GPU report",
        "",
        f"grilly {__version__}, {datetime.date.today().isoformat()}, Python {sys.version.split()[0]}. Made by:",
        "",
        "```bash",
        "python tools/gpu_report.py --out docs/gpu-report.md",
        "```",
        "",
        *(f"- **{name}**: {device}" for name, device in devices.items()),
        "",
        "| backend | what ran | result | seconds |",
        "|---|---|---|---|",
        *(
            f"| {r.backend} | {r.suite} | {'' if r.ok else '**FAILED** '}{r.summary} | {r.seconds:.0f} |"
            for r in rows
        ),
        "",
        "Skipped tests are those of features a backend does not declare (Vulkan: float64, IEEE special values).",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run everything; 1 if anything failed or no backend opened."""
    parser = argparse.ArgumentParser(description="Check backends on this machine's GPU.")
    parser.add_argument("backends", nargs="*", default=["vulkan", "cupy"])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gpu-report.md")
    parser.add_argument("--processes", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args()
    devices: dict[str, str] = {}
    rows: list[Row] = []
    for name in options.backends:
        try:
            devices[name] = plugins.open_backend(name).device
        except GrillyError as error:
            devices[name] = f"not run: {error}"
            continue
        for suite, arguments in SUITES.items():
            row = run_suite(name, suite, arguments, options.processes)
            if row is not None:
                rows.append(row)
                print(*row, flush=True)
                options.out.write_text(report(devices, rows))  # what is known is kept if a later suite hangs
        rows.append(train(name))
        print(*rows[-1], flush=True)
    options.out.write_text(report(devices, rows))
    return 0 if rows and all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
