"""The installed backends: which there are, whether they work, and how each op runs on them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from grilly._table import columns
from grilly_core import plugins
from grilly_core.op import registry
from grilly_core.plugins import available, block, register, unregister
from grilly_core.selection import current_backend, resolve
from grilly_core.status import BackendStatus, PackStatus, kernel_packs, status

__all__ = [
    "BackendStatus", "PackStatus", "available", "block", "current_backend", "kernel_packs", "profile", "register", "report",
    "status", "unregister",
]  # fmt: skip


def profile(backend: str | None = None) -> AbstractContextManager[Any]:
    """Time every op on a device: ``with grilly.profile() as rows: ...`` prints a table and fills ``rows``.

    Ops run one after the other meanwhile. ``GRILLY_PROFILE=1`` does the same for a whole program.

    Args:
        backend: name or name:device; the active backend if None.

    Raises:
        UnsupportedOpError: the backend has no profiler (NumPy: use a Python profiler).
    """
    return (current_backend() if backend is None else resolve(backend)).profile()


def report(backend: str) -> str:
    """A table: op, native or composite, dtypes of the kernel, who supplied it.

    Args:
        backend: name or name:device of an installed backend.

    Example:
        >>> print(report("numpy").splitlines()[0].split())
        ['op', 'runs', 'dtypes', 'from']
    """
    opened = resolve(backend)
    rows = [("op", "runs", "dtypes", "from")]
    for op in registry().values():
        kernel = plugins.kernel_for(op, opened)
        if kernel is None:
            rows.append((op.name, "composite" if op.body is not None else "unsupported", "", ""))
        else:
            rows.append((op.name, "native", " ".join(sorted(kernel.dtypes)), kernel.source))
    return columns(rows)
