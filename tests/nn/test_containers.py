"""Containers, and running networks over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from layer_checks import normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, ShapeError

X = np.random.default_rng(0).integers(-4, 9, (5, 3, 2, 6, 6)).astype(np.float32) / 4


def network() -> nn.Sequential:
    """A small convolutional network with weights on a dyadic grid, so that results have no rounding."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.LIFNode(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
        nn.IFNode(v_reset=None),
    )
    for i, parameter in enumerate(net.parameters()):
        grid = np.random.default_rng(i).integers(-4, 5, parameter.shape) / 8
        parameter.assign(grid)
    return net


def by_hand(net: nn.Module, x: np.ndarray) -> np.ndarray:
    F.reset_net(net)
    return np.stack([net(step).numpy() for step in x])


@pytest.mark.parametrize("over_time", ["multi_step_forward", "step mode m", "both", "container", "repeat"])
def test_a_network_over_time_equals_step_by_step(over_time: str) -> None:
    net = network()
    x = np.stack([X[0]] * 5) if over_time == "repeat" else X
    wanted = by_hand(net, x)
    assert 0.02 < wanted.mean() < 0.98
    F.reset_net(net)
    if over_time == "container":
        got = nn.MultiStepContainer(*net)(x)
    elif over_time == "repeat":
        got = F.multi_step_forward(net, X[0], T=5)
    elif over_time == "multi_step_forward":
        got = F.multi_step_forward(net, x)
    else:
        F.set_step_mode(net, "m")
        got = net(x) if over_time == "step mode m" else F.multi_step_forward(net, x)
    np.testing.assert_array_equal(got, wanted)


def test_gradients_over_time_equal_those_step_by_step() -> None:
    results = []
    for mode in "sm":
        net = network()
        F.set_step_mode(net, mode)
        x = grilly.tensor(X, requires_grad=True)
        out = F.multi_step_forward(net, x)
        (out.mean(0) * np.arange(5, dtype="float32")).sum().backward()
        assert x.grad is not None
        results.append([x.grad.numpy(), *(p.grad.numpy() for p in net.parameters() if p.grad is not None)])
        assert len(results[-1]) == 5
    for single, multi in zip(*results, strict=True):
        np.testing.assert_allclose(single, multi, rtol=2e-4, atol=1e-5)


def test_a_neuron_in_a_container_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    node = nn.LIFNode()
    node.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    nn.MultiStepContainer(nn.Linear(2, 3), node)(np.zeros((7, 4, 2)))
    nn.MultiStepContainer(nn.Sequential(nn.Identity(), nn.Sequential(node)))(np.zeros((7, 4, 3)))
    assert calls == [7, 7] and node.step_mode == "s"


def test_multi_step_container_calls_other_modules_once_per_step() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_memory("seen", 0)

        def forward(self, x: Any) -> Any:
            self.seen = self.seen + 1
            return x * self.seen

    counter = Counter()
    out = nn.MultiStepContainer(counter)(np.ones((3, 1)))
    assert out.tolist() == [[1.0], [2.0], [3.0]] and counter.memories() == {"seen": 3}
    F.reset_net(counter)
    assert counter.seen == 0


def test_seq_to_ann_calls_once() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    shapes: list[tuple[int, ...]] = []
    conv.register_forward_hook(lambda module, args, output: shapes.append(args[0].shape))
    container = nn.SeqToANNContainer(conv, nn.ReLU())
    out = container(X)
    assert shapes == [(15, 2, 6, 6)] and out.shape == (5, 3, 3, 6, 6)
    np.testing.assert_array_equal(out[4], conv(X[4]).relu())
    np.testing.assert_array_equal(F.seq_to_ann_forward(X, conv, nn.ReLU()), out)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.SeqToANNContainer(nn.Linear(2, 2), nn.LIFNode()), r"1 \(LIFNode\), which keeps state"),
        (lambda: nn.SeqToANNContainer(nn.Sequential(nn.Dropout())), r"0.0 \(Dropout\), which keeps state"),
        (lambda: nn.SeqToANNContainer(nn.Conv2d(1, 1, 1, step_mode="m")), r"0 \(Conv2d\) has step_mode='m'"),
        (lambda: nn.SeqToANNContainer(nn.SeqToANNContainer(nn.ReLU())), r"0 \(SeqToANNContainer\) takes \[T, N"),
        (lambda: nn.MultiStepContainer(nn.LIFNode(step_mode="m")), r"0 \(LIFNode\) has step_mode='m'"),
        (lambda: nn.MultiStepContainer(nn.Sequential(nn.Conv1d(1, 1, 1, step_mode="m"))), r"0.0 \(Conv1d\) has"),
        (lambda: nn.MultiStepContainer(nn.MultiStepContainer(nn.ReLU())), r"0 \(MultiStepContainer\) takes all steps"),
        (lambda: nn.MultiStepContainer(nn.SeqToANNContainer(nn.ReLU())), r"0 \(SeqToANNContainer\) takes all steps"),
    ],
)  # fmt: skip
def test_refused_children(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert isinstance(raised.value, ArgumentError)


def test_children_changed_later_are_refused_in_forward() -> None:
    container = nn.MultiStepContainer(nn.IFNode())
    container[0].step_mode = "m"
    with pytest.raises(ArgumentError, match="step_mode='m'"):
        container(np.zeros((2, 1)))
    stateless = nn.SeqToANNContainer(nn.ReLU())
    stateless.append(nn.IFNode())
    with pytest.raises(ArgumentError, match="keeps state"):
        stateless(np.zeros((2, 1)))


@pytest.mark.parametrize("container", [nn.MultiStepContainer(nn.Tanh()), nn.SeqToANNContainer(nn.Tanh())])
@pytest.mark.parametrize("shape", [(3,), (0, 2), ()])
def test_containers_want_time(container: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Container takes \[T, N, ...\] with T >= 1, got"):
        container(np.zeros(shape))


def test_set_step_mode_stays_out_of_containers() -> None:
    net = nn.Sequential(
        nn.SeqToANNContainer(nn.Conv2d(2, 2, 1)),
        nn.LIFNode(),
        nn.MultiStepContainer(nn.Linear(6, 6), nn.IFNode()),
    )
    F.set_step_mode(net, "m")
    assert net[1].step_mode == "m" and net[0][0].step_mode == "s" and net[2][1].step_mode == "s"
    assert net(X).shape == X.shape
    F.set_step_mode(net[2], "m")
    assert net[2][1].step_mode == "s"
    with pytest.raises(ArgumentError, match="set_step_mode: step_mode must be"):
        F.set_step_mode(net, "multi")


@pytest.mark.parametrize("mode", ["s", "m"])
def test_time_containers_among_single_step_modules_run_on_all_steps(mode: str) -> None:
    net = network()
    wanted = by_hand(net, X)
    F.reset_net(net)
    conv, node, *rest = net
    mixed = nn.Sequential(nn.SeqToANNContainer(conv), node, nn.MultiStepContainer(*rest))
    F.set_step_mode(mixed, mode)
    np.testing.assert_array_equal(F.multi_step_forward(mixed, X), wanted)


def test_time_containers_in_a_module_of_ones_own() -> None:
    class Net(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.conv, self.inner = nn.SeqToANNContainer(nn.Conv2d(2, 2, 1)), inner

        def forward(self, x: Any) -> Any:
            return self.inner(self.conv(x))

    assert F.multi_step_forward(Net(nn.MultiStepContainer(nn.IFNode())), X).shape == X.shape
    assert F.multi_step_forward(Net(nn.IFNode(step_mode="m")), X).shape == X.shape
    with pytest.raises(
        ArgumentError, match=r"Net would be called once per step, but conv \(SeqToANNContainer\)"
    ):
        F.multi_step_forward(Net(nn.IFNode()), X)


def test_mixed_step_modes() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.LIFNode(step_mode="m"))
    with pytest.raises(ArgumentError, match=r"mixes step modes; call F.set_step_mode"):
        F.multi_step_forward(net, X)


@pytest.mark.parametrize(
    "shape, T, repeat, steps",
    [
        ((4, 2), None, None, 4),
        ((4, 2), 4, None, 4),
        ((4, 2), 6, None, 6),
        ((4, 2), 4, False, 4),
        ((4, 2), 4, True, 4),
        ((2,), 3, None, 3),
        ((4, 2), np.int64(4), None, 4),
    ],
)
def test_how_many_steps(shape: tuple[int, ...], T: Any, repeat: bool | None, steps: int) -> None:
    x = normal(*shape, dtype="float32")
    out = F.multi_step_forward(nn.Identity(), x, T=T, repeat=repeat)
    repeated = repeat or (repeat is None and T is not None and shape[0] != T)
    wanted = np.broadcast_to(x, (steps, *shape)) if repeated else x
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.multi_step_forward(nn.Identity(), X, repeat=True), ArgumentError, "repeat=True needs .* T"),
        (lambda: F.multi_step_forward(nn.Identity(), X, T=0), ArgumentError, "T must be an integer of at least 1, got 0"),
        (lambda: F.multi_step_forward(nn.Identity(), X, T=2.5), ArgumentError, "T must be an integer"),
        (lambda: F.multi_step_forward(nn.Identity(), X, T=4, repeat=False), ShapeError, r"\[T, N, ...\] with T=4, got \(5,"),
        (lambda: F.multi_step_forward(nn.Identity(), X[:0]), ShapeError, r"must be \[T, N, ...\], got \(0,"),
        (lambda: F.multi_step_forward(nn.Identity(), 1.0), ShapeError, r"got \(\)"),
        (lambda: F.multi_step_forward(nn.Identity(), "x"), ArgumentError, "takes an array or a Tensor, got str"),
        (lambda: F.multi_step_forward(lambda x: x, X), ArgumentError, "runs a module, got function"),
    ],
)  # fmt: skip
def test_refused_calls(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_sequential() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert net.append(nn.Linear(3, 1)) is net and len(net) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert isinstance(net[:2], nn.Sequential) and len(net[:2]) == 2 and net[-1] is net[2]
    with pytest.raises(ArgumentError, match="Sequential holds modules, got 3"):
        nn.Sequential(nn.ReLU(), 3)
    modules = nn.ModuleList([nn.ReLU()])
    modules.append(nn.Tanh())
    assert [type(module).__name__ for module in modules] == ["ReLU", "Tanh"]
    assert isinstance(modules[:1], list)


def test_hooks_of_a_sequence_see_single_steps() -> None:
    inner = nn.Sequential(nn.IFNode())
    shapes: list[tuple[int, ...]] = []
    inner.register_forward_hook(lambda module, args, output: shapes.append(args[0].shape))
    F.multi_step_forward(nn.Sequential(inner), np.zeros((3, 2)))
    assert shapes == [(2,)] * 3
