"""Monitors: what is recorded, of which layers and steps, in both step modes; bounded memory; errors."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from layer_checks import normal

import grilly
import grilly.functional as F
from grilly import monitor, nn
from grilly.errors import ArgumentError, StateError
from grilly_core.ops import stack

T, N = 7, 3
X = 2 * normal(T, N, 4, dtype=np.float32)


def network(mode: str = "s") -> Any:
    grilly.seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.LIFNode(), nn.Linear(6, 2), nn.IFNode(v_threshold=0.3))
    F.set_step_mode(net, mode)
    return net


def run(net: Any, x: Any) -> Any:
    """All steps: one call in mode 'm', T calls in 's'."""
    if net[0].step_mode == "m":
        return net(x)
    return stack([net(step) for step in x])


@pytest.mark.parametrize("backend", backend_params())
@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("every", [1, 2, 3, 10])
def test_outputs_and_inputs_in_both_modes(backend: str, mode: str, every: int) -> None:
    wanted: dict[str, np.ndarray] = {}
    with grilly.backend(backend):
        layers = network("m")
        x: Any = np.concatenate([X, X[::-1]])
        for name, layer in layers.named_children():
            x = wanted[name] = layer(x).numpy()
        net = network(mode)
        outputs = monitor.OutputMonitor(net, nn.Module, every=every)
        inputs = monitor.InputMonitor(net, ("1", "3"), every=every)
        run(net, X)
        run(net, X[::-1])
        for name in ("0", "1", "2", "3"):
            found = outputs.sequence(name)
            assert found.backend == backend and not found.requires_grad and found.is_leaf
            np.testing.assert_array_equal(found, wanted[name][::every])
        for name, before in (("1", "0"), ("3", "2")):
            np.testing.assert_array_equal(inputs.sequence(name), wanted[before][::every])
        assert wanted["3"].any() and wanted["1"].any()


def test_layers_by_type_and_name() -> None:
    net = nn.Sequential(network(), nn.Sequential(nn.LIFNode(), nn.ReLU()))
    for layers, names in (
        (nn.BaseNode, ("0.1", "0.3", "1.0")),
        (nn.LIFNode, ("0.1", "1.0")),
        ("1.1", ("1.1",)),
        (["1.1", nn.IFNode, "0.0"], ("0.0", "0.3", "1.1")),
        (nn.Sequential, ("", "0", "1")),
    ):
        assert monitor.OutputMonitor(net, layers).layers == names
    assert monitor.OutputMonitor(net).layers == ("0.1", "0.3", "1.0")
    assert monitor.OutputMonitor(nn.LIFNode()).layers == ("",)


def test_records_are_in_the_order_of_the_calls() -> None:
    net = network()
    spikes = monitor.OutputMonitor(net)
    run(net, X[:2])
    shapes = [record.shape for record in spikes.records]
    assert shapes == [(N, 6), (N, 2), (N, 6), (N, 2)]
    assert [record.shape for record in spikes["3"]] == [(N, 2)] * 2
    assert repr(spikes) == "OutputMonitor({'1': 2, '3': 2})"


def test_enable_disable_clear_remove() -> None:
    net = network()
    spikes = monitor.OutputMonitor(net, "1", every=2)
    run(net, X[:3])
    spikes.disable()
    run(net, X)
    assert not spikes.enabled and len(spikes["1"]) == 2
    spikes.enable()
    run(net, X[:1])  # the fourth call counted
    assert spikes.enabled and len(spikes["1"]) == 2
    spikes.clear()
    assert spikes.records == []
    run(net, X[:1])
    assert len(spikes["1"]) == 1
    spikes.remove()
    spikes.remove()
    run(net, X)
    assert len(spikes["1"]) == 1
    assert not any(layer._forward_hooks for layer in net.modules())


def test_leaving_the_block_removes_all_kinds() -> None:
    net = network()
    with (
        monitor.OutputMonitor(net),
        monitor.InputMonitor(net),
        monitor.GradOutputMonitor(net),
        monitor.AttributeMonitor("v", True, net),
        monitor.AttributeMonitor("v", False, net),
    ):
        assert net[1]._forward_hooks and net[1]._forward_pre_hooks
    for layer in net.modules():
        assert not layer._forward_hooks and not layer._forward_pre_hooks and not layer._backward_hooks


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("every, most", [(1, 4), (2, 3), (1, 20), (3, 1)])
def test_the_latest_steps_are_kept(mode: str, every: int, most: int) -> None:
    net = network(mode)
    everything = monitor.OutputMonitor(net, "1", max_steps=None)
    some = monitor.OutputMonitor(net, "1", every=every, max_steps=most)
    for _ in range(3):
        run(net, X)
    wanted = everything.sequence("1").numpy()
    assert len(wanted) == 3 * T
    kept = some.sequence("1").numpy()
    np.testing.assert_array_equal(kept, wanted[::every][-len(kept) :])
    # Whole calls are dropped: in mode 'm' up to one call less may be left.
    assert most - (1 if mode == "s" else T) < len(kept) <= most


def live_elements() -> int:
    """Elements of all arrays that tensors hold, each memory once."""
    gc.collect()
    bases: dict[int, int] = {}
    for item in gc.get_objects():
        if type(item) is grilly.Tensor and isinstance(item._data, np.ndarray):
            data = item._data
            while isinstance(data.base, np.ndarray):
                data = data.base
            bases[id(data)] = data.size
    return sum(bases.values())


@pytest.mark.parametrize("mode", ["s", "m"])
def test_memory_is_bounded(mode: str) -> None:
    net = network(mode)
    spikes = monitor.OutputMonitor(net, "1", every=T, max_steps=5)
    gradients = monitor.GradOutputMonitor(net, "1", every=T, max_steps=5)
    before, sizes = live_elements(), []
    for _ in range(12):
        run(net, X).sum().backward()
        F.reset_net(net)
        net.zero_grad()
        sizes.append(live_elements() - before)
    assert len(spikes["1"]) == len(gradients["1"]) == 5
    # Five steps of N x 6 each for both; views of all steps would hold T times as much.
    assert sizes[-1] == sizes[5] <= 2 * 5 * N * 6 + 100, sizes


def test_values_are_off_the_tape_and_gradients_are_not_changed() -> None:
    plain, watched = network("m"), network("m")
    marks = [
        monitor.OutputMonitor(watched, nn.Module),
        monitor.InputMonitor(watched, nn.Module),
        monitor.GradOutputMonitor(watched, nn.Module),
        monitor.AttributeMonitor("v", False, watched),
    ]
    for net in (plain, watched):
        (net(X) * normal(T, N, 2, dtype=np.float32)).sum().backward()
    for left, right in zip(plain.parameters(), watched.parameters(), strict=True):
        np.testing.assert_array_equal(left.grad, right.grad)
    for mark in marks:
        assert mark.records and not any(record.requires_grad for record in mark.records)


@pytest.mark.parametrize("every, most", [(1, None), (2, None), (1, 3), (2, 2)])
def test_gradients_at_outputs(every: int, most: int | None) -> None:
    weights = normal(T, N, 2, dtype=np.float32)
    found: dict[str, list[np.ndarray]] = {}
    for mode in ("s", "m"):
        net = network(mode)
        with monitor.GradOutputMonitor(net, (nn.LIFNode, "3"), every=every, max_steps=most) as gradients:
            (run(net, X) * weights).sum().backward()
        found[mode] = [gradients.sequence(name).numpy() for name in ("1", "3")]
    for single, multi in zip(found["s"], found["m"], strict=True):
        np.testing.assert_allclose(single, multi, rtol=1e-5, atol=1e-6)
        assert np.abs(multi).max() > 0.01
    # In the order of the steps, though backward goes the other way.
    np.testing.assert_array_equal(found["m"][1], weights[::every][-(most or T) :])
    # What arrives at the spikes of the first neuron has come through the weights of the second layer.
    net = network("m")
    captured: list[np.ndarray] = []
    net[2].register_backward_hook(lambda layer, grad: captured.append(grad.numpy()))
    (net(X) * weights).sum().backward()
    through = captured[0] @ net[2].weight.numpy()
    np.testing.assert_allclose(found["m"][0], through[::every][-(most or T) :], rtol=1e-5, atol=1e-6)


def test_no_gradient_no_record() -> None:
    net = network()
    gradients = monitor.GradOutputMonitor(net)
    with grilly.no_grad():
        run(net, X)
    assert gradients.records == []
    with pytest.raises(StateError, match="nothing was recorded of layer '1' yet"):
        gradients.sequence("1")


def test_attributes_in_both_modes() -> None:
    single, multi = network("s"), network("m")
    for node in (multi[1], multi[3]):
        node.store_v_seq = True
    with (
        monitor.AttributeMonitor("v", False, single) as v,
        monitor.AttributeMonitor("v_seq", False, multi) as seq,
    ):
        run(single, X)
        run(multi, X)
    for name in ("1", "3"):
        np.testing.assert_array_equal(v.sequence(name), seq.sequence(name))
    F.reset_net(single)
    with monitor.AttributeMonitor("v", True, single, "1") as before:
        run(single, X)
    assert before["1"][0] == 0.0 and len(before["1"]) == T
    for now, last in zip(before["1"][1:], v["1"], strict=False):
        np.testing.assert_array_equal(now, last)
    with monitor.AttributeMonitor("weight", False, multi, nn.Linear) as weight:
        F.reset_net(multi)
        run(multi, X)
    np.testing.assert_array_equal(weight["0"][0], multi[0].weight)
    assert len(weight["0"]) == 1


def test_a_function_of_the_values() -> None:
    rates = {}
    for mode in ("s", "m"):
        net = network(mode)
        with monitor.OutputMonitor(net, "1", lambda spikes: spikes.mean()) as mean:
            run(net, X)
        rates[mode] = np.array([rate.item() for rate in mean["1"]])
        if mode == "m":
            with pytest.raises(StateError, match="have no time axis; use monitor"):
                mean.sequence("1")
    assert len(rates["s"]) == T and len(rates["m"]) == 1
    assert rates["m"][0] == pytest.approx(rates["s"].mean()) and rates["m"][0] > 0


def test_neurons_run_by_containers_give_all_their_steps() -> None:
    net = network()
    with monitor.OutputMonitor(net, ("0", "1")) as marks:
        whole = F.multi_step_forward(net, X)
    assert [record.shape for record in marks["1"]] == [(T, N, 6)] and len(marks["0"]) == T
    assert marks.sequence("0").shape == marks.sequence("1").shape == (T, N, 6)
    F.reset_net(net)
    box = nn.MultiStepContainer(*net)
    with monitor.OutputMonitor(box, ("", "3"), every=3) as marks:
        box(X)
    np.testing.assert_array_equal(marks.sequence(""), whole.numpy()[::3])
    np.testing.assert_array_equal(marks.sequence("3"), whole.numpy()[::3])


def test_several_inputs_and_outputs() -> None:
    class Both(nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return a + b, a * b

    layer = Both()
    with monitor.InputMonitor(layer, Both) as inputs, monitor.OutputMonitor(layer, Both) as outputs:
        layer([1.0, 2.0], [3.0, 5.0])
    assert [x.tolist() for x in inputs[""][0]] == [[1.0, 2.0], [3.0, 5.0]]
    assert [x.tolist() for x in outputs[""][0]] == [[4.0, 7.0], [3.0, 10.0]]
    with (
        monitor.GradOutputMonitor(layer, Both),
        pytest.raises(
            ArgumentError, match=r"layer '' \(Both\) is a tuple; monitor layers that put out one Tensor"
        ),
    ):
        layer([1.0], [2.0])


def test_batches_of_other_sizes_stay_apart() -> None:
    net = network()
    spikes = monitor.OutputMonitor(net, "1")
    net(X[0])
    F.reset_net(net)
    net(X[0, :2])
    assert [record.shape for record in spikes["1"]] == [(3, 6), (2, 6)]
    with pytest.raises(StateError, match=r"shapes \[\(2, 6\), \(3, 6\)\]; use monitor\['1'\], a list"):
        spikes.sequence("1")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda net: monitor.OutputMonitor(net, "4"), "OutputMonitor: the network has no layer '4'; it has 0, 1, 2, 3"),
        (lambda net: monitor.OutputMonitor(nn.Sequential(net), "0_1"), "no layer '0_1'; did you mean '0.1'"),
        (lambda net: monitor.InputMonitor(net, nn.Conv2d), "no layer of type Conv2d; it has IFNode, LIFNode, Linear, Seq"),
        (lambda net: monitor.OutputMonitor(net, ()), "no layer of type any"),
        (lambda net: monitor.OutputMonitor(net, int), "layers are types of modules or dotted names, got <class 'int'>"),
        (lambda net: monitor.OutputMonitor([net]), "OutputMonitor watches a module, got list"),
        (lambda net: monitor.OutputMonitor(net, every=0), "OutputMonitor: every must be an integer of at least 1, got 0"),
        (lambda net: monitor.OutputMonitor(net, max_steps=0), "OutputMonitor: max_steps"),
        (lambda net: monitor.OutputMonitor(net, function="mean"), "function must be callable or None, got 'mean'"),
        (lambda net: monitor.AttributeMonitor("u", False, net), r"layer '1' \(LIFNode\) has no attribute 'u'"),
        (lambda net: monitor.OutputMonitor(net)["0"], "layer '0' is not monitored; there are '1', '3'"),
        (lambda net: monitor.OutputMonitor(net).sequence("x"), "layer 'x' is not monitored"),
    ],
)  # fmt: skip
def test_refused(call: Any, message: str) -> None:
    net = network()
    with pytest.raises(ArgumentError, match=message):
        call(net)


def test_potentials_that_are_not_stored() -> None:
    net = network("m")
    with (
        monitor.AttributeMonitor("v_seq", False, net, "1"),
        pytest.raises(
            StateError,
            match=r"v_seq of layer '1'.*is None; it is stored in step_mode='m' with store_v_seq",
        ),
    ):
        net(X)
