"""A kernel pack: SciPy's logistic function in place of the one of the NumPy backend.

Loaded when the backend ``numpy`` opens, since the entry point is called ``numpy.scipy``; asked once per op.
"""

from __future__ import annotations

from typing import Any

from scipy.special import expit

from grilly_core.extend import FLOATS, Kernel, Op, hookimpl, make_kernel, ops

__all__ = ["grilly_kernel"]


def sigmoid(device: Any, x: Any, /) -> Any:
    """``device`` is the backend; ``x`` is its own handle, here a NumPy array."""
    return expit(x)


@hookimpl
def grilly_kernel(op: Op, backend: str) -> Kernel | None:
    """The kernel of ``op``, or None: then the next pack is asked, and at last the backend's own table."""
    if op is ops.sigmoid:
        return make_kernel(op, sigmoid, dtypes=FLOATS, source="grilly-scipy")
    return None
