"""The backend whose arrays hold nothing: shapes and dtypes without arithmetic.

Composites get their shape rule from it (their body runs on abstract tensors), and tests use it to check a
network's shapes without a device.

Example:
    >>> from grilly_core import ops
    >>> a = abstract_tensor(Spec((5, 3), "float32"))
    >>> ops.matmul(a, abstract_tensor(Spec((3, 2), "float32"))).spec
    float32[5,2]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grilly_core.backend import FEATURES, Backend, KernelTable
from grilly_core.errors import UnsupportedOpError
from grilly_core.spec import DTYPES, Spec

if TYPE_CHECKING:
    from grilly_core.tensor import Tensor

__all__ = ["ABSTRACT", "HOLLOW", "abstract_tensor"]

HOLLOW: Any = ()
"""The handle of every abstract array."""


class AbstractBackend(Backend):
    """Arrays are one empty marker; every op returns what its rule infers."""

    name = "abstract"
    device = "no device: shapes only"
    dtypes = frozenset(DTYPES)
    features = FEATURES - {"host_memory"}
    kernels = KernelTable("abstract")

    def from_numpy(self, array: np.ndarray) -> Any:
        """No contents are kept."""
        return HOLLOW

    def to_numpy(self, array: Any) -> np.ndarray:
        """There is nothing to read.

        Raises:
            UnsupportedOpError: always.
        """
        raise UnsupportedOpError("an abstract tensor has a shape and a dtype but no values to read")

    def spec(self, array: Any) -> Spec:
        """Abstract handles know nothing; tensors carry their own spec.

        Raises:
            UnsupportedOpError: always.
        """
        raise UnsupportedOpError("the spec of an abstract array is held by its tensor")

    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> Any:
        """No contents are kept."""
        return HOLLOW


ABSTRACT = AbstractBackend()
"""The one abstract backend."""


def abstract_tensor(spec: Spec, requires_grad: bool = False) -> Tensor:
    """A tensor of the given spec without contents."""
    from grilly_core.tensor import Tensor

    return Tensor(HOLLOW, ABSTRACT, spec, requires_grad)
