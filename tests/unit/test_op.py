"""Declaring ops: signatures, attributes, rules, and what a wrong declaration is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from grilly_core import op as op_module
from grilly_core import ops
from grilly_core.errors import ArgumentError, DeclarationError, GradientError
from grilly_core.op import REQUIRED, Dynamic, composite, primitive, registry
from grilly_core.ops.infer import same
from grilly_core.selection import resolve
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ops declared by a test are gone after it."""
    monkeypatch.setattr(op_module, "_registry", registry())


def twice(x: Tensor, /, *, scale: float, by: Dynamic[float] = 2.0) -> Tensor:
    """``x`` times two numbers."""
    return x * scale * by


# Declarations


def test_a_declaration_is_read_from_the_signature() -> None:
    @composite()
    def fresh(
        x: Tensor, y: Tensor | None = None, zs: Sequence[Tensor] = (), /, *, a: int, b: Dynamic[float] = 1.0
    ) -> Tensor:
        """Text."""
        return x

    assert fresh.inputs == ("x", "y", "zs")
    assert fresh.optional == {1} and fresh.sequences == {2}
    assert fresh.attributes == {"a": REQUIRED, "b": 1.0} and fresh.dynamic == {"b"}
    assert (fresh.__name__, fresh.__doc__, fresh.is_primitive) == ("fresh", "Text.", False)
    assert registry()["fresh"] is fresh and repr(fresh) == "<composite fresh>"
    assert repr(ops.add) == "<primitive add>"


def test_registry_is_a_copy() -> None:
    registry().clear()
    assert "add" in registry()


def test_every_op_is_the_one_in_ops() -> None:
    assert all(getattr(ops, name) is found for name, found in registry().items())


def test_every_op_says_what_it_means() -> None:
    assert [found.name for found in registry().values() if len(found.__doc__ or "") < 15] == []


def test_a_parameter_of_either_kind_is_refused() -> None:
    with pytest.raises(
        DeclarationError, match=r"op loose: parameter x must be positional-only .* or keyword-only"
    ):

        @composite()
        def loose(x: Tensor) -> Tensor:
            """Text."""
            return x


def test_variable_arguments_are_refused() -> None:
    with pytest.raises(DeclarationError, match="parameter xs must be positional-only"):

        @composite()
        def many(*xs: Tensor) -> Tensor:
            """Text."""
            return xs[0]


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(
        DeclarationError, match=r"op add is declared twice: grilly_core\.ops\.elementwise and .*test_op"
    ):

        @composite()
        def add(x: Tensor, /) -> Tensor:
            """Text."""
            return x

    assert registry()["add"] is ops.add


def test_a_docstring_is_required() -> None:
    with pytest.raises(DeclarationError, match="op silent has no docstring; it is the reference meaning"):

        @primitive(infer=same)
        def silent(x: Tensor, /) -> Tensor: ...


def test_a_second_gradient_rule_is_refused() -> None:
    with pytest.raises(DeclarationError, match="op exp already has a gradient rule"):

        @ops.exp.defvjp()
        def rule(ctx: Any, g: Tensor) -> Any:
            return g


def test_a_rule_for_an_op_without_gradient_is_refused() -> None:
    with pytest.raises(DeclarationError, match="op floor is declared not differentiable"):

        @ops.floor.defvjp()
        def rule(ctx: Any, g: Tensor) -> Any:
            return g


# Attributes


def test_attributes_are_bound_in_declared_order() -> None:
    op = composite()(twice)
    assert list(op.bind({"by": 5.0, "scale": 3.0}).items()) == [("scale", 3.0), ("by", 5.0)]
    assert op.bind({"scale": 3.0}) == {"scale": 3.0, "by": 2.0}


@pytest.mark.parametrize(
    "attrs, message",
    [
        ({}, r"twice: missing attributes \['scale'\]; it takes \['scale', 'by'\]"),
        ({"scale": 1.0, "to": 2}, r"twice: unknown attributes \['to'\]; it takes \['scale', 'by'\]"),
        ({"to": 2}, r"twice: unknown attributes \['to'\]"),
        ({"scale": [1.0]}, r"twice: attributes must be hashable, got \{'scale': \[1.0\], 'by': 2.0\}"),
        ({"scale": np.ones(2)}, "twice: attributes must be hashable"),
    ],
)
def test_wrong_attributes(attrs: dict[str, Any], message: str) -> None:
    op = composite()(twice)
    with pytest.raises(ArgumentError, match=message):
        op(tensor([1.0]), **attrs)
    with pytest.raises(ArgumentError, match=message):
        op([1.0], **attrs)


def test_dynamic_attributes_are_checked_on_every_call() -> None:
    backend = resolve("numpy")
    ops.random_bits.on(backend, shape=(2,), seed=0, stream=0)
    for wrong in (dict(seed=-1, stream=0), dict(seed=0, stream=2**64)):
        with pytest.raises(ArgumentError, match="random_bits: seed and stream must be unsigned"):
            ops.random_bits.on(backend, shape=(2,), **wrong)
    arrays = [tensor(np.ones(shape, "float32"), backend=backend) for shape in ((2, 3), (1, 1, 3), (1, 1, 2))]
    call: dict[str, Any] = dict(tau_pre=2.0, tau_post=2.0, a_pre=0.1, a_post=0.1)
    ops.stdp_update(*arrays, **call, w_min=0.0, w_max=1.0)
    with pytest.raises(ArgumentError, match="lies above w_max"):
        ops.stdp_update(*arrays, **call, w_min=2.0, w_max=1.0)


def test_attributes_of_an_op_that_has_none() -> None:
    with pytest.raises(ArgumentError, match=r"add: unknown attributes \['out'\]; it takes \[\]"):
        ops.add(tensor([1.0]), tensor([1.0]), out=None)


# Arguments


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: ops.add(x), r"add: takes tensors x, y; 1 given"),
        (lambda x: ops.add(x, x, x), r"add: takes tensors x, y; 3 given"),
        (lambda x: ops.add(x, None), r"add: y is required, got None"),
        (lambda x: ops.add(None, 1.0), r"add: x is required, got None"),
        (lambda x: ops.linear(x), r"linear: takes tensors x, weight, bias; 1 given"),
        (lambda x: ops.concat(x, axis=0), r"concat: xs must be a list or tuple of tensors"),
        (lambda x: ops.concat(np.ones((2, 2)), axis=0), r"concat: xs must be a list or tuple of tensors"),
        (lambda x: ops.concat(None, axis=0), r"concat: xs is required, got None"),
        (lambda x: ops.concat([], axis=0), r"concat: needs at least one tensor"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call(tensor([1.0]))


def test_arrays_and_lists_become_tensors_of_the_others_backend() -> None:
    made = ops.add(np.array([1.0, 2.0], np.float32), tensor([1.0, 1.0]))
    assert isinstance(made, Tensor) and made.tolist() == [2.0, 3.0]
    assert ops.add([1.0], [2.0]).tolist() == [3.0]
    assert ops.concat([[1.0], tensor([2.0]), (3.0,)]).tolist() == [1.0, 2.0, 3.0]


def test_an_op_without_arguments_runs_on_a_backend() -> None:
    backend = tensor([1.0])._backend
    drawn = ops.random_bits.on(backend, shape=(3,), seed=0, stream=0)
    assert drawn.shape == (3,) and drawn.dtype == np.uint32
    with pytest.raises(ArgumentError, match=r"random_bits: missing attributes \['seed', 'stream'\]"):
        ops.random_bits.on(backend, shape=(3,))


# Rules that answer wrongly


def _with_rule(answer: Any) -> Any:
    @composite()
    def odd(x: Tensor, y: Tensor, /) -> Tensor:
        """The product."""
        return x * y

    @odd.defvjp()
    def rule(ctx: Any, g: Tensor) -> Any:
        return answer(g)

    return odd


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda g: g, "the gradient rule of odd returned 1 gradients for 2 inputs"),
        (lambda g: (g, g, g), "the gradient rule of odd returned 3 gradients for 2 inputs"),
        (
            lambda g: (g.sum(), None),
            r"the gradient rule of odd returned float32\[\] for an input float32\[3\]",
        ),
        (
            lambda g: (g[:2], None),
            r"the gradient rule of odd returned float32\[2\] for an input float32\[3\]",
        ),
        (lambda g: (g.astype("float64"), None), r"returned float64\[3\] for an input float32\[3\]"),
    ],
)
def test_a_rule_that_does_not_fit_its_op(answer: Any, message: str) -> None:
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    made = _with_rule(answer)(x, tensor([1.0, 1.0, 1.0]))
    with pytest.raises(GradientError, match=message):
        made.sum().backward()


def test_a_rule_may_leave_out_a_gradient() -> None:
    x, y = (tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    _with_rule(lambda g: (g * 5.0, None))(x, y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [5.0, 5.0] and y.grad is None
