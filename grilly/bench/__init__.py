"""``grilly bench``: the workloads that frameworks for spiking networks are compared on.

Every measurement prints one JSON line: ``workload, library, backend, device, shapes, ms_median, ms_min, ms_max, runs,
peak_bytes, check``. ``check`` is a mean firing rate; outside 2 % to 98 % the run is refused, because a silent
network times nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from grilly_core import selection

__all__ = ["main"]


def main(args: Sequence[str]) -> int:
    """Run ``grilly bench`` with ``args``; returns the exit code.

    Args:
        args: command-line arguments after ``grilly bench``.
    """
    from grilly.bench.workloads import WORKLOADS, Bench

    parser = argparse.ArgumentParser(
        prog="grilly bench", description="Time standard workloads; one JSON line each."
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)} (default: lif csnn)"
    )
    parser.add_argument("--backend", help="name or name:device (default: GRILLY_BACKEND or automatic)")
    parser.add_argument("--runs", type=int, help="timed calls (default: 5 on a CPU, 20 on a device)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: checks that everything runs, times nothing worth"
    )
    options = parser.parse_args(args)
    if unknown := [name for name in options.workloads if name not in WORKLOADS]:
        parser.error(f"unknown workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    backend = selection.resolve(options.backend) if options.backend else selection.current_backend()
    bench = Bench(backend, runs=options.runs, quick=options.quick)
    with selection.using(backend):
        for name in options.workloads or ["lif", "csnn"]:
            for line in WORKLOADS[name](bench):
                print(json.dumps(line), flush=True)
    return 0
