"""What a backend is: a handful of methods and a table of kernels."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grilly_core.errors import KernelError, UnsupportedOpError
from grilly_core.spec import DTYPES, Spec

if TYPE_CHECKING:
    import numpy as np

    from grilly_core.op import Op

__all__ = ["ALONE", "API_VERSION", "FEATURES", "Array", "Backend", "BackendInfo", "Kernel", "KernelTable"]

API_VERSION = 1

Array = Any
"""A backend's own array handle; core passes it around and never looks inside."""


def _alone() -> int:
    held = [object()]
    one = held[0]
    return sys.getrefcount(one)


ALONE = _alone()
"""What ``sys.getrefcount`` says of a variable whose value one other place holds: 3, from Python 3.14 on 2.

An argument counts as such a variable, so it is what ``is_exclusive`` sees of a handle that only its tensor holds.
"""

FEATURES = frozenset({"deterministic_scatter", "float64", "host_memory", "ieee_special"})
"""What a backend may declare beyond the primitives.

``float64``: every op works in double precision. ``ieee_special``: NaN and infinity behave as IEEE 754
says. ``deterministic_scatter``: ``scatter_add`` with repeated indices gives the same bits every time.
``host_memory``: arrays are NumPy arrays in host memory, so reading one costs nothing.
"""


@dataclass(frozen=True)
class Kernel:
    """One implementation of one op: the function, the dtypes it takes, where it comes from."""

    function: Callable[..., Any]
    dtypes: frozenset[str]
    when: Callable[..., str | None] | None = None
    source: str = ""

    def declines(self, specs: Sequence[Any], attrs: dict[str, Any]) -> str | None:
        """Why this kernel does not take the call, or None if it does."""
        for spec in flat_specs(specs):
            if spec.dtype not in self.dtypes:
                return f"its kernel takes {', '.join(sorted(self.dtypes))}, not {spec.dtype}"
        return self.when(*specs, **attrs) if self.when is not None else None


def flat_specs(specs: Iterable[Any]) -> Iterator[Spec]:
    """The Specs among a call's positional arguments, sequences opened, None skipped."""
    for spec in specs:
        if isinstance(spec, Spec):
            yield spec
        elif spec is not None:
            yield from flat_specs(spec)


class KernelTable:
    """The kernels of one backend, filled by the ``register`` decorator.

    A kernel has the op's own parameters in the op's order after a first parameter for the backend, and
    no defaults: those exist in the declaration only. A mismatch raises where the kernel is defined.

    Example:
        >>> from grilly_core import ops
        >>> kernels = KernelTable("demo")
        >>> @kernels.register(ops.mul, dtypes={"float32"})
        ... def mul(device, x, y, /):
        ...     return x * y
        >>> ops.mul in kernels
        True
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._kernels: dict[Op, Kernel] = {}

    def register(
        self,
        op: Op,
        *,
        dtypes: Iterable[str] = DTYPES,
        when: Callable[..., str | None] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that makes a function the kernel of ``op``.

        Args:
            op: the declared op.
            dtypes: dtypes that every tensor argument must be of for this kernel to be used.
            when: called with the arguments' Specs and the attributes; returns None to accept the call
                or the reason for declining it (the composite is used then).

        Raises:
            KernelError: for another signature than the op's, a default value, or a second kernel.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            if op in self._kernels:
                raise KernelError(f"{self.owner}: op {op.name} already has a kernel; remove one of the two")
            self._kernels[op] = make_kernel(op, function, dtypes=dtypes, when=when, source=self.owner)
            return function

        return decorate

    def get(self, op: Op) -> Kernel | None:
        """The kernel of ``op``, or None."""
        return self._kernels.get(op)

    def __contains__(self, op: Op) -> bool:
        return op in self._kernels

    def __iter__(self) -> Iterator[Op]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)


def make_kernel(
    op: Op,
    function: Callable[..., Any],
    *,
    dtypes: Iterable[str] = DTYPES,
    when: Callable[..., str | None] | None = None,
    source: str = "",
) -> Kernel:
    """A checked :class:`Kernel`; what ``KernelTable.register`` and kernel packs are built from."""
    _check_signature(op, function)
    names = frozenset(dtypes)
    if unknown := names - frozenset(DTYPES):
        raise KernelError(
            f"kernel of {op.name}: unknown dtypes {sorted(unknown)}; known are {', '.join(DTYPES)}"
        )
    return Kernel(function, names, when, source)


def _check_signature(op: Op, function: Callable[..., Any]) -> None:
    where = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise KernelError(f"kernel {where} of op {op.name} takes no backend: its first parameter must be one")
    got = parameters[1:]
    positional = [p.name for p in got if p.kind is p.POSITIONAL_ONLY]
    keywords = [p.name for p in got if p.kind is p.KEYWORD_ONLY]
    if (
        positional != list(op.inputs)
        or keywords != list(op.attributes)
        or len(got) != len(positional) + len(keywords)
    ):
        wanted = ", ".join(["device", *op.inputs, "/"] + (["*", *op.attributes] if op.attributes else []))
        raise KernelError(
            f"kernel {where} does not fit op {op.name}: it must take ({wanted}), it takes {inspect.signature(function)}"
        )
    if defaults := [p.name for p in got if p.default is not p.empty]:
        raise KernelError(
            f"kernel {where} of op {op.name} gives defaults for {', '.join(defaults)}; the op's declaration has them"
        )


class Backend(ABC):
    """A device that holds arrays and runs kernels.

    Attributes:
        name: the name users select it by; the entry point's name.
        device: the device in words, for reports.
        dtypes: dtypes it can hold.
        features: what it declares of :data:`FEATURES`.
        kernels: its own table of kernels.
        closed: set by core once it has been closed.
    """

    name: str
    device: str
    dtypes: frozenset[str]
    features: frozenset[str]
    kernels: KernelTable
    closed: bool = False

    @abstractmethod
    def from_numpy(self, array: np.ndarray) -> Array:
        """A handle that holds a copy of ``array`` (any strides, a supported dtype)."""

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray:
        """The contents as a NumPy array; waits for pending work."""

    @abstractmethod
    def spec(self, array: Array) -> Spec:
        """Shape and dtype of a handle."""

    @abstractmethod
    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> Array:
        """A handle filled with ``value``."""

    def is_exclusive(self, array: Array) -> bool:
        """Whether the caller holds the only reference to ``array`` and to its memory, so that it may be overwritten.

        Called as ``backend.is_exclusive(tensor._data)``: the tensor's reference and the call's own do not count.
        False, the answer of a backend that does not know, only costs memory: optimisers write new arrays then.
        """
        return False

    def from_dlpack(self, data: Any) -> Array:
        """A handle in the memory of ``data``, another library's array with ``__dlpack__``; never exclusive.

        Raises:
            UnsupportedOpError: this backend cannot share memory.
            BufferError, RuntimeError, TypeError, ValueError: not with this array; core says how to go on.
        """
        raise UnsupportedOpError(
            f"backend {self.name} cannot share memory through DLPack; copy the array with grilly.tensor(...)"
        )

    def synchronize(self) -> None:
        """Return when all submitted work is done."""
        return

    def profile(self) -> AbstractContextManager[Any]:
        """Time every op on the device inside a ``with`` block; prints a table at its end.

        Raises:
            UnsupportedOpError: this backend cannot.
        """
        raise UnsupportedOpError(f"backend {self.name} has no profiler; use a Python profiler for it")

    def peak_memory(self, reset: bool = False) -> int | None:
        """Most bytes that arrays took together since the last ``reset``; None where it is not counted."""
        return None

    def close(self) -> None:
        """Give the device back; the backend is not used afterwards."""
        return

    def __repr__(self) -> str:
        return f"<backend {self.name}: {self.device}>"


@dataclass(frozen=True)
class BackendInfo:
    """What a plugin says about its backend before any device is opened.

    Attributes:
        name: the name users select it by; must equal the entry point's name.
        api_version: the :data:`API_VERSION` the plugin was written for.
        open: ``open(device, automatic)`` returns the backend. ``device`` is what follows the colon in
            ``GRILLY_BACKEND=name:device`` or None; ``automatic`` is True when the user named no backend.
            Raises :class:`~grilly_core.errors.BackendUnavailable` when driver or device are missing. May
            return the same object again for the same device.
    """

    name: str
    api_version: int
    open: Callable[[str | None, bool], Backend]
