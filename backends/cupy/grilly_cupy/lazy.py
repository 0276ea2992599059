"""CuPy, imported when something of it is first used."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["cp"]


class _Lazy:
    """Stands for the module; what was looked up once is kept."""

    def __getattr__(self, name: str) -> Any:
        if (
            name.startswith("__") and name != "__version__"
        ):  # tools look at every object; that must import nothing
            raise AttributeError(name)
        value = getattr(importlib.import_module("cupy"), name)
        setattr(self, name, value)
        return value


cp: Any = _Lazy()
"""The module ``cupy``. Kernels are defined without it, so that they can be read, documented and checked anywhere."""
