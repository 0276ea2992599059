"""Memory of other libraries as tensors, without a copy."""

from __future__ import annotations

from typing import Any

from grilly_core import selection
from grilly_core.backend import Backend
from grilly_core.errors import ArgumentError, DTypeError, UnsupportedOpError
from grilly_core.tensor import Tensor

__all__ = ["from_dlpack"]


def from_dlpack(data: Any, *, backend: str | Backend | None = None) -> Tensor:
    """A tensor in the memory of another library's array, through DLPack. Changes of one are seen by the other.

    NumPy takes arrays in host memory, CuPy those on its CUDA device, whoever made them. No op writes into them. The way
    back is that library's own ``from_dlpack(tensor)``.

    Args:
        data: an array with ``__dlpack__``: of PyTorch, JAX, CuPy, NumPy.
        backend: a name or backend; None for the active one.

    Raises:
        ArgumentError: ``data`` has no ``__dlpack__``.
        UnsupportedOpError: the backend cannot use this memory: another device, a layout or dtype it cannot read, or an
            array that PyTorch tracks a gradient of.
        DTypeError: a dtype that grilly does not have.

    Example:
        >>> import numpy as np
        >>> host = np.zeros(2, np.float32)
        >>> x = from_dlpack(host, backend="numpy")
        >>> host[0] = 5.0
        >>> x.tolist()
        [5.0, 0.0]
    """
    target = selection.current_backend() if backend is None else selection.resolve(backend)
    if not hasattr(data, "__dlpack__"):
        raise ArgumentError(f"{type(data).__name__} has no __dlpack__; copy it with grilly.tensor(...)")
    try:
        handle = target.from_dlpack(data)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, UnsupportedOpError):
            raise
        raise UnsupportedOpError(
            f"backend {target.name} ({target.device}) cannot share the memory of this {type(data).__name__}: {error}. "
            "Copy it with grilly.tensor(...)"
        ) from error
    spec = target.spec(handle)
    if spec.dtype not in target.dtypes:
        raise DTypeError(
            f"dtype {spec.dtype} cannot be shared; backend {target.name} has {', '.join(sorted(target.dtypes))}"
        )
    return Tensor(handle, target, spec)
