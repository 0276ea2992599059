"""Running a case: on a backend, through the composite's body, backwards, or by its meaning in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from grilly_core import autograd, dispatch
from grilly_core.autograd import enable_grad, no_grad
from grilly_core.backend import Backend
from grilly_core.op import Op
from grilly_core.selection import resolve, using
from grilly_core.spec import FLOATS, Spec
from grilly_core.tensor import Tensor, tensor
from grilly_core.testing.case import Case, flat, meaning_of

__all__ = [
    "PLACES", "dtypes_of", "evaluate", "expected", "float_arguments", "gradients", "inferred", "place", "reference",
]  # fmt: skip

PLACES = ("plain", "plain", "transposed", "sliced")
"""How an argument gets where it is: uploaded as it is, or as a view (where the backend has views) of another one."""


def reference() -> Backend:
    """The backend that others are compared with."""
    return resolve("numpy")


def dtypes_of(backend: Backend) -> frozenset[str]:
    """The dtypes that every op must work in: float64 only where the backend declares the feature."""
    return backend.dtypes if "float64" in backend.features else backend.dtypes - {"float64"}


def place(array: np.ndarray, backend: Backend, how: str = "plain") -> Tensor:
    """``array`` as a tensor on ``backend``, one of :data:`PLACES`."""
    if how == "transposed" and array.ndim > 1:
        return tensor(np.ascontiguousarray(array.T), backend=backend).transpose()
    if how == "sliced" and array.ndim:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        return tensor(wide, backend=backend)[..., 1::2]
    return tensor(array, backend=backend)


def _arguments(case: Case, backend: Backend, how: str) -> list[Any]:
    with no_grad():
        return [
            None if arg is None
            else place(arg, backend, how) if isinstance(arg, np.ndarray)
            else [place(item, backend, how) for item in arg]
            for arg in case.args
        ]  # fmt: skip


def _call(
    op: Op, args: Sequence[Any], attrs: dict[str, Any], backend: Backend, body: bool
) -> tuple[Tensor, ...]:
    if body:
        return op.run_body(args, op.bind(attrs))
    made = op(*args, **attrs) if op.inputs else op.on(backend, **attrs)
    return (made,) if isinstance(made, Tensor) else tuple(made)


def _read(result: Tensor) -> np.ndarray:
    """The contents, once the handle is what core believes it to be."""
    held = result._backend.spec(result._data)
    if held != result.spec:
        raise AssertionError(f"the kernel made {held}, the op's rule says {result.spec}")
    return result.numpy()


def evaluate(case: Case, backend: Backend, *, how: str = "plain", body: bool = False) -> list[np.ndarray]:
    """The results of a case on ``backend``, as arrays.

    Args:
        case: the call.
        backend: where.
        how: how arguments are placed, see :func:`place`.
        body: run the composite's body even if the backend has a kernel.
    """
    with using(backend), no_grad():
        return [_read(y) for y in _call(case.op, _arguments(case, backend, how), case.attrs, backend, body)]


def expected(case: Case) -> list[np.ndarray]:
    """What the op means: its NumPy function if it has one, else its body on the reference backend."""
    meaning = meaning_of(case.op)
    if meaning is None:
        return evaluate(case, reference(), body=case.op.body is not None)
    with np.errstate(all="ignore"):
        return [np.asarray(meaning(*case.args, **case.op.bind(case.attrs)))]


def _spec(arg: Any) -> Any:
    if arg is None:
        return None
    return Spec(arg.shape, arg.dtype.name) if isinstance(arg, np.ndarray) else [_spec(item) for item in arg]


def inferred(case: Case) -> list[Spec]:
    """What the op's rule says of the results; a composite's rule is its body on the abstract backend."""
    made = dispatch.infer(case.op, [_spec(arg) for arg in case.args], case.op.bind(case.attrs))
    return [made] if isinstance(made, Spec) else list(made)


def float_arguments(case: Case) -> list[int]:
    """Positions, among the flat arguments, of those that can have a gradient."""
    return [i for i, arg in enumerate(flat(case.args)) if arg is not None and arg.dtype.name in FLOATS]


def gradients(
    case: Case,
    backend: Backend,
    cotangents: Sequence[np.ndarray | None],
    wanted: Iterable[int],
    *,
    how: str = "plain",
    body: bool = False,
) -> list[np.ndarray]:
    """Gradients at the flat arguments ``wanted`` (zeros where none flows).

    Args:
        case: the call.
        backend: where.
        cotangents: what arrives at each output; None or missing: nothing does.
        wanted: positions among the flat arguments.
        how: how arguments are placed, see :func:`place`.
        body: differentiate the composite's body on the tape instead of the op.
    """
    with using(backend), enable_grad():
        args = _arguments(case, backend, how)
        leaves = list(flat(args))
        for i in wanted:
            leaves[i].requires_grad_()
        made = _call(case.op, args, case.attrs, backend, body)
        roots = [(y, g) for y, g in zip(made, cotangents, strict=False) if g is not None and y.requires_grad]
        if roots:
            autograd.backward([y for y, _ in roots], [tensor(g, backend=backend) for _, g in roots])
    return [_gradient(leaves[i]) for i in wanted]


def _gradient(leaf: Tensor) -> np.ndarray:
    if leaf.grad is None:
        return np.zeros(leaf.shape, leaf.dtype)
    if leaf.grad.spec != leaf.spec:
        raise AssertionError(f"the gradient of {leaf.spec} is {leaf.grad.spec}")
    return _read(leaf.grad)
