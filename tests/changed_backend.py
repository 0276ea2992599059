"""The NumPy backend with some kernels taken away or exchanged, for tests that plant faults or watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from grilly_core.extend import FLOATS, Kernel, KernelTable, Op, make_kernel
from grilly_numpy.backend import NumpyBackend

__all__ = ["Changed", "Changes"]

Changes = Mapping[Op, Callable[..., Any] | None]


class _Table(KernelTable):
    def __init__(self, owner: str, changes: Changes) -> None:
        super().__init__(owner)
        self._changes = changes

    def get(self, op: Op) -> Kernel | None:
        if op not in self._changes:
            return NumpyBackend.kernels.get(op)
        function = self._changes[op]
        return None if function is None else make_kernel(op, function, dtypes=FLOATS)


class Changed(NumpyBackend):
    """NumPy under another name, its kernels changed.

    Args:
        name: its name.
        changes: by op a kernel for floats, or None for no kernel: a composite then runs as its body.
        device: as of the NumPy backend.

    Example:
        >>> from grilly_core.extend import ops
        >>> Changed("bare", {ops.erf: None}).kernels.get(ops.erf) is None
        True
    """

    def __init__(self, name: str, changes: Changes, device: str | None = None) -> None:
        super().__init__(device)
        self.name = name
        self.kernels = _Table(name, changes)
