"""The CUDA sources as a compiler sees them, and the conformance suite on the stand-in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from grilly_core.extend import fused_surrogate
from grilly_core.surrogate import ATan, StraightThrough
from grilly_cupy.source import compile_options, source_of

_FAKE = Path(__file__).parent / "fake"
_FILES = sorted(
    file.name
    for file in resources.files("grilly_cupy").joinpath("cuda").iterdir()
    if file.name.endswith(".cu")
)
_DEFINES = {"KIND": 1, "UNROLL": 4, "LEARNED": 1, "MODEL": 0, "BACK": 0, "REDUCE": 1, "WHICH": 0, "BOOL": 0}


def test_contraction_is_off_and_includes_are_resolved() -> None:
    assert compile_options("float64", (("KIND", 1),)) == ("--fmad=false", "-DREAL=double", "-DKIND=1")
    for file in _FILES:
        assert "#include" not in source_of(file)


def test_the_derivatives_in_the_source_are_numbered_as_in_core() -> None:
    found = [fused_surrogate(surrogate) for surrogate in (ATan(), StraightThrough())]
    assert (
        found[0] is not None
        and found[0][0] == 0
        and "SURROGATE == 0) return top / (z * z" in source_of("neuron.cuh")
    )
    assert found[1] == (7, 0.0, 1.0) and "SURROGATE == 7" not in source_of("neuron.cuh")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc to compile CUDA sources with")
@pytest.mark.parametrize("file", _FILES)
def test_nvcc_compiles(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.write_text(source_of(file), "utf-8")
    for dtype in ("float32", "float64"):
        options = compile_options(dtype, tuple(_DEFINES.items()))
        surrogate = ["-DSURROGATE=1"] if file in ("neuron_back.cu",) else []
        command = [
            "nvcc",
            "-arch=sm_80",
            "-ptx",
            *options,
            *surrogate,
            "-o",
            str(tmp_path / "out.ptx"),
            str(path),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to run CUDA sources on the CPU with")
def test_conformance_on_the_stand_in(tmp_path: Path) -> None:
    """The contract, transfers and the values of every op in float32, as ``grilly conformance cupy`` would check them."""
    path = os.pathsep.join([str(_FAKE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "HYPOTHESIS_PROFILE": "dev"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "grilly_core.testing.plugin"]
    command += ["-p", "no:cacheprovider"]
    command += ["--pyargs", "grilly_core.testing.conformance", "--grilly-backend", "cupy"]
    command += ["-k", "contract or transfer or (test_value and not float64)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 unsupported" in done.stdout
