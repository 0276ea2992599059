#!/usr/bin/env bash
# Everything that wants a GPU, from a checkout: conformance, golden cases, tests and benchmarks of backend cupy.
# Arguments: those of grilly bench in place of its usual workloads.
set -uo pipefail
cd "$(dirname "$0")/../.."
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
export PYTHONPATH="$PWD:$PWD/backends/cupy:$PWD/backends/numpy:$PWD/backends/vulkan:$site${PYTHONPATH:+:$PYTHONPATH}"
# Entry points are found in metadata: where grilly is not installed, metadata of this checkout.
python3 - "$site" <<'PY'
import pathlib, sys, tomllib
from importlib import metadata
if not [e for e in metadata.entry_points(group="grilly.backends") if e.name == "cupy"]:
    there = {e.name for e in metadata.entry_points(group="grilly.backends")}
    named = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["entry-points"]["grilly.backends"]
    named = {"cupy": "grilly_cupy", **named}
    info = pathlib.Path(sys.argv[1], "grilly_checkout-0.1.0.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: grilly-checkout\nVersion: 0.1.0\n")
    lines = [f"{name} = {module}" for name, module in named.items() if name not in there]
    info.joinpath("entry_points.txt").write_text("[grilly.backends]\n" + "\n".join(lines) + "\n")
PY
export GRILLY_TEST_REQUIRE=cupy
failed=0
step() {
  printf '\n== %s (%ss)\n' "$1" "$SECONDS"
  shift
  "$@" || { failed=1; echo "FAILED: $*"; }
}
python3 -c 'import grilly; print(grilly.use_backend("cupy"))' || exit 1
[ $# -gt 0 ] || set -- copy neurons lif csnn
step "bench" python3 -m grilly bench --backend cupy "$@"
step "golden cases" python3 -m pytest -q -p no:cacheprovider tests/oracle -k cupy
step "tests of the backend" python3 -m pytest -q -p no:cacheprovider -m "not slow" backends/cupy/tests
step "conformance" python3 -m grilly conformance cupy
exit $failed
