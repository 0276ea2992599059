"""The tape: accumulation, freeing, switches, hooks, and what a wrong backward is told."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest
from toy_backend import Toy

from grilly_core import ops
from grilly_core.autograd import backward, enable_grad, grad_enabled, graph_is_freed, no_grad
from grilly_core.errors import BackendMismatchError, DTypeError, GradientError, ShapeError
from grilly_core.tensor import Tensor, tensor

pytestmark = pytest.mark.usefixtures("on_numpy")


def leaf(*values: float) -> Tensor:
    return tensor(list(values), requires_grad=True)


def grad(x: Tensor) -> Any:
    assert x.grad is not None
    return x.grad.tolist()


# Accumulation


def test_gradients_of_several_uses_add_up() -> None:
    x = leaf(2.0, 3.0)
    (x * x + x).sum().backward()
    assert grad(x) == [5.0, 7.0]


def test_gradients_of_several_passes_add_up() -> None:
    x = leaf(2.0)
    for count in (1, 2, 3):
        (x * 3.0).backward()
        assert grad(x) == [3.0 * count]
    first = x.grad
    x.grad = None
    (x * 3.0).backward()
    assert first is not None and first.tolist() == [9.0] and grad(x) == [3.0]


def test_a_leaf_is_its_own_root() -> None:
    x = leaf(1.0, 2.0)
    x.backward([3.0, 4.0])
    x.backward([1.0, 1.0])
    assert grad(x) == [4.0, 5.0]


def test_diamonds_are_walked_once_per_node() -> None:
    x = leaf(1.0)
    y, calls = x, list[int]()
    for depth in range(20):
        y = y.register_hook(functools.partial(lambda depth, g: calls.append(depth), depth))
        y = y + y
    y.backward()
    assert grad(x) == [2.0**20]
    assert calls == list(reversed(range(20)))


def test_branches_of_different_depth_meet_before_they_go_on() -> None:
    x = leaf(3.0)
    seen: list[Any] = []
    stem = (x * 2.0).register_hook(lambda g: seen.append(g.tolist()))
    deep = stem
    for _ in range(5):
        deep = deep * 2.0
    (deep + stem).backward()
    assert seen == [[33.0]] and grad(x) == [66.0]


def test_two_roots() -> None:
    x = leaf(2.0)
    y = x * 3.0
    backward([y * 2.0, y], [tensor([1.0]), tensor([10.0])])
    assert grad(x) == [36.0]


def test_a_result_nobody_used_gets_no_gradient() -> None:
    x = leaf(1.0, 2.0)
    used, unused = x * 2.0, x * 3.0
    used.sum().backward()
    assert grad(x) == [2.0, 2.0] and used.grad is None and unused.grad is None


def test_broadcasting_is_undone() -> None:
    x, y = leaf(1.0), tensor(np.ones((3, 1, 2), np.float32), requires_grad=True)
    (x * y).backward(np.ones((3, 1, 2)))
    assert grad(x) == [6.0] and y.grad is not None and y.grad.shape == (3, 1, 2)


def test_the_gradient_that_arrives_may_be_an_array() -> None:
    x = leaf(1.0, 2.0)
    (x * 2.0).backward(np.array([1, 3]))
    assert grad(x) == [2.0, 6.0] and x.grad is not None and x.grad.dtype == np.float32


def test_gradients_have_no_history() -> None:
    x = leaf(2.0)
    (x * x).backward()
    assert x.grad is not None and not x.grad.requires_grad and x.grad.is_leaf


# Off the tape


def test_detached_branches_are_constants() -> None:
    x = leaf(3.0)
    (x.detach() * x).backward()
    assert grad(x) == [3.0]
    assert not x.detach().requires_grad and x.requires_grad


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    assert grad_enabled()
    with no_grad():
        assert not (x * 2.0).requires_grad and not grad_enabled()
        with enable_grad():
            assert (x * 2.0).requires_grad
            with no_grad():
                assert not grad_enabled()
            assert grad_enabled()
        assert not grad_enabled()
    assert grad_enabled()


def test_no_grad_is_left_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert grad_enabled()


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def factorial(x: Tensor, n: int) -> Tensor:
        assert not grad_enabled()
        return x if n == 1 else factorial(x, n - 1) * float(n)

    assert not factorial(leaf(1.0), 4).requires_grad and factorial(leaf(1.0), 4).tolist() == [24.0]
    assert grad_enabled()


def test_passes_of_two_threads_that_overlap() -> None:
    first_inside, second_inside, first_done = (threading.Event() for _ in range(3))
    failures: list[BaseException] = []

    def work(hook: Any, begin: threading.Event | None, end: threading.Event | None) -> None:
        try:
            assert begin is None or begin.wait(20)
            x = leaf(2.0)
            (x * 3.0).register_hook(hook).backward()
            assert grad(x) == [3.0] and grad_enabled()
        except BaseException as error:  # noqa: BLE001 - the test shows it
            failures.append(error)
        if end is not None:
            end.set()

    def first(g: Tensor) -> None:
        first_inside.set()
        assert second_inside.wait(20)

    def second(g: Tensor) -> None:
        second_inside.set()
        assert first_done.wait(20)

    threads = [
        threading.Thread(target=work, args=(first, None, first_done)),
        threading.Thread(target=work, args=(second, first_inside, None)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_thread_starts_with_recording_on() -> None:
    seen: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


# Freed graphs


def test_a_second_pass_speaks_of_reset_net() -> None:
    x = leaf(1.0)
    y = x * x
    y.backward()
    message = (
        r"backward reached the result of mul from an earlier step, whose graph was already used\. .*"
        r"grilly\.functional\.reset_net\(net\) after each backward \(or detach_net\(net\).*retain_graph=True"
    )
    with pytest.raises(GradientError, match=message):
        y.backward()
    with pytest.raises(GradientError, match="whose graph was already used"):
        (y * 2.0).backward()
    # The failed pass must not hide the node from the next one.
    with pytest.raises(GradientError, match="whose graph was already used"):
        (y * 2.0).backward()
    assert (
        graph_is_freed(y) and graph_is_freed(y * 2.0) and not graph_is_freed(x) and not graph_is_freed(None)
    )
    assert graph_is_freed(y.reshape(1)[0:1].reshape(1, 1))
    assert not graph_is_freed((x * 2.0).reshape(1)[0:1].reshape(1, 1))


def test_a_kept_graph_can_be_used_again() -> None:
    x = leaf(2.0)
    y = x * x
    for _ in range(3):
        y.backward(retain_graph=True)
    y.backward()
    assert grad(x) == [16.0]
    with pytest.raises(GradientError):
        y.backward()


def test_what_was_not_on_the_way_is_not_freed() -> None:
    x = leaf(2.0)
    y = x * x
    a, b = y.detach() * x, y * x
    a.backward()
    b.backward()
    assert grad(x) == [16.0]


def test_a_pass_that_failed_leaves_nothing_behind() -> None:
    fail = [True]

    def hook(g: Tensor) -> None:
        if fail[0]:
            raise ZeroDivisionError

    x = leaf(2.0)
    y = x * 3.0
    left, right = (y * 1.0).register_hook(hook), y * 5.0
    z = left + right
    with pytest.raises(ZeroDivisionError):
        z.backward(retain_graph=True)
    fail[0] = False
    x.grad = None
    z.backward()
    assert grad(x) == [18.0]


# Hooks


def test_a_hook_sees_and_may_replace_the_gradient() -> None:
    x = leaf(1.0, 2.0)
    seen: list[Any] = []
    y = (x * 2.0).register_hook(lambda g: seen.append(g.tolist()))
    z = y.register_hook(lambda g: g * 10.0)
    z.backward([1.0, 3.0])
    assert seen == [[10.0, 30.0]] and grad(x) == [20.0, 60.0] and z.tolist() == y.tolist()


def test_a_hook_on_a_leaf_and_one_that_returns_nonsense() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: -g).backward()
    assert grad(x) == [-1.0]
    with pytest.raises(
        GradientError, match=r"the gradient rule of hook returned float32\[3\] for an input float32\[2\]"
    ):
        leaf(1.0, 2.0).register_hook(lambda g: tensor([1.0, 2.0, 3.0])).backward([1.0, 1.0])


# What cannot be done


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda x: tensor([1.0]).backward(),
            GradientError,
            "does not require a gradient: no input required one",
        ),
        (
            lambda x: x.detach().sum().backward(),
            GradientError,
            r"or it was made under no_grad\(\) or detach\(\)",
        ),
        (
            lambda x: (x * 2.0).backward(),
            ShapeError,
            r"backward\(\) of a tensor of shape \(2,\) needs a gradient",
        ),
        (
            lambda x: (x * 2.0).backward([1.0]),
            ShapeError,
            r"gradient float32\[1\] does not fit the tensor float32\[2\]",
        ),
        (
            lambda x: x.backward(tensor([1.0, 1.0], dtype="float64")),
            ShapeError,
            "gradient float64.2. does not fit",
        ),
        (lambda x: (x * 2.0).requires_grad_(), GradientError, "requires_grad can be set on leaves only"),
        (
            lambda x: tensor([1], dtype="int32").requires_grad_(),
            DTypeError,
            "only float tensors have gradients, this one",
        ),
        (
            lambda x: x.detach().register_hook(print),
            GradientError,
            "register_hook: this tensor does not require",
        ),
    ],
)
def test_backward_that_cannot_be(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(leaf(1.0, 2.0))


def test_a_gradient_of_another_backend() -> None:
    x = leaf(2.0)
    y = x * x
    with pytest.raises(BackendMismatchError, match="tensors of different backends"):
        y.backward(tensor([1.0], backend=Toy()))


def test_requires_grad_can_be_taken_back() -> None:
    x = leaf(1.0)
    assert x.requires_grad_(False) is x and not (x * 2.0).requires_grad
    assert tensor([1], dtype="int32").requires_grad_(False).requires_grad is False


def test_ops_without_gradient_end_it() -> None:
    x = leaf(1.5)
    for made in (ops.floor(x), x > 1.0, x.expand_dims(0).argmax(0), x.astype("int32")):
        assert not made.requires_grad
