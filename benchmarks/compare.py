"""Run grilly's workloads and a peer's in turns on one machine, and print the ratios.

    python benchmarks/compare.py PEER_PYTHON PEER_SCRIPT [--rounds 3] [WORKLOAD ...]

The peer's script takes ``--device cpu`` and workload names and prints one JSON line per measurement with the fields of
``grilly bench``. Medians of the rounds are compared; a pair whose firing rates differ by more than 2 points is marked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys


def measure(command: list[str]) -> dict[tuple[str, str], dict]:
    """One run: results by workload and shapes."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(line["workload"], str(line["shapes"])): line for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare grilly with a peer, in turns.")
    parser.add_argument("peer_python")
    parser.add_argument("peer_script")
    parser.add_argument("workloads", nargs="*", default=["lif", "csnn"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--peer-device", default="cpu")
    options = parser.parse_intermixed_args()
    ours_command = [sys.executable, "-m", "grilly", "bench", "--backend", options.backend, *options.workloads]
    peer_command = [
        options.peer_python,
        options.peer_script,
        "--device",
        options.peer_device,
        *options.workloads,
    ]
    ours, peer = [], []
    for _ in range(options.rounds):
        ours.append(measure(ours_command))
        peer.append(measure(peer_command))
    print(f"{ours[0][next(iter(ours[0]))]['device']}; medians of {options.rounds} runs in turns")
    print("| workload | shapes | grilly ms | peer ms | ratio | rates | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for key in ours[0]:
        if key not in peer[0]:
            continue
        a = statistics.median(run[key]["ms_median"] for run in ours)
        b = statistics.median(run[key]["ms_median"] for run in peer)
        rates = [run[0][key]["check"] for run in (ours, peer)]
        shown = "" if rates[0] is None or rates[1] is None else f"{rates[0]:.3f} {rates[1]:.3f}"
        if shown and abs(rates[0] - rates[1]) > 0.02:
            shown += " DIFFER"
        peaks = [run[0][key]["peak_bytes"] for run in (ours, peer)]
        memory = " ".join("-" if peak is None else f"{peak / 1e6:.0f}" for peak in peaks)
        print(f"| {key[0]} | {key[1]} | {a:.2f} | {b:.2f} | {a / b:.2f} | {shown} | {memory} |")


if __name__ == "__main__":
    main()
