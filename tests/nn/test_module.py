"""Module: the tree, parameters, buffers, saving, moving, hooks, and what it looks like."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, CheckpointError, ConfigError, DTypeError, GradientError, StateError
from grilly_core.abstract import ABSTRACT


class Net(nn.Module):
    """Everything that can hang on a module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.LIFNode()])
        self.gain = nn.Parameter(2.0)

    def forward(self, x: grilly.Tensor) -> Any:
        x = self.norm(self.first(x))
        for block in self.blocks:
            x = block(x)
        return x * self.gain


NAMES = [
    "gain", "first.weight", "first.bias", "norm.weight", "norm.bias", "blocks.0.weight", "blocks.0.bias",
]  # fmt: skip


def test_names() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["norm.running_mean", "norm.running_var"]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "first",
        "norm",
        "blocks",
        "blocks.0",
        "blocks.1",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "norm", "blocks"]
    assert list(net.children()) == [net.first, net.norm, net.blocks]
    assert all(isinstance(parameter, nn.Parameter) for parameter in net.parameters())


def test_shared_parts_count_once() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.Tanh(), layer)
    assert len(list(net.parameters())) == 2 and len(list(net.modules())) == 3
    x = grilly.tensor([[1.0, 2.0]])
    net(x).sum().backward()
    twice = layer.weight.grad
    assert twice is not None and (twice.numpy() != 0).any()
    fresh = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match="missing"):
        fresh.load_state_dict(net.state_dict())
    net.load_state_dict(net.state_dict())


def test_attributes() -> None:
    net = Net()
    net.gain = nn.Parameter([1.0, 2.0])
    assert dict(net.named_parameters())["gain"].shape == (2,)
    with pytest.raises(ArgumentError, match=r"Net.gain is a parameter; .*gain.assign\(array\)"):
        net.gain = np.ones(2)
    net.gain = None
    assert "gain" not in dict(net.named_parameters())
    del net.first
    assert "first.weight" not in dict(net.named_parameters())
    with pytest.raises(AttributeError, match="Net has no attribute 'first'"):
        _ = net.first
    net.norm.running_mean = grilly.ones(4)
    assert dict(net.named_buffers())["norm.running_mean"].tolist() == [1.0] * 4
    net.norm.set_buffer("running_mean", grilly.zeros(4))
    assert net.norm.running_mean.tolist() == [0.0] * 4
    net.norm.set_buffer("running_mean", np.full(4, 2.0))
    net.norm.running_var = np.full(4, 3.0)
    held = dict(net.named_buffers())
    assert [held[f"norm.running_{name}"].tolist() for name in ("mean", "var")] == [[2.0] * 4, [3.0] * 4]
    assert {value.dtype for value in held.values()} == {np.dtype("float32")}
    with pytest.raises(ArgumentError, match=r"BatchNorm1d has no buffer 'mean'; it has \['running_mean'"):
        net.norm.set_buffer("mean", grilly.zeros(4))


def test_super_first() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(1.0)

    with pytest.raises(StateError, match=r"Early: call super\(\).__init__\(\) before"):
        Early()


def test_forward_is_needed() -> None:
    with pytest.raises(NotImplementedError, match="ModuleList does not define"):
        nn.ModuleList([nn.ReLU()])([1.0])


class Echo(nn.Module):
    """Returns what its forward was given."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


class ArrayLike:
    """Something of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([1, 2], dtype)


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1.0, 2.0]), ArrayLike()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_raw_arrays_become_tensors_of_the_modules_dtype(value: Any, dtype: str) -> None:
    (given,), named = Echo().to(dtype=dtype)(value, y=np.ones(1), mode="fast", T=3)
    assert isinstance(given, grilly.Tensor) and given.dtype == dtype and given.tolist() == [1.0, 2.0]
    assert named["y"].dtype == dtype and named["mode"] == "fast" and named["T"] == 3


def test_other_arguments_are_left_alone() -> None:
    mine = grilly.tensor(np.arange(3))
    (tensor, text, nothing, number), _ = Echo()(mine, "text", None, np.float32(1.5))
    assert tensor is mine and text == "text" and nothing is None and number.item() == 1.5


def test_state_dict_holds_still_while_training() -> None:
    net = nn.Linear(2, 2)
    before = net.state_dict()
    kept = before["weight"].numpy()
    optimiser = grilly.optim.Adam(net.parameters(), lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        net(np.ones((1, 2))).sum().backward()
        optimiser.step()
    np.testing.assert_array_equal(before["weight"], kept)
    assert (net.weight.numpy() != kept).all()
    assert not before["weight"].requires_grad


@pytest.mark.parametrize("convert", [lambda t: t, lambda t: t.numpy(), lambda t: t.numpy().astype("float64")])
def test_load_state_dict(convert: Any) -> None:
    grilly.seed(1)
    source, target = Net(), Net()
    source(np.random.default_rng(0).standard_normal((4, 3)))
    parameters = list(target.parameters())
    target.load_state_dict({name: convert(value) for name, value in source.state_dict().items()})
    F.reset_net(source)
    x = np.random.default_rng(1).standard_normal((5, 3))
    np.testing.assert_array_equal(source.eval()(x), target.eval()(x))
    assert all(a is b for a, b in zip(parameters, target.parameters(), strict=True))
    assert all(p.dtype == "float32" and p.requires_grad for p in target.parameters())


def test_load_state_dict_keeps_dtype_and_takes_lists() -> None:
    net = nn.Linear(1, 1).to(dtype="float64")
    net.load_state_dict({"weight": [[0.1]], "bias": np.float32([2])})
    assert net.weight.dtype == "float64" and net.weight.item() == 0.1 and net.bias.item() == 2.0


def test_load_state_dict_refuses_whole() -> None:
    net = nn.Linear(2, 3)
    kept = net.weight.numpy()
    good = np.zeros((3, 2), "float32")
    for state, message in [
        ({"weight": good}, r"does not fit Linear: missing \['bias'\]"),
        ({"weight": good, "bias": np.zeros(3), "extra": good}, r"unknown \['extra'\]"),
        ({"weight": good, "bias": np.zeros(4)}, r"bias is \(4,\), not \(3,\)"),
        ({"weight": good, "bias": np.array(["a", "b", "c"])}, "bias has dtype .*not numeric"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            net.load_state_dict(state)
        np.testing.assert_array_equal(net.weight, kept)
    net.load_state_dict({"weight": good, "extra": good}, strict=False)
    assert not net.weight.numpy().any()
    with pytest.raises(CheckpointError, match="weight is"):
        net.load_state_dict({"weight": np.zeros(1)}, strict=False)


def test_to_dtype() -> None:
    net = Net()
    net(np.random.default_rng(0).standard_normal((4, 3))).sum().backward()
    net.counter = 3
    net.register_buffer("places", np.array([1, 2]))
    parameters = list(net.parameters())
    assert net.to(dtype="float64") is net and net.dtype == np.float64
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert {str(p.dtype) for p in net.parameters()} == {"float64"} and net.first.weight.grad is None
    assert net.norm.running_mean.dtype == "float64" and net.places.dtype == "int32"
    assert net.blocks[1].v.dtype == "float64" and not net.blocks[1].v.requires_grad
    assert net(np.ones((4, 3))).dtype == "float64"


def test_to_on_modules_without_parameters() -> None:
    for module in (nn.ReLU(), nn.Flatten(), nn.MaxPool2d(2), nn.IFNode(), nn.Sequential()):
        assert module.to(dtype=np.float64).dtype == "float64"
        assert module.to("numpy") is module
    assert nn.ReLU().to(dtype="float64")([1.0]).dtype == "float64"


def test_to_another_backend() -> None:
    net = Net().to(ABSTRACT)
    assert {p.backend for p in net.parameters()} == {"abstract"}
    assert net.norm.running_var.backend == "abstract"
    with grilly.backend(ABSTRACT):
        assert net(np.ones((4, 3))).shape == (4, 4)


def test_to_refuses() -> None:
    with pytest.raises(DTypeError, match="float32 or float64, not int32"):
        Net().to(dtype="int32")
    with pytest.raises(ConfigError, match="float64"):
        Net().to("float64")


def test_wrong_width_names_layer_and_cure() -> None:
    with pytest.raises(
        DTypeError, match=r"Linear takes float32, got a Tensor of float64;.*net.to\(dtype='float64'\)"
    ):
        nn.Linear(2, 2)(grilly.tensor(np.ones((1, 2))))


def test_train_and_eval() -> None:
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net and not any(module.training for module in net.modules())
    net.train()
    assert net.blocks[1].training


def test_zero_grad_and_freezing() -> None:
    net = Net()
    net.first.requires_grad_(False)
    net(np.random.default_rng(0).standard_normal((4, 3))).sum().backward()
    assert net.first.weight.grad is None and net.gain.grad is not None
    net.zero_grad()
    assert net.gain.grad is None


def test_apply_goes_inside_out() -> None:
    seen: list[str] = []
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["ReLU", "Tanh", "Sequential", "Sequential"]


def test_forward_hooks() -> None:
    layer = nn.Identity()
    seen: list[Any] = []
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    after = layer.register_forward_hook(lambda module, args, output: output * 10)
    watch = layer.register_forward_hook(lambda module, args, output: seen.append((module, output.item())))
    assert layer([1.0]).item() == 20.0 and seen == [(layer, 20.0)]
    before.remove()
    after.remove()
    after.remove()
    watch.remove()
    again = layer.register_forward_hook(lambda module, args, output: output + 5)
    watch.remove()
    after.remove()
    assert layer([1.0]).item() == 6.0
    again.remove()
    assert layer([1.0]).item() == 1.0


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_backward_hooks(step_mode: str) -> None:
    node = nn.IFNode(step_mode=step_mode)
    seen: list[Any] = []
    handle = node.register_backward_hook(lambda module, grad: seen.append((module, grad.shape)))
    scaled = node.register_backward_hook(lambda module, grad: grad * 2)
    x, plain = (grilly.tensor([[0.5], [1.5]], requires_grad=True) for _ in range(2))
    node(x).sum().backward()
    assert seen == [(node, (2, 1))]
    handle.remove()
    scaled.remove()
    node.reset()
    node(plain).sum().backward()
    assert x.grad is not None and plain.grad is not None
    np.testing.assert_array_equal(x.grad, plain.grad.numpy() * 2)
    assert len(seen) == 1


def test_hooks_of_neurons_run_inside_containers() -> None:
    rates: list[float] = []
    node = nn.IFNode()
    node.register_forward_hook(lambda module, args, output: rates.append(output.mean().item()))
    nn.MultiStepContainer(nn.Identity(), node)(np.full((4, 1, 1), 0.5))
    assert rates == [0.5]


def test_deep_copy() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    assert [name for name, _ in twin.named_parameters()] == NAMES
    x = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_array_equal(net(x), twin(x))
    F.reset_net(twin)
    optimiser = grilly.optim.SGD(twin.parameters(), lr=1.0)
    twin(x).sum().backward()
    optimiser.step()
    assert (net.first.weight.numpy() != twin.first.weight.numpy()).any()
    with pytest.raises(GradientError, match="reset_net"):
        copy.deepcopy(net)


def test_repr() -> None:
    assert repr(Net()) == "\n".join(
        [
            "Net(",
            "  (first): Linear(3, 4)",
            "  (norm): BatchNorm1d(4, eps=1e-05, momentum=0.1)",
            "  (blocks): ModuleList(",
            "    (0): Linear(4, 4)",
            "    (1): LIFNode(tau=2, decay_input=True, v_threshold=1, v_reset=0.0, ATan(alpha=2.0), step_mode='s')",
            "  )  # 20 parameters",
            ")  # 45 parameters",
        ]
    )
    shown = {
        repr(nn.Conv2d(2, 4, 3, stride=(1, 2), padding=1, groups=2, bias=False)): (
            "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 2), padding=(1, 1), groups=2, bias=False)"
        ),
        repr(nn.Linear(2, 1, bias=False)): "Linear(2, 1, bias=False)",
        repr(nn.MaxPool1d(2, padding=1)): "MaxPool1d(kernel_size=(2,), stride=(2,), padding=(1,))",
        repr(nn.AdaptiveAvgPool2d(1)): "AdaptiveAvgPool2d(output_size=(1, 1))",
        repr(nn.Dropout(0.25)): "Dropout(p=0.25, step_mode='s')",
        repr(nn.LayerNorm((2, 3))): "LayerNorm((2, 3), eps=1e-05)",
        repr(nn.LeakyReLU()): "LeakyReLU(negative_slope=0.01)",
        repr(nn.Softmax()): "Softmax(axis=-1)",
        repr(nn.Sequential()): "Sequential()",
    }
    for got, wanted in shown.items():
        assert got == wanted


def test_parameter() -> None:
    values = np.ones(2, "float32")
    parameter = nn.Parameter(values)
    values[0] = 5
    assert parameter.tolist() == [1.0, 1.0]
    assert nn.Parameter(1.0, requires_grad=False).requires_grad is False
    with pytest.raises(DTypeError, match="float32 or float64, not int32"):
        nn.Parameter(np.array([1]))
    with pytest.raises(grilly.errors.ShapeError, match=r"\(3,\) do not fit a parameter of shape \(2,\)"):
        parameter.assign(np.zeros(3))
    parameter.assign(np.zeros(2))
    assert parameter.tolist() == [0.0, 0.0] and parameter.dtype == "float32"
    with grilly.backend(ABSTRACT):
        assert nn.Parameter(grilly.tensor([1.0], backend="numpy")).backend == "numpy"


def test_graphs_recorded_before_an_assignment_keep_the_old_contents() -> None:
    w = nn.Parameter([3.0])
    loss = (w * w).sum()
    w.assign(np.array([10.0]))
    loss.backward()
    assert w.grad is not None and w.grad.item() == 6.0
