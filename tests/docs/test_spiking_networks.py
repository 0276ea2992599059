"""docs/spiking-networks.md: the lines users are promised stand in it unchanged, and its blocks run on every backend."""

from __future__ import annotations

from pathlib import Path

import pytest
from backends_under_test import backend_params

import grilly
from grilly.backends import current_backend
from grilly_core.selection import using

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "spiking-networks.md"
PROMISED = (HERE / "guide_lines.txt").read_text().splitlines()


def code_blocks() -> list[str]:
    """Python blocks, in order."""
    parts = DOCUMENT.read_text().split("```python\n")[1:]
    return [part.split("\n```")[0] for part in parts]


def test_the_promised_lines_stand_unchanged_and_in_order() -> None:
    lines = iter([line for block in code_blocks() for line in block.splitlines()])
    missing = [line for line in PROMISED if line not in lines]  # `in` moves the iterator on
    assert not missing
    assert len(PROMISED) > 40


@pytest.mark.parametrize("backend", backend_params())
def test_every_block_runs(backend: str) -> None:
    namespace: dict[str, object] = {}
    with using(backend):
        grilly.seed(0)
        for number, code in enumerate(code_blocks(), 1):
            exec(compile(code, f"{DOCUMENT.name}, block {number}", "exec"), namespace)
        assert current_backend().name == backend
    output, stdp = namespace["output"], namespace["stdp"]
    assert isinstance(output, grilly.Tensor) and output.shape == (10, 4, 8)
    assert output.backend == backend == stdp.weight.backend  # type: ignore[attr-defined]
