"""Losses of spikes, outputs and potentials over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends_under_test import backend_params
from checks import check_vjp
from layer_checks import normal

import grilly
import grilly.functional as F
from grilly import nn, optim
from grilly.errors import ArgumentError, DataError, DTypeError, ShapeError

T, N, C = 6, 5, 4
OUTPUTS = normal(T, N, C)
SPIKES = (normal(T, N, C, seed=1) > 0.6).astype(np.float64)
LABELS = np.array([0, 3, 1, 1, 2])
HOT = np.eye(C)[LABELS]
REDUCTIONS = [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)]


def entropy(logits: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    """Cross entropy of each sample, in nats."""
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -((HOT * (1 - smoothing) + smoothing / C) * logs).sum(-1)


def first_steps(spikes: np.ndarray) -> np.ndarray:
    return np.where(spikes.any(0), spikes.argmax(0), len(spikes))


@pytest.mark.parametrize("reduction, reduce", REDUCTIONS)
def test_values(reduction: str, reduce: Any) -> None:
    rates = SPIKES.mean(0)
    steps = np.stack([entropy(step, 0.1) for step in OUTPUTS]).mean(0)
    pull = ((OUTPUTS - 0.5) ** 2).mean((0, 2))
    more: dict[str, Any] = {"label_smoothing": 0.1, "reduction": reduction}
    target = np.broadcast_to(HOT * 2.5 - 0.5, OUTPUTS.shape)
    rows: list[tuple[Any, Any, np.ndarray, np.ndarray]] = [
        (F.rate_cross_entropy, nn.RateCrossEntropyLoss, SPIKES, entropy(3 * rates, 0.1)),
        (F.rate_mse_loss, nn.RateMSELoss, SPIKES, (rates - (HOT * 0.75 + 0.125)) ** 2),
        (F.first_spike_loss, nn.FirstSpikeLoss, SPIKES, entropy(-first_steps(SPIKES) / 2.0, 0.1)),
        (F.tet_loss, nn.TETLoss, OUTPUTS, 0.75 * steps + 0.25 * pull),
        (F.membrane_mse_loss, nn.MembraneMSELoss, OUTPUTS, (OUTPUTS - target) ** 2),
    ]
    options: list[dict[str, Any]] = [
        {"scale": 3.0, **more},
        {"correct_rate": 0.875, "incorrect_rate": 0.125, "reduction": reduction},
        {"tau": 2.0, **more},
        {"lamb": 0.25, "phi": 0.5, **more},
        {"on_target": 2.0, "off_target": -0.5, "reduction": reduction},
    ]
    for (function, module, x, wanted), given in zip(rows, options, strict=True):
        for found in (function(x, LABELS, **given), module(**given)(grilly.tensor(x), grilly.tensor(LABELS))):
            np.testing.assert_allclose(found, reduce(wanted), rtol=1e-12, err_msg=function.__name__)


@pytest.mark.parametrize(
    "loss",
    [
        nn.RateCrossEntropyLoss(scale=3.0, label_smoothing=0.1),
        nn.RateMSELoss(0.8, 0.1),
        nn.FirstSpikeLoss(tau=0.5, label_smoothing=0.1),
        nn.TETLoss(label_smoothing=0.1),
        nn.TETLoss(lamb=0.3, phi=0.4),
        nn.MembraneMSELoss(2.0, -1.0),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients(loss: Any, reduction: str) -> None:
    loss.reduction = reduction
    # Between 0 and 1: the first-spike loss is a polynomial in the spikes.
    check_vjp(lambda x: loss(x, LABELS), [1 / (1 + np.exp(-OUTPUTS))])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7, 8, 17])
def test_first_spike_time(steps: int) -> None:
    spikes = (normal(steps, 9, 7) > 0.9).astype(np.float64)
    np.testing.assert_array_equal(F.first_spike_time(spikes), first_steps(spikes))
    check_vjp(F.first_spike_time, [np.random.default_rng(0).random((steps, 3, 2))])


def test_the_gradient_of_the_first_spike_says_what_each_spike_changes() -> None:
    spikes = SPIKES[:, :2]
    x = grilly.tensor(spikes, requires_grad=True)
    F.first_spike_time(x).sum().backward()
    assert x.grad is not None
    for at in np.ndindex(*spikes.shape):
        with_spike, without = spikes.copy(), spikes.copy()
        with_spike[at], without[at] = 1, 0
        change = first_steps(with_spike) - first_steps(without)
        assert x.grad.numpy()[at] == change.sum()
    assert x.grad.numpy().min() < -1


def test_tet_without_regulariser_is_the_mean_of_the_steps_and_not_the_loss_of_the_mean() -> None:
    steps = np.mean([F.cross_entropy(step, LABELS).item() for step in OUTPUTS])
    assert F.tet_loss(OUTPUTS, LABELS).item() == pytest.approx(steps, rel=1e-12)
    assert F.cross_entropy(OUTPUTS.mean(0), LABELS).item() < steps - 0.1
    only = F.tet_loss(OUTPUTS, LABELS, lamb=1.0, phi=0.0).item()
    assert only == pytest.approx((OUTPUTS**2).mean(), rel=1e-12)


@pytest.mark.parametrize("backend", backend_params())
def test_backends_agree(backend: str) -> None:
    x = OUTPUTS.astype(np.float32)
    spikes = SPIKES.astype(np.float32)
    for loss, given in (
        (nn.RateCrossEntropyLoss(scale=3.0), spikes),
        (nn.RateMSELoss(), spikes),
        (nn.FirstSpikeLoss(), spikes),
        (nn.TETLoss(lamb=0.25), x),
        (nn.MembraneMSELoss(), x),
    ):
        leaf = grilly.tensor(given, backend=backend, requires_grad=True)
        exact = grilly.tensor(given.astype(np.float64), backend="numpy", requires_grad=True)
        found, wanted = loss(leaf, LABELS), loss(exact, LABELS)
        assert found.backend == backend and found.dtype == np.float32
        found.backward()
        wanted.backward()
        assert leaf.grad is not None and exact.grad is not None
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        np.testing.assert_allclose(leaf.grad, exact.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        nn.RateCrossEntropyLoss(scale=8),
        nn.RateMSELoss(0.9, 0.05),
        nn.FirstSpikeLoss(),
        nn.MembraneMSELoss(0.7),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_network_learns_by_it(loss: Any) -> None:
    grilly.seed(3)
    rng = np.random.default_rng(0)
    centres, y = rng.random((3, 12)), np.arange(60) % 3
    x = (centres[y] + 0.1 * rng.normal(size=(60, 12))).astype(np.float32)
    node = nn.LIFNode(v_threshold=1.0, store_v_seq=True, step_mode="m")
    net = nn.Sequential(nn.Linear(12, 24), nn.LIFNode(), nn.Linear(24, 3), node)
    F.set_step_mode(net, "m")
    optimiser = optim.Adam(net.parameters(), lr=0.02)
    losses, right = [], 0.0
    for _ in range(60):
        optimiser.zero_grad()
        out = net(np.broadcast_to(2 * x, (8, *x.shape)))
        if isinstance(loss, nn.MembraneMSELoss):
            out = node.v_seq
        value = loss(out, y)
        value.backward()
        optimiser.step()
        scores = -F.first_spike_time(out) if isinstance(loss, nn.FirstSpikeLoss) else out.mean(0)
        losses.append(value.item())
        right = float((scores.numpy().argmax(1) == y).mean())
        F.reset_net(net)
    assert losses[-1] < 0.7 * losses[0] and right > 0.9, (losses[0], losses[-1], right)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.tet_loss(OUTPUTS[0], LABELS), ShapeError, r"tet_loss takes \[T, N, C\].*got \(5, 4\); F.multi_step"),
        (lambda: F.tet_loss(OUTPUTS[:0], LABELS), ShapeError, r"T >= 1.*got \(0, 5, 4\)"),
        (lambda: F.tet_loss(OUTPUTS, LABELS[:3]), ShapeError, r"tet_loss needs labels \[N\], got \(3,\) for \(6, 5, 4\)"),
        (lambda: F.tet_loss(OUTPUTS, LABELS + 2), DataError, "labels from 2 to 5 do not fit 4 classes"),
        (lambda: F.tet_loss(OUTPUTS, LABELS, lamb=1.5), ArgumentError, r"lamb must lie in \[0, 1\], got 1.5"),
        (lambda: F.tet_loss(OUTPUTS, LABELS, reduction="avg"), ArgumentError, "tet_loss: reduction"),
        (lambda: F.rate_cross_entropy(SPIKES, LABELS, scale=0), ArgumentError, "scale must be a finite number above 0"),
        (lambda: F.rate_cross_entropy(SPIKES > 0, LABELS), DTypeError, "rate_cross_entropy takes float.*got bool"),
        (lambda: F.rate_cross_entropy(SPIKES.mean(0), LABELS), ShapeError, "rate_cross_entropy takes"),
        (lambda: F.rate_mse_loss(SPIKES, LABELS[:2]), ShapeError, r"rate_mse_loss needs labels \[N\], got \(2,\)"),
        (lambda: F.rate_mse_loss(SPIKES, LABELS, reduction="x"), ArgumentError, "reduction"),
        (lambda: F.first_spike_loss(SPIKES, LABELS, tau=-1), ArgumentError, "first_spike_loss: tau"),
        (lambda: F.first_spike_time(1.0), ShapeError, r"\[T, \.\.\.\] with T >= 1, got \(\)"),
        (lambda: F.membrane_mse_loss(OUTPUTS, HOT), ShapeError, r"needs labels \[N\], got \(5, 4\)"),
        (lambda: nn.FirstSpikeLoss(tau=0), ArgumentError, "FirstSpikeLoss: tau"),
        (lambda: nn.RateMSELoss(correct_rate=np.nan), ArgumentError, "RateMSELoss: correct_rate"),
    ],
)  # fmt: skip
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
