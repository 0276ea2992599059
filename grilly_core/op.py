"""Declaring ops: one function with a docstring is the signature, the defaults and the reference meaning.

Positional-only parameters are tensors (``Tensor``, ``Tensor | None``, ``Sequence[Tensor]``), keyword-only
ones static attributes. An attribute annotated ``Dynamic[...]`` may change from call to call (a learning
rate, a counter): it takes no part in shape rules or kernel choice.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

from grilly_core import autograd, dispatch
from grilly_core.autograd import Node, edge_of, grad_enabled
from grilly_core.backend import Backend
from grilly_core.errors import ArgumentError, DeclarationError
from grilly_core.tensor import Tensor

__all__ = ["Dynamic", "Op", "composite", "primitive", "registry"]

_T = TypeVar("_T")
Dynamic = Annotated[_T, "may change every call"]

REQUIRED: Any = inspect.Parameter.empty

_registry: dict[str, Op] = {}


def registry() -> dict[str, Op]:
    """Every declared op by name, in order of declaration (a copy)."""
    return dict(_registry)


class Op:
    """A declared op; call it with Tensors (or anything ``numpy.asarray`` takes) and attributes.

    Attributes:
        name: unique name.
        inputs: names of the tensor parameters.
        attributes: attribute names with their defaults (``REQUIRED`` where there is none).
        body: the composite's body, None for a primitive.
        rule: the gradient rule, None if there is none.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        infer: Callable[..., Any] | None,
        differentiable: bool,
        check: Callable[..., None] | None,
    ) -> None:
        self.name = function.__name__
        self.is_primitive = infer is not None
        self.infer = infer
        self.check = check
        self.body = None if infer is not None else function
        self.differentiable = differentiable
        self.rule: Callable[..., Any] | None = None
        self.saves_inputs: (
            tuple[int, ...] | Callable[[tuple[bool, ...], dict[str, Any]], tuple[int, ...]]
        ) = ()
        self.saves_outputs: tuple[int, ...] = ()
        self.constant_outputs: frozenset[int] = frozenset()
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self._read_signature(function)
        self.plans: dict[Any, dispatch.Plan] = {}

    def _read_signature(self, function: Callable[..., Any]) -> None:
        inputs: list[str] = []
        attributes: dict[str, Any] = {}
        optional, sequences, dynamic = set(), set(), set()
        for parameter in inspect.signature(function).parameters.values():
            annotation = str(parameter.annotation)
            if parameter.kind is parameter.POSITIONAL_ONLY:
                if "None" in annotation:
                    optional.add(len(inputs))
                if annotation.startswith("Sequence"):
                    sequences.add(len(inputs))
                inputs.append(parameter.name)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                attributes[parameter.name] = parameter.default
                if annotation.startswith("Dynamic"):
                    dynamic.add(parameter.name)
            else:
                raise DeclarationError(
                    f"op {self.name}: parameter {parameter.name} must be positional-only (a tensor) or keyword-only "
                    "(an attribute)"
                )
        self.inputs = tuple(inputs)
        self.optional = frozenset(optional)
        self.sequences = frozenset(sequences)
        self.attributes = attributes
        self.dynamic = frozenset(dynamic)
        self._required = frozenset(name for name, value in attributes.items() if value is REQUIRED)
        self._order = tuple(attributes)
        self._static = tuple(name for name in attributes if name not in dynamic)

    def defvjp(
        self,
        *,
        inputs: tuple[int, ...] | Callable[[tuple[bool, ...], dict[str, Any]], tuple[int, ...]] = (),
        outputs: tuple[int, ...] = (),
        constant: tuple[int, ...] = (),
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that gives the op its gradient rule ``rule(ctx, *grads)``.

        The rule is written in ops and returns one gradient per flat tensor input (None where there is
        none). Broadcasting is undone by the tape.

        Args:
            inputs: which inputs the rule reads (the tape keeps only those), or a function of ``needs`` and attributes.
            outputs: which outputs the rule reads.
            constant: outputs through which no gradient flows (indices, running statistics).
        """

        def decorate(rule: Callable[..., Any]) -> Callable[..., Any]:
            if self.rule is not None:
                raise DeclarationError(f"op {self.name} already has a gradient rule")
            if not self.differentiable:
                raise DeclarationError(f"op {self.name} is declared not differentiable")
            self.rule, self.saves_inputs, self.saves_outputs = rule, inputs, outputs
            self.constant_outputs = frozenset(constant)
            return rule

        return decorate

    def bind(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """All attributes in declared order, defaults filled in.

        Raises:
            ArgumentError: for an unknown or missing attribute, or a dynamic one that does not fit.
        """
        values = {**self.attributes, **attrs}
        if len(values) != len(self._order) or not attrs.keys() >= self._required:
            unknown = [name for name in attrs if name not in self.attributes]
            missing = [name for name in self._order if name in self._required and name not in attrs]
            said = f"unknown attributes {unknown}" if unknown else f"missing attributes {missing}"
            raise ArgumentError(f"{self.name}: {said}; it takes {list(self._order)}")
        if self.check is not None:
            try:
                self.check(**{name: values[name] for name in self.dynamic})
            except ArgumentError as error:
                raise ArgumentError(f"{self.name}: {error}") from None
        return values

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        values = self.bind(attrs) if self._order or attrs else attrs
        backend: Backend | None = None
        key: list[Any] = []
        arrays: list[Any] = []
        wants_grad = False
        for arg in args:
            if isinstance(arg, Tensor):
                if arg._backend is not backend:
                    if backend is not None:
                        raise dispatch.mismatch(self, args)
                    backend = arg._backend
                key.append(arg.spec)
                arrays.append(arg._data)
                if arg.requires_grad:
                    wants_grad = True
            elif arg is None:
                key.append(None)
                arrays.append(None)
            else:
                return self._call_slowly(args, values)
        if backend is None or len(args) != len(self.inputs):
            return self._call_slowly(args, values)
        key.append(backend)
        if self._static:
            key.extend([values[name] for name in self._static])
        return self._execute(args, arrays, key, values, backend, wants_grad)

    def _execute(
        self,
        args: Sequence[Any],
        arrays: list[Any],
        key: list[Any],
        values: dict[str, Any],
        backend: Backend,
        wants_grad: bool,
    ) -> Any:
        """Find the plan of a call whose arguments are all tensors, run it, record it."""
        try:
            plan = self.plans.get(tuple(key))
        except TypeError:
            raise ArgumentError(f"{self.name}: attributes must be hashable, got {values}") from None
        if plan is None:
            plan = dispatch.make_plan(self, args, values, backend)
            dispatch.remember(self.plans, tuple(key), plan)
        record = wants_grad and plan.differentiable and grad_enabled()
        if plan.run is not None:
            outputs = plan.run(backend, *arrays, **values)
        else:
            dispatch.check_native(self, plan, backend)
            if self.differentiable and not (record and self.rule is not None):
                return self.run_body_raw(args, values)
            with autograd.no_grad():
                results = self.run_body(args, values)
            outputs = tuple([y._data for y in results]) if plan.single is None else results[0]._data
        if record:
            return self._record(args, arrays, values, backend, plan, outputs)
        if plan.single is not None:
            return Tensor(outputs, backend, plan.single)
        return tuple([Tensor(data, backend, spec) for data, spec in zip(outputs, plan.specs, strict=True)])

    def _record(
        self,
        args: Sequence[Any],
        arrays: list[Any],
        values: dict[str, Any],
        backend: Backend,
        plan: dispatch.Plan,
        outputs: Any,
    ) -> Any:
        """Put a call on the tape and wrap its results."""
        rule = self.rule or autograd.rerun_rule
        if self.sequences:
            if self.rule is None:
                counts = [len(arg) if isinstance(arg, list | tuple) else None for arg in args]
                rule = functools.partial(autograd.rerun_rule, counts=counts)
            args, arrays = list(_flatten(args)), list(_flatten(arrays))
        edges = tuple([edge_of(arg) for arg in args])
        keep: Any = self.saves_inputs
        if callable(keep):
            keep = keep(tuple([edge is not None for edge in edges]), values)
        saved = plan.no_inputs
        if keep:
            saved = tuple([array if i in keep else None for i, array in enumerate(arrays)])
        elif self.rule is None:
            saved = tuple(arrays)
        single = plan.single
        made = (outputs,) if single is not None else outputs
        kept = plan.no_outputs
        if self.saves_outputs:
            kept = tuple([data if i in self.saves_outputs else None for i, data in enumerate(made)])
        node = Node(self, rule, backend, values, edges, plan.in_specs, saved, plan.specs, kept)
        if single is not None:
            return Tensor(outputs, backend, single, True, node)
        return tuple(
            [
                Tensor(data, backend, spec, True, node, i) if flows else Tensor(data, backend, spec)
                for i, (data, spec, flows) in enumerate(zip(made, plan.specs, plan.flows, strict=True))
            ]
        )

    def _call_slowly(self, args: Sequence[Any], values: dict[str, Any]) -> Any:
        """Convert arguments to tensors of one backend, then run."""
        tensors, backend = dispatch.coerce(self, args)
        key: list[Any] = []
        arrays: list[Any] = []
        for arg in tensors:
            if isinstance(arg, list):
                key.append(tuple([t.spec for t in arg]))
                arrays.append([t._data for t in arg])
            else:
                key.append(None if arg is None else arg.spec)
                arrays.append(None if arg is None else arg._data)
        key.append(backend)
        key.extend(values[name] for name in self._static)
        wants_grad = any(t is not None and t.requires_grad for t in _flatten(tensors))
        return self._execute(tensors, arrays, key, values, backend, wants_grad)

    def run_body_raw(self, args: Sequence[Any], values: dict[str, Any]) -> Any:
        """The composite's body on ``args``, as it returns."""
        assert self.body is not None
        return self.body(*args, **values)

    def run_body(self, args: Sequence[Any], values: dict[str, Any]) -> tuple[Tensor, ...]:
        """The composite's body on ``args``; always a tuple of tensors."""
        result = self.run_body_raw(args, values)
        return (result,) if isinstance(result, Tensor) else tuple(result)

    def on(self, backend: Backend, **attrs: Any) -> Any:
        """Call an op without tensor arguments on ``backend``."""
        values = self.bind(attrs)
        key = [backend, *(values[name] for name in self._static)]
        return self._execute((), [], key, values, backend, False)

    def __repr__(self) -> str:
        return f"<{'primitive' if self.is_primitive else 'composite'} {self.name}>"


def _flatten(args: Sequence[Any]) -> Iterator[Any]:
    for arg in args:
        if isinstance(arg, list | tuple):
            yield from arg
        else:
            yield arg


def _declare(op: Op) -> Op:
    if op.name in _registry:
        raise DeclarationError(
            f"op {op.name} is declared twice: {_registry[op.name].__module__} and {op.__module__}"
        )
    if not op.__doc__:
        raise DeclarationError(f"op {op.name} has no docstring; it is the reference meaning")
    _registry[op.name] = op
    return op


def primitive(
    infer: Callable[..., Any], *, differentiable: bool = True, check: Callable[..., None] | None = None
) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op that every backend must supply.

    Args:
        infer: the shape and dtype rule: Specs and attributes to a Spec or a tuple of Specs.
        differentiable: False for ops through which no gradient flows (comparisons, random bits).
        check: what must hold of the dynamic attributes, by name, on every call: shapes are only looked at once.
    """

    def decorate(function: Callable[..., Any]) -> Op:
        return _declare(Op(function, infer=infer, differentiable=differentiable, check=check))

    return decorate


def composite(
    *, differentiable: bool = True, check: Callable[..., None] | None = None
) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op with a body in terms of other ops.

    The body is the reference meaning, the fallback, the shape rule and the default gradient. ``check`` is as for
    :func:`primitive`.
    """

    def decorate(function: Callable[..., Any]) -> Op:
        return _declare(Op(function, infer=None, differentiable=differentiable, check=check))

    return decorate
