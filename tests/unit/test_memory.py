"""What the tape keeps alive, and that it lets go of it during backward. Arrays are counted by weak references."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.surrogate import ATan
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.fixture(autouse=True)
def _no_collector() -> Any:
    """Reference counts alone must free everything: no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watch(*tensors: Tensor) -> list[weakref.ref[Any]]:
    return [weakref.ref(t._data) for t in tensors]


def alive(refs: list[weakref.ref[Any]]) -> int:
    return sum(ref() is not None for ref in refs)


def big(requires_grad: bool = False) -> Tensor:
    return tensor(np.full((64,), 0.5), requires_grad=requires_grad)


def test_memory_falls_during_backward() -> None:
    refs: list[weakref.ref[Any]] = []
    counts: list[int] = []

    def count(g: Tensor) -> None:
        counts.append(alive(refs))

    y = big(requires_grad=True)
    for _ in range(8):
        y = y.register_hook(count).exp()
        refs.extend(watch(y))
    y = y.sum()
    assert alive(refs) == 8
    y.backward()
    # A node's array goes as soon as its rule is done, before the hook below it runs.
    assert counts == [7, 6, 5, 4, 3, 2, 1, 0]
    assert alive(refs) == 0


def test_a_kept_graph_keeps_its_arrays() -> None:
    y = big(requires_grad=True).exp()
    refs = watch(y)
    y = y.exp().sum()
    y.backward(retain_graph=True)
    assert alive(refs) == 1
    y.backward()
    assert alive(refs) == 0


def test_dropping_the_result_drops_the_graph() -> None:
    y = big(requires_grad=True).exp()
    refs = watch(y)
    y = y.exp().exp()
    assert alive(refs) == 1
    del y
    assert alive(refs) == 0


@pytest.mark.parametrize("walked", [True, False])
def test_a_very_long_chain(walked: bool) -> None:
    """Neither backward nor dropping the graph recurses: tens of thousands of steps overflow no stack."""
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    if walked:
        y.backward()
        assert x.grad is not None and x.grad.tolist() == [1.0]
    del y
    assert x.tolist() == [1.0]


@pytest.mark.parametrize("call", [lambda x: x + 1.0, lambda x: -x, lambda x: x - x, lambda x: x.sum()])
def test_rules_that_read_nothing_keep_nothing(call: Any) -> None:
    x = big(requires_grad=True) * 1.0
    refs = watch(x)
    y = call(x)
    del x
    assert alive(refs) == 0 and y.requires_grad


def test_a_product_keeps_only_the_factor_it_needs() -> None:
    x, constant = big(requires_grad=True) * 1.0, big()
    refs = watch(x), watch(constant)
    y = x * constant
    del x, constant
    assert (alive(refs[0]), alive(refs[1])) == (0, 1)
    del y
    assert alive(refs[1]) == 0


def test_nothing_is_kept_when_no_gradient_is_wanted() -> None:
    for wanted in (True, False):
        x = big(requires_grad=wanted).exp() if wanted else big()
        refs = watch(x)
        with no_grad():
            y = x.exp() * x
        del x
        assert alive(refs) == 0 and y._node is None


def test_neurons_keep_potentials_only() -> None:
    """With save_h the input of a multi-step neuron is free to go; without, the potentials are not made."""
    for save_h, kept in ((True, 0), (False, 1)):
        x = tensor(np.full((4, 64), 0.75), requires_grad=True) * 1.0
        refs = watch(x)
        spikes = ops.lif_multi_step(x, big(), k=0.5, surrogate=ATan(), save_h=save_h)[0]
        del x
        assert alive(refs) == kept
        spikes.sum().backward()
        assert alive(refs) == 0


def test_a_freed_graph_holds_nothing() -> None:
    x = big(requires_grad=True)
    y = (x * x).exp()
    node: Any = y._node
    y.sum().backward()
    assert node.freed and (node.inputs, node.outputs, node.edges, node.grads) == ((), (), (), None)
