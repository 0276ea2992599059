"""Losses and one-hot labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_vjp
from layer_checks import normal

import grilly
import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, DataError, DTypeError, ShapeError

LOGITS = normal(5, 4)
LABELS = np.array([0, 3, 1, 1, 2])


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> np.ndarray:
    """Per sample, in nats."""
    logs = logits - logits.max(1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(1, keepdims=True))
    target = np.eye(4)[labels] * (1 - smoothing) + smoothing / 4
    return -(target * logs).sum(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("reduction, reduce", [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)])
def test_cross_entropy(smoothing: float, reduction: str, reduce: Any) -> None:
    wanted = reduce(cross_entropy(LOGITS, LABELS, smoothing))
    np.testing.assert_allclose(F.cross_entropy(LOGITS, LABELS, smoothing, reduction), wanted, rtol=1e-12)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction)
    np.testing.assert_allclose(loss(grilly.tensor(LOGITS), LABELS), wanted, rtol=1e-12)
    check_vjp(lambda x: F.cross_entropy(x, LABELS, smoothing, reduction), [LOGITS])


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, list, grilly.tensor])
def test_integer_labels_of_any_kind(kind: Any) -> None:
    labels = (
        LABELS.tolist() if kind is list else LABELS.astype(kind) if isinstance(kind, type) else kind(LABELS)
    )
    assert F.cross_entropy(LOGITS, labels).item() == F.cross_entropy(LOGITS, LABELS).item()


def test_large_logits_do_not_overflow() -> None:
    loss = F.cross_entropy(np.float32([[1e4, 0.0], [-1e4, 1e4]]), [0, 0])
    assert loss.item() == pytest.approx(1e4)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.cross_entropy(LOGITS, [0, 1, 2, 3, 4]), DataError, r"labels from 0 to 4 do not fit 4 classes \(0 to 3\)"),
        (lambda: F.cross_entropy(LOGITS, [0, 1, 2, 3, -1]), DataError, "labels from -1 to 3"),
        (lambda: F.cross_entropy(LOGITS, grilly.tensor(LABELS + 2)), DataError, "labels from 2 to 5"),
        (lambda: F.cross_entropy(LOGITS, LABELS / 1), DTypeError, "labels must be integers, not float64"),
        (lambda: F.cross_entropy(LOGITS, LABELS[:3]), ShapeError, r"\(5, 4\) and \(3,\)"),
        (lambda: F.cross_entropy(LOGITS, LABELS[:, None]), ShapeError, r"labels \[N\], got"),
        (lambda: F.cross_entropy(normal(2, 5, 4), LABELS), ShapeError, r"\[N, C\], got \(2, 5, 4\).*average over T"),
        (lambda: F.cross_entropy(LOGITS, LABELS, 1.0), ArgumentError, r"label_smoothing must lie in \[0, 1\)"),
        (lambda: F.cross_entropy(LOGITS, LABELS, reduction="avg"), ArgumentError, "one of mean, sum, none, got 'avg'"),
        (lambda: F.one_hot([0, 3], 3), DataError, "labels from 0 to 3 do not fit 3 classes"),
        (lambda: F.mse_loss([1.0, 2.0], [1.0]), ShapeError, r"input \(2,\) and target \(1,\) differ"),
        (lambda: F.mse_loss([1.0], [1.0], reduction="x"), ArgumentError, "reduction"),
    ],
)  # fmt: skip
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("reduction, reduce", [("mean", np.mean), ("sum", np.sum), ("none", np.asarray)])
def test_mse(reduction: str, reduce: Any) -> None:
    x, target = normal(3, 4), normal(3, 4, seed=1)
    wanted = reduce((x - target) ** 2)
    np.testing.assert_allclose(F.mse_loss(x, target, reduction), wanted, rtol=1e-12)
    # The target has the dtype of the output, not that of the (parameterless) loss.
    np.testing.assert_allclose(nn.MSELoss(reduction)(grilly.tensor(x), target), wanted, rtol=1e-12)
    check_vjp(lambda a, b: F.mse_loss(a, b, reduction), [x, target])


def test_one_hot() -> None:
    got = F.one_hot(np.array([[2, 0], [1, 1]]), 3)
    np.testing.assert_array_equal(got, np.eye(3)[[[2, 0], [1, 1]]])
    assert got.dtype == "float32" and F.one_hot([1], 2, dtype=np.float64).dtype == "float64"


def test_hooks_of_losses() -> None:
    loss, seen = nn.CrossEntropyLoss(), []
    loss.register_forward_hook(lambda module, args, output: seen.append(output.item()))
    loss(LOGITS, LABELS)
    assert seen == [pytest.approx(cross_entropy(LOGITS, LABELS, 0.0).mean())]
