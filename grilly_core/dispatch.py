"""From a call to a plan: arguments made tensors, shapes inferred, a kernel chosen; cached per signature.

Resolution: a kernel of the arguments' own backend that accepts the call; else the composite body, op by
op, on the same backend; else an error that names op, backend, dtypes and the way out. There is no other step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from grilly_core import plugins, selection
from grilly_core.abstract import ABSTRACT, HOLLOW, abstract_tensor
from grilly_core.backend import Backend, flat_specs
from grilly_core.errors import (
    ArgumentError,
    BackendMismatchError,
    DTypeError,
    GrillyError,
    ShapeError,
    UnsupportedOpError,
)
from grilly_core.spec import FLOATS, Spec
from grilly_core.tensor import Tensor, scalar, tensor

if TYPE_CHECKING:
    from grilly_core.op import Op

__all__ = ["Plan", "coerce", "infer", "make_plan"]

_PLAN_LIMIT = 4096


class Plan:
    """How one op runs for one signature (backend, specs, static attributes).

    Attributes:
        run: the kernel function, or None: the composite's body runs.
        specs: specs of the outputs.
        single: the only output's spec, None when the op returns a tuple.
        differentiable: whether a gradient can flow through any output.
        flows: per output, whether a gradient flows through it.
        in_specs: specs of the flat tensor inputs, None where one is absent.
        no_inputs, no_outputs: what the tape stores when a rule keeps none of them.
        reason: why a kernel was not used, for messages.
    """

    __slots__ = (
        "differentiable",
        "flows",
        "in_specs",
        "no_inputs",
        "no_outputs",
        "reason",
        "run",
        "single",
        "specs",
    )

    def __init__(
        self, op: Op, specs: Sequence[Any], run: Callable[..., Any] | None, inferred: Any, reason: str = ""
    ) -> None:
        self.run = run
        self.in_specs: tuple[Spec | None, ...] = tuple(_flat_or_none(specs))
        self.no_inputs = (None,) * len(self.in_specs)
        self.single: Spec | None = inferred if isinstance(inferred, Spec) else None
        self.specs: tuple[Spec, ...] = (inferred,) if isinstance(inferred, Spec) else tuple(inferred)
        self.flows = tuple(
            spec.dtype in FLOATS and i not in op.constant_outputs for i, spec in enumerate(self.specs)
        )
        self.no_outputs = (None,) * len(self.specs)
        self.differentiable = op.differentiable and any(self.flows)
        self.reason = reason


def _flat_or_none(specs: Sequence[Any]) -> Iterator[Spec | None]:
    for spec in specs:
        if spec is None or isinstance(spec, Spec):
            yield spec
        else:
            yield from spec


def remember(plans: dict[Any, Plan], key: Any, plan: Plan) -> None:
    """Cache a plan; a program with ever-changing shapes must not grow without bound."""
    if len(plans) >= _PLAN_LIMIT:
        plans.clear()
    plans[key] = plan


def make_plan(op: Op, args: Sequence[Any], values: dict[str, Any], backend: Backend) -> Plan:
    """Infer the outputs of a call and choose what runs it.

    Raises:
        ShapeError, DTypeError, ArgumentError: the call does not fit the op.
        UnsupportedOpError: the backend can neither run a kernel nor a composite.
    """
    _check_arguments(op, args)
    specs = [_spec_of(arg) for arg in args]
    inferred = infer(op, specs, values)
    for spec in flat_specs([inferred] if isinstance(inferred, Spec) else inferred):
        if spec.dtype not in backend.dtypes:
            raise DTypeError(f"{op.name}: backend {backend.name} has no {spec.dtype}")
    if backend is ABSTRACT:
        hollow: Any = HOLLOW if isinstance(inferred, Spec) else (HOLLOW,) * len(inferred)
        return Plan(op, specs, lambda *_, **__: hollow, inferred)
    kernel = plugins.kernel_for(op, backend)
    reason = "it has no kernel" if kernel is None else kernel.declines(specs, values)
    if kernel is not None and reason is None:
        return Plan(op, specs, kernel.function, inferred)
    if op.body is None:
        dtypes = ", ".join(sorted({spec.dtype for spec in flat_specs(specs)})) or "none"
        raise UnsupportedOpError(
            f"backend {backend.name} cannot run {op.name} on dtypes {dtypes}: {reason}. Move the tensors to a backend "
            'that can, e.g. x.to("numpy"), or convert them with x.astype(...)'
        )
    return Plan(op, specs, None, inferred, reason or "")


def _check_arguments(op: Op, args: Sequence[Any]) -> None:
    """Refuse None and single tensors where the op takes something else."""
    for i, (name, arg) in enumerate(zip(op.inputs, args, strict=True)):
        if arg is None and i not in op.optional:
            raise ArgumentError(f"{op.name}: {name} is required, got None")
        if i in op.sequences and isinstance(arg, Tensor):
            raise ArgumentError(f"{op.name}: {name} must be a list or tuple of tensors")


def _spec_of(arg: Any) -> Any:
    if isinstance(arg, Tensor):
        return arg.spec
    return None if arg is None else [t.spec for t in arg]


def infer(op: Op, specs: Sequence[Any], values: dict[str, Any]) -> Any:
    """The Spec, or tuple of Specs, that ``op`` returns for arguments of ``specs``."""
    try:
        if op.infer is not None:
            return op.infer(*specs, **values)
    except GrillyError as error:
        raise type(error)(f"{op.name}: {error}") from None
    from grilly_core.autograd import no_grad

    args = [
        abstract_tensor(spec) if isinstance(spec, Spec) else spec and [abstract_tensor(s) for s in spec]
        for spec in specs
    ]
    try:
        with no_grad():
            result = op.run_body_raw(args, values)
    except GrillyError as error:
        error.add_note(f"in {op.name}({', '.join(map(str, specs))})")
        raise
    return result.spec if isinstance(result, Tensor) else tuple([t.spec for t in result])


def check_native(op: Op, plan: Plan, backend: Backend) -> None:
    """Refuse a composite where the user asked for native kernels only."""
    if selection.native_required():
        raise UnsupportedOpError(
            f"native kernels are required (grilly.require_native or GRILLY_REQUIRE_NATIVE=1) but {op.name} would run as "
            f"a composite on backend {backend.name}: {plan.reason}"
        )


def mismatch(op: Op, args: Sequence[Any]) -> BackendMismatchError:
    """The error for tensors of several backends in one call."""
    labelled: list[tuple[str, Any]] = []
    for name, arg in zip(op.inputs, args, strict=False):
        if isinstance(arg, list | tuple):
            labelled.extend((f"{name}[{i}]", item) for i, item in enumerate(arg))
        else:
            labelled.append((name, arg))
    held = [
        f"{name} on {arg._backend.name} ({arg._backend.device})"
        for name, arg in labelled
        if isinstance(arg, Tensor)
    ]
    return BackendMismatchError(
        f"{op.name}: tensors of different backends: {', '.join(held)}. Nothing is copied behind your back: "
        'move one with x.to("name")'
    )


def coerce(op: Op, args: Sequence[Any]) -> tuple[list[Any], Backend]:
    """Arguments as tensors of one backend; arrays are moved to it, Python numbers take the tensors' dtype."""
    missing = range(len(args), len(op.inputs))
    if len(args) > len(op.inputs) or any(i not in op.optional for i in missing):
        raise ArgumentError(f"{op.name}: takes tensors {', '.join(op.inputs)}; {len(args)} given")
    held = [
        t for arg in args for t in (arg if isinstance(arg, list | tuple) else (arg,)) if isinstance(t, Tensor)
    ]
    backend = held[0]._backend if held else selection.current_backend()
    if any(t._backend is not backend for t in held):
        raise mismatch(op, args)
    # A bool among numbers is a condition; the numbers decide what a Python number becomes.
    dtype = next(
        (t.spec.dtype for t in held if t.spec.dtype != "bool"), held[0].spec.dtype if held else "float32"
    )
    out: list[Any] = []
    for i, name in enumerate(op.inputs):
        arg = args[i] if i < len(args) else None
        if i in op.sequences and isinstance(arg, list | tuple):
            out.append([_one(op, name, item, backend, dtype) for item in arg])
        else:
            out.append(None if arg is None else _one(op, name, arg, backend, dtype))
    return out, backend


_WHOLE = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}


def _number(op: Op, number: float, dtype: str, backend: Backend) -> Tensor:
    """A Python number among tensors of ``dtype``; among conditions only it is what ``tensor(number)`` is."""
    if dtype == "bool" and not isinstance(number, bool):
        dtype = "float32"
    if dtype in _WHOLE and (isinstance(number, float) or not _WHOLE[dtype][0] <= number <= _WHOLE[dtype][1]):
        raise DTypeError(
            f"{op.name}: the number {number} does not fit a tensor of dtype {dtype}; convert with x.astype('float32')"
        )
    return scalar(number, dtype, backend)


def _one(op: Op, name: str, arg: Any, backend: Backend, dtype: str) -> Tensor:
    if isinstance(arg, Tensor):
        return arg
    if isinstance(arg, bool | int | float):
        return _number(op, arg, dtype, backend)
    try:
        return tensor(arg, backend=backend)
    except (ShapeError, DTypeError) as error:
        raise type(error)(f"{op.name}: {name}: {error}") from None
