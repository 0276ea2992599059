"""A case is one valid call of an op with NumPy arrays; here each op gets its strategy, its meaning and its misuses.

Third parties that add ops register the same way, in a module that they load with ``pytest -p``:

Example:
    >>> from grilly_core import ops
    >>> case_for(ops.add).example is not None
    True
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grilly_core.errors import DeclarationError, GrillyError
from grilly_core.op import Op
from grilly_core.spec import DTYPES, FLOATS, Spec
from grilly_core.testing.strategies import dtype_of

__all__ = [
    "NUMBERS",
    "Case",
    "Misuse",
    "Wanted",
    "case_for",
    "case_of",
    "flat",
    "meaning_of",
    "means",
    "misuse",
    "misuses_of",
]

NUMBERS = tuple(name for name in DTYPES if name != "bool")
"""Dtypes that arithmetic takes."""


def flat(args: Sequence[Any]) -> Iterator[Any]:
    """Arguments with sequences opened."""
    for arg in args:
        if isinstance(arg, list | tuple):
            yield from arg
        else:
            yield arg


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        text = np.array2string(value, separator=", ", threshold=16, edgeitems=2).replace("\n", "")
        return f"{Spec(value.shape, value.dtype.name)} {text}"
    if isinstance(value, list | tuple) and any(isinstance(item, np.ndarray) for item in value):
        return f"[{'; '.join(_described(item) for item in value)}]"
    return repr(value)


@dataclass(frozen=True, repr=False)
class Case:
    """One valid call.

    Attributes:
        op: the op.
        args: per tensor parameter of the op an array, None where one is left out, or a list of arrays.
        attrs: attributes; defaults may be left out.
    """

    op: Op
    args: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.args) != len(self.op.inputs):
            raise DeclarationError(
                f"a case of {self.op.name} needs {self.op.inputs}, got {len(self.args)} arguments"
            )

        # NumPy turns 0-d results into scalars; a case holds arrays only.
        held = tuple(np.asarray(arg) if isinstance(arg, np.generic) else arg for arg in self.args)
        object.__setattr__(self, "args", held)

    def __repr__(self) -> str:
        given = [*zip(self.op.inputs, self.args, strict=True), *self.attrs.items()]
        return f"{self.op.name}({', '.join(f'{name}={_described(value)}' for name, value in given)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How hypothesis prints a failing case."""
        printer.text(repr(self))


@dataclass(frozen=True)
class Wanted:
    """What a case is for.

    Attributes:
        dtypes: dtypes to choose from; index and condition arguments have theirs anyway.
        gradient: the op will be differentiated, so it must be smooth at the values (no root of 0).
    """

    dtypes: frozenset[str]
    gradient: bool = False

    def dtype(self, kinds: Sequence[str] = DTYPES) -> SearchStrategy[str]:
        """A dtype among ``kinds``."""
        return dtype_of(self.dtypes, kinds)

    def floats(self) -> SearchStrategy[str]:
        """A float dtype."""
        return self.dtype(FLOATS)


@dataclass(frozen=True, repr=False)
class Misuse:
    """A call that must be refused before any kernel runs: the same fields as a case, and the error."""

    op: Op
    error: type[GrillyError]
    args: tuple[Any, ...]
    attrs: dict[str, Any]


_strategies: dict[str, Callable[[Op, Wanted], SearchStrategy[Case]]] = {}
_meanings: dict[str, Callable[..., Any]] = {}
_misuses: dict[str, list[Misuse]] = {}


def case_of(*ops: Op) -> Callable[[Callable[..., Case]], Callable[..., Case]]:
    """Decorator: ``function(draw, op, wanted)`` draws valid calls of these ops, as hypothesis composites do."""

    def decorate(function: Callable[..., Case]) -> Callable[..., Case]:
        strategy = st.composite(function)
        for op in ops:
            if op.name in _strategies:
                raise DeclarationError(f"op {op.name} has two strategies of cases")
            _strategies[op.name] = strategy
        return function

    return decorate


def case_for(op: Op, dtypes: Collection[str] = DTYPES, *, gradient: bool = False) -> SearchStrategy[Case]:
    """The strategy of valid calls of ``op``.

    Args:
        op: a registered op.
        dtypes: dtypes the backend has.
        gradient: only calls through which a gradient flows.

    Raises:
        DeclarationError: nobody registered one.
    """
    if op.name not in _strategies:
        raise DeclarationError(
            f"op {op.name} has no strategy of cases; register one with @case_of({op.name})"
        )
    chosen = [name for name in dtypes if name in FLOATS] if gradient else dtypes
    return _strategies[op.name](op, Wanted(frozenset(chosen), gradient))


def means(meanings: dict[Op, Callable[..., Any]]) -> None:
    """Say in NumPy what ops are: functions of the case's arrays and attributes. Primitives need it."""
    for op, function in meanings.items():
        _meanings[op.name] = function


def meaning_of(op: Op) -> Callable[..., Any] | None:
    """The op written in NumPy, or None (composites have their body)."""
    return _meanings.get(op.name)


def misuse(op: Op, error: type[GrillyError], *args: Any, **attrs: Any) -> None:
    """Register a call that ``op`` must refuse with ``error``."""
    _misuses.setdefault(op.name, []).append(Misuse(op, error, args, attrs))


def misuses_of(op: Op) -> list[Misuse]:
    """The calls that ``op`` must refuse."""
    return _misuses.get(op.name, [])
