"""Every gradient rule against finite differences in float64, and what rules choose where there is no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_vjp, flat, gradients, to_tensors
from unit.vjp_cases import CASES, Case

from grilly_core import ops
from grilly_core.op import registry
from grilly_core.tensor import tensor

pytestmark = pytest.mark.usefixtures("on_numpy")

SPIKING = {
    "spike", "if_step", "lif_step", "plif_step", "if_multi_step", "lif_multi_step", "plif_multi_step", "stp_synapse",
    "klif_multi_step", "cuba_lif_multi_step", "alif_multi_step", "qif_multi_step", "eif_multi_step",
    "izhikevich_multi_step", "ilif_multi_step", "ternary_lif_multi_step",
}  # fmt: skip
"""Their gradient is a surrogate's (test_vjp_neurons.py, test_vjp_neuron_more.py), or takes spikes as constant
(test_vjp_synapse.py)."""

ROWS = [
    pytest.param(name, case, id=f"{name}-{i}") for name, row in CASES.items() for i, case in enumerate(row)
]
COMPOSITES = [row for row in ROWS if not registry()[str(row.values[0])].is_primitive]


def test_every_differentiable_op_has_a_row() -> None:
    wanted = {op.name for op in registry().values() if op.differentiable}
    assert wanted == set(CASES) | SPIKING


def test_primitives_and_fused_composites_that_are_differentiable_have_a_rule() -> None:
    without = [
        op.name for op in registry().values() if op.is_primitive and op.differentiable and op.rule is None
    ]
    assert without == []


@pytest.mark.parametrize("name, case", ROWS)
def test_rule(name: str, case: Case) -> None:
    op = registry()[name]
    check_vjp(lambda *args: op(*args, **case.attrs), case.args)


@pytest.mark.parametrize("name, case", COMPOSITES)
def test_body_has_the_same_gradient(name: str, case: Case) -> None:
    """The rule of a composite, or of the kernel that stands for it, agrees with differentiating its body."""
    op = registry()[name]
    values = op.bind(case.attrs)
    check_vjp(lambda *args: op.run_body(args, values), case.args, forward=lambda *args: op(*args, **values))


@pytest.mark.parametrize("name, case", ROWS)
def test_gradient_of_one_argument_alone(name: str, case: Case) -> None:
    """Rules keep less when fewer gradients are wanted; what is left must not change."""
    op = registry()[name]

    def call(*args: Any) -> Any:
        return op(*args, **case.attrs)

    results = call(*to_tensors(case.args))
    results = [results] if not isinstance(results, tuple | list) else results
    rng = np.random.default_rng(1)
    cotangents = {i: rng.standard_normal(y.shape) for i, y in enumerate(results) if y.requires_grad}
    together = gradients(call, case.args, cotangents)
    for at, array in enumerate(flat(case.args)):
        if array is None or array.dtype.kind != "f":
            continue
        alone = gradients(call, case.args, cotangents, lambda i, at=at: i == at)
        assert [g is None for i, g in enumerate(alone) if i != at] == [True] * (len(alone) - 1)
        found, wanted = alone[at], together[at]
        assert found is not None and wanted is not None
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_cast_brings_the_gradient_back_to_the_dtype_it_came_from() -> None:
    x = tensor(np.array([0.5, -2.0], np.float32), requires_grad=True)
    ops.cast(x, dtype="float64").backward(np.array([0.25, 3.0]))
    assert x.grad is not None and x.grad.dtype == np.float32
    assert x.grad.tolist() == [0.25, 3.0]


def test_cast_to_integers_ends_the_gradient() -> None:
    x = tensor([0.5], requires_grad=True)
    assert not ops.cast(x, dtype="int32").requires_grad
    assert not (ops.cast(x, dtype="int32").astype("float32") * 2.0).requires_grad


@pytest.mark.parametrize(
    "call, wanted",
    [
        (lambda x: ops.abs(x), 0.0),
        (lambda x: ops.relu(x), 0.0),
        (lambda x: ops.maximum(x, 0.0), 0.5),
        (lambda x: ops.minimum(0.0, x), 0.5),
    ],
    ids=["abs", "relu", "maximum", "minimum"],
)
def test_at_a_kink(call: Any, wanted: float) -> None:
    x = tensor([0.0], requires_grad=True)
    call(x).backward(np.ones(1))
    assert x.grad is not None and x.grad.tolist() == [wanted]


def test_equal_largest_elements_share_the_gradient() -> None:
    x = tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    x.max(axis=1).backward([6.0, 6.0])
    assert x.grad is not None and x.grad.tolist() == [[0.0, 3.0, 3.0], [2.0, 2.0, 2.0]]


def test_the_first_of_equal_elements_of_a_window_gets_the_gradient() -> None:
    x = tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    ops.max_pool2d(x, kernel_size=(2, 2), stride=(2, 2))[0].sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


def test_no_gradient_flows_through_statistics_or_places() -> None:
    x = tensor(np.random.default_rng(0).standard_normal((3, 2, 2)), requires_grad=True)
    _, mean, var = ops.batch_norm(x)
    assert not mean.requires_grad and not var.requires_grad
    values, places = ops.max_pool2d(x.expand_dims(0), kernel_size=(2, 2), stride=(1, 1))
    assert values.requires_grad and not places.requires_grad and places.dtype == np.int32
