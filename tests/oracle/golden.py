"""Golden cases: inputs, results and gradients computed by an independent library in float64, one ``.npz`` a case.

They are looked for in the folder that ``GRILLY_ORACLE`` names, then in ``shared/oracle`` beside the repository; a few
small ones are kept here and used when there is no such folder.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

__all__ = ["GRADIENTS", "VALUES", "Golden", "close", "folder", "kinds", "load", "names", "params"]

_HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """The folder of cases.

    Raises:
        FileNotFoundError: ``GRILLY_ORACLE`` names no folder.
    """
    named = os.environ.get("GRILLY_ORACLE")
    if named:
        if not Path(named).is_dir():
            raise FileNotFoundError(f"GRILLY_ORACLE={named} is not a folder")
        return Path(named)
    beside = _HERE.parents[2] / "shared" / "oracle"
    return beside if beside.is_dir() else _HERE / "cases"


def names() -> list[str]:
    """Every case, by file name without ending.

    Example:
        >>> any(name.startswith("neuron_") for name in names())
        True
    """
    return sorted(path.stem for path in folder().glob("*.npz"))


def params(*kinds: str) -> list[Any]:
    """The names of the cases of some kinds (the part of the name before the first ``_``), for parametrize."""
    found = [name for name in names() if name.partition("_")[0] in kinds]
    return found or [
        pytest.param("none", marks=pytest.mark.skip(reason=f"no golden cases of {', '.join(kinds)}"))
    ]


VALUES = {"float64": 1e-9, "float32": 1e-5}
GRADIENTS = {"float64": 1e-9, "float32": 1e-4}


class Golden:
    """One case.

    Attributes:
        layer: name of the class or function.
        args: its arguments; ``surrogate_function`` is ``[name, alpha]``.
        arrays: everything else, by name.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            meta = json.loads(str(data["meta"]))
            self.arrays = {name: data[name] for name in data.files if name != "meta"}
        self.layer: str = meta["layer"]
        self.args: dict[str, Any] = meta["args"]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


@functools.cache
def load(name: str) -> Golden:
    """The case of this name."""
    return Golden(folder() / f"{name}.npz")


def close(found: Any, wanted: np.ndarray, dtype: str, what: str, table: dict[str, float] = VALUES) -> None:
    """Equal up to the dtype's tolerance: of each value, or for gradients of the largest."""
    array = np.asarray(found)
    assert array.dtype == dtype, what
    assert array.shape == wanted.shape, what
    scale = np.maximum(1.0, np.abs(wanted)) if table is VALUES else np.abs(wanted).max(initial=1e-30)
    worst = float((np.abs(array.astype(np.float64) - wanted) / scale).max(initial=0.0))
    assert worst <= table[dtype], f"{what}: off by {worst:.3g}, allowed are {table[dtype]:g}"


def kinds(cases: Sequence[str]) -> set[str]:
    """The kinds of some cases."""
    return {name.partition("_")[0] for name in cases}
