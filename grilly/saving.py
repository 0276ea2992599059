"""Saving and loading: safetensors files, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from grilly.nn.module import Module
from grilly_core.errors import ArgumentError
from grilly_core.tensor import Tensor

__all__ = ["load", "save"]


def save(
    source: Module | Mapping[str, Any], path: str | PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's parameters and buffers, or named arrays, to a safetensors file; atomically.

    Args:
        source: a module, or arrays and Tensors by name.
        path: the file; an old one is replaced only when the new one is complete.
        metadata: texts stored with it.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile, os, grilly
        >>> from grilly import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "layer.safetensors")
        >>> grilly.save(nn.Linear(3, 2), path)
        >>> sorted(grilly.load(path))
        ['bias', 'weight']
    """
    from grilly.io import save_arrays

    named = source.state_dict() if isinstance(source, Module) else source
    if not isinstance(named, Mapping):
        raise ArgumentError(f"save takes a module or a mapping of arrays, got {type(source).__name__}")
    arrays = {
        name: value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        for name, value in named.items()
    }
    save_arrays(path, arrays, dict(metadata or {}))


def load(path: str | PathLike[str], into: Module | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file; with ``into`` also fill that module.

    Args:
        path: the file.
        into: a module that ``load_state_dict`` is called on.

    Returns:
        NumPy arrays by name.

    Raises:
        CheckpointError: the file is missing, truncated or foreign, or does not fit the module.
    """
    from grilly.io import load_arrays

    arrays: dict[str, np.ndarray] = load_arrays(path)[0]
    if into is not None:
        into.load_state_dict(arrays)
    return arrays
