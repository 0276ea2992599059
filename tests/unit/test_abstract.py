"""Shapes of composites and of networks without arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import to_tensors
from unit.vjp_cases import CASES, Case

from grilly_core import dispatch, ops
from grilly_core.abstract import ABSTRACT, abstract_tensor
from grilly_core.errors import ArgumentError, ShapeError, UnsupportedOpError
from grilly_core.op import registry
from grilly_core.spec import Spec
from grilly_core.surrogate import ATan
from grilly_core.tensor import Tensor, tensor, zeros

pytestmark = pytest.mark.usefixtures("on_numpy")

ROWS = [
    pytest.param(name, case, id=f"{name}-{i}") for name, row in CASES.items() for i, case in enumerate(row)
]


def hollow(args: Any) -> list[Any]:
    """The same arguments without contents."""

    def one(t: Any) -> Any:
        return None if t is None else abstract_tensor(t.spec)

    return [[one(t) for t in arg] if isinstance(arg, list) else one(arg) for arg in args]


def specs_of(made: Any) -> list[Spec]:
    return [made.spec] if isinstance(made, Tensor) else [t.spec for t in made]


@pytest.mark.parametrize("name, case", ROWS)
def test_specs_without_arithmetic_are_those_of_the_results(name: str, case: Case) -> None:
    op = registry()[name]
    args = to_tensors(case.args)
    made = op(*args, **case.attrs)
    assert specs_of(op(*hollow(args), **case.attrs)) == specs_of(made)
    arrays = [made] if isinstance(made, Tensor) else made
    assert [t._backend.spec(t._data) for t in arrays] == specs_of(made)


@pytest.mark.parametrize("kind", ["if", "lif", "plif"])
@pytest.mark.parametrize("save_h", [True, False])
def test_neurons(kind: str, save_h: bool) -> None:
    x, v, k = (abstract_tensor(Spec(shape, "float64")) for shape in ((5, 2, 3), (2, 3), ()))
    attrs: dict[str, Any] = {"surrogate": ATan(), **({"k": 0.5} if kind == "lif" else {})}
    learnt = [k] if kind == "plif" else []
    made = getattr(ops, f"{kind}_multi_step")(x, v, *learnt, save_h=save_h, **attrs)
    assert [t.shape for t in made] == [(5, 2, 3), (2, 3), (5, 2, 3)][: 3 if save_h else 2]
    made = getattr(ops, f"{kind}_step")(x[0], v, *learnt, **attrs)
    assert [t.shape for t in made] == [(2, 3), (2, 3)]


def test_gradients_have_shapes_too() -> None:
    x = abstract_tensor(Spec((4, 3), "float32"), requires_grad=True)
    w = abstract_tensor(Spec((2, 3), "float32"), requires_grad=True)
    ops.linear(x, w).sigmoid().sum().backward()
    assert x.grad is not None and w.grad is not None
    assert (x.grad.shape, w.grad.shape) == ((4, 3), (2, 3))


@pytest.mark.parametrize(
    "op, shapes, attrs, error, message",
    [
        ("conv2d", [(1, 3, 5, 5), (4, 2, 3, 3)], {}, ShapeError, "input with 3 channels does not fit weight"),
        ("conv2d", [(1, 2, 2, 2), (4, 2, 3, 3)], {}, ShapeError, r"a window of \(3, 3\) does not fit an input of \(2, 2\)"),
        ("conv1d", [(2, 5), (1, 2, 3)], {}, ShapeError, r"needs input \[N, C, L\] and weight \[O, C/groups, K\]"),
        ("linear", [(2, 3), (4, 5)], {}, ShapeError, r"input \(2, 3\) does not fit weight \(4, 5\)"),
        ("batch_norm", [(2, 3)], {}, ShapeError, r"needs \[M, C, L\], got \(2, 3\)"),
        ("batch_norm", [(2, 3, 1)], {"eps": 0.0}, ArgumentError, "eps must be above 0, got 0.0"),
        ("layer_norm", [(2, 3)], {"axes": 3}, ShapeError, r"cannot normalise over the last 3 axes of \(2, 3\)"),
        ("rms_norm", [(2, 3), (2,)], {}, ShapeError, r"weight \(2,\) does not fit the last 1 axes of \(2, 3\)"),
        ("stack", [], {}, ArgumentError, "needs at least one tensor"),
        ("mse_loss", [(2,), (3,)], {}, ShapeError, r"input \(2,\) and target \(3,\) differ"),
        ("mse_loss", [(2,), (2,)], {"reduction": "max"}, ArgumentError, "must be one of mean, sum, none, got 'max'"),
        ("softmax", [(2, 3)], {"axis": 2}, ShapeError, r"axis 2 does not exist in shape \(2, 3\)"),
        ("adaptive_avg_pool2d", [(1, 1, 2, 2)], {"output_size": (0, 1)}, ArgumentError, r"output_size \(0, 1\) must be at"),
        ("lif_step", [(2,), (3,)], {"k": 0.5, "surrogate": ATan()}, ShapeError, r"the state v has shape \(3,\), the input"),
        ("lif_step", [(2,), (2,)], {"k": 2.0, "surrogate": ATan()}, ArgumentError, r"tau must be at least 1; got k = 2\.0"),
        ("if_multi_step", [(0, 2), (2,)], {"surrogate": ATan()}, ShapeError, "needs at least one time step on axis 0"),
        ("if_step", [(2,), (2,)], {"v_threshold": np.inf, "surrogate": ATan()}, ArgumentError, "must be finite"),
        ("plif_step", [(2,), (2,), (1,)], {"surrogate": ATan()}, ShapeError, r"k must be a 0-d tensor, got shape \(1,\)"),
    ],
)  # fmt: skip
def test_a_composite_refuses_what_its_body_refuses(
    op: str, shapes: list[Any], attrs: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The same words on abstract and on real tensors, and nothing has run by then."""
    hollow_args: Any = [abstract_tensor(Spec(shape, "float32")) for shape in shapes]
    real: Any = [zeros(shape) for shape in shapes]
    for args in (hollow_args, real):
        with pytest.raises(error, match=message):
            registry()[op](*([args] if op == "stack" else args), **attrs)


def test_nothing_can_be_read() -> None:
    x = abstract_tensor(Spec((2,), "float32"))
    with pytest.raises(
        UnsupportedOpError, match="an abstract tensor has a shape and a dtype but no values to read"
    ):
        x.numpy()
    with pytest.raises(UnsupportedOpError, match="no values to read"):
        bool(x.sum() > 0)
    with pytest.raises(UnsupportedOpError, match="the spec of an abstract array is held by its tensor"):
        ABSTRACT.spec(x._data)
    assert repr(x) == "Tensor(float32[2], abstract)"
    assert tensor([1.0, 2.0], backend=ABSTRACT).shape == (2,) and zeros(3, backend=ABSTRACT).shape == (3,)


def test_inferring_a_composite_allocates_nothing() -> None:
    huge = Spec((10**6, 10**6, 10), "float32")
    assert dispatch.infer(ops.batch_norm, [huge, None, None], {"eps": 1e-5})[0] == huge
