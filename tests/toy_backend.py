"""A backend of a few kernels on NumPy arrays, for tests of what core does when kernels are missing or decline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from grilly_core import ops
from grilly_core.backend import Backend, KernelTable
from grilly_core.spec import Spec

__all__ = ["Toy"]


class Toy(Backend):
    """Float32 and int32 only; ``add``, ``mul`` and ``matmul`` have kernels, nothing else has.

    Args:
        name: its name.
        dtypes: what it holds.
    """

    device = "a toy"
    features = frozenset[str]()

    def __init__(self, name: str = "toy", dtypes: Iterable[str] = ("float32", "int32")) -> None:
        self.name = name
        self.dtypes = frozenset(dtypes)
        self.kernels = KernelTable(name)
        self.calls: list[str] = []

        @self.kernels.register(ops.add)
        def add(device: Any, x: Any, y: Any, /) -> Any:
            self.calls.append("add")
            return x + y

        @self.kernels.register(ops.mul, dtypes={"float32"})
        def mul(device: Any, x: Any, y: Any, /) -> Any:
            self.calls.append("mul")
            return x * y

        @self.kernels.register(ops.matmul, when=lambda x, y: "it takes two axes only" if x.ndim > 2 else None)
        def matmul(device: Any, x: Any, y: Any, /) -> Any:
            self.calls.append("matmul")
            return x @ y

    def from_numpy(self, array: np.ndarray) -> Any:
        return array.copy()

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def spec(self, array: Any) -> Spec:
        return Spec(array.shape, array.dtype.name)

    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> Any:
        return np.full(shape, value, dtype)
