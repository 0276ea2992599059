"""Which op is wrong: the one under test, or one that its body or its gradient rule is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import pytest

from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.plugins import kernel_for
from grilly_core.tensor import Tensor
from grilly_core.testing.case import Case
from grilly_core.testing.compare import first_difference
from grilly_core.testing.evaluate import expected
from grilly_core.testing.tolerances import BLAME, EXACT, value_tolerance

__all__ = ["FAILED", "culprit", "fail"]

FAILED: set[str] = set()
"""Names of the ops that have failed a test of their own in this process."""


def _host(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return [_host(item) for item in arg]
    return arg.numpy() if isinstance(arg, Tensor) else arg


def _is_wrong(op: Op, args: Sequence[Any], values: dict[str, Any], made: Any) -> bool:
    padded = (*args, *[None] * (len(op.inputs) - len(args)))
    results = [y.numpy() for y in ((made,) if isinstance(made, Tensor) else made)]
    tolerance = EXACT if value_tolerance(op.name) == EXACT and results[0].dtype.kind != "f" else BLAME
    with np.errstate(all="ignore"):
        return first_difference("output", results, expected(Case(op, padded, values)), tolerance) is not None


@contextmanager
def _watching(backend: Backend, top: Op) -> Iterator[list[str]]:
    """Compare what every kernel but that of ``top`` computes inside the block; collects the names of wrong ones."""
    original, wrong, busy = Op._execute, [], False

    def execute(op: Op, args: Any, arrays: Any, key: Any, values: Any, on: Backend, wants_grad: bool) -> Any:
        nonlocal busy
        if busy or on is not backend or op is top or kernel_for(op, on) is None:
            return original(op, args, arrays, key, values, on, wants_grad)
        busy = True
        try:
            inputs = [_host(arg) for arg in args]  # before the call: donated arrays may be overwritten
            made = original(op, args, arrays, key, values, on, wants_grad)
            if _is_wrong(op, inputs, values, made):
                wrong.append(op.name)
            return made
        finally:
            busy = False

    Op._execute = execute  # type: ignore[method-assign, assignment]
    try:
        yield wrong
    finally:
        Op._execute = original  # type: ignore[method-assign]


def culprit(again: Callable[[], object], backend: Backend, top: Op) -> str | None:
    """The first op that computes something wrong while ``again()`` runs, ``top``'s own kernel aside."""
    with _watching(backend, top) as wrong:
        again()
    return wrong[0] if wrong else None


def fail(case: Case, backend: Backend, problem: str, again: Callable[[], object]) -> NoReturn:
    """Fail a test of ``case.op``, or skip it if the fault is that of an op that has already failed by itself."""
    __tracebackhide__ = True
    found = culprit(again, backend, case.op)
    if found in FAILED:
        pytest.skip(f"blocked by {found}, which is wrong and has failed its own tests")
    inside = f"; {found}, which it is made of, is wrong" if found else ""
    raise AssertionError(f"{case.op.name} on {backend.name}: {problem}{inside}")
