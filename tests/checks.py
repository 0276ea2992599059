"""Gradients against finite differences, by random projection, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from grilly_core.autograd import backward, no_grad
from grilly_core.tensor import Tensor, tensor

__all__ = ["check_vjp", "flat", "gradients", "to_tensors"]

Arrays = Sequence[Any]

STEP = 1e-6
"""Step of the central difference: its own error is about STEP**2, that of rounding 1e-16 / STEP."""

TOLERANCE = 2e-8


def flat(args: Arrays) -> Iterator[Any]:
    """The arguments of an op with its lists opened."""
    for arg in args:
        if isinstance(arg, list):
            yield from arg
        else:
            yield arg


def to_tensors(args: Arrays, wanted: Callable[[int], bool] = lambda i: True) -> list[Any]:
    """NumPy tensors; those of floats whose flat position is ``wanted`` ask for a gradient. None stays None."""
    position = -1

    def make(array: Any) -> Any:
        nonlocal position
        position += 1
        if array is None:
            return None
        floats = array.dtype.kind == "f"
        return tensor(array, backend="numpy", requires_grad=floats and wanted(position))

    return [[make(item) for item in arg] if isinstance(arg, list) else make(arg) for arg in args]


def _results(function: Callable[..., Any], tensors: Sequence[Any]) -> list[Tensor]:
    made = function(*tensors)
    return [made] if isinstance(made, Tensor) else list(made)


def gradients(
    function: Callable[..., Any],
    args: Arrays,
    cotangents: dict[int, np.ndarray],
    wanted: Callable[[int], bool] = lambda i: True,
) -> list[np.ndarray | None]:
    """Gradients at every flat argument when ``cotangents`` arrive at the results of these numbers."""
    leaves = to_tensors(args, wanted)
    results = _results(function, leaves)
    backward([results[i] for i in cotangents], [tensor(g, backend="numpy") for g in cotangents.values()])
    return [None if leaf is None or leaf.grad is None else leaf.grad.numpy() for leaf in flat(leaves)]


def _projection(function: Callable[..., Any], args: Arrays, cotangents: dict[int, np.ndarray]) -> float:
    with no_grad():
        results = _results(function, to_tensors(args, lambda i: False))
    return float(sum(np.sum(results[i].numpy() * g) for i, g in cotangents.items()))


def _moved(args: Arrays, at: int, by: np.ndarray) -> list[Any]:
    """The arguments with flat number ``at`` moved."""
    position = -1

    def move(array: Any) -> Any:
        nonlocal position
        position += 1
        return array + by if position == at else array

    return [[move(item) for item in arg] if isinstance(arg, list) else move(arg) for arg in args]


def _cotangents(
    function: Callable[..., Any], args: Arrays, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    results = _results(function, to_tensors(args))
    found = {i: rng.standard_normal(y.shape) for i, y in enumerate(results) if y.requires_grad}
    assert found, "no result carries a gradient"
    return found


def check_vjp(
    function: Callable[..., Any],
    args: Arrays,
    *,
    forward: Callable[..., Any] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """Compare the gradient of ``function`` at every float64 argument with central differences of ``forward``.

    The Jacobian is applied to a random direction per argument and weighed with random cotangents, all results that
    carry a gradient at once, then each result alone, the others' gradient being absent.

    Args:
        function: tensors to a tensor or a sequence of tensors.
        args: arrays (float64 ones are checked), lists of arrays, None.
        forward: what to take differences of, if not ``function`` itself.
        seed: of directions and cotangents.
        tolerance: of the projection, relative to the sizes of the gradient and the direction.
    """
    rng = np.random.default_rng(seed)
    everything = _cotangents(function, args, rng)
    alone = [{i: g} for i, g in everything.items()] if len(everything) > 1 else []
    for cotangents in [everything, *alone]:
        analytic = gradients(function, args, cotangents)
        for at, array in enumerate(flat(args)):
            if array is None or array.dtype != np.float64:
                continue
            direction = rng.standard_normal(array.shape)
            high, low = (
                _projection(forward or function, _moved(args, at, sign * STEP * direction), cotangents)
                for sign in (1, -1)
            )
            numeric = (high - low) / (2 * STEP)
            grad = analytic[at]
            found = 0.0 if grad is None else float(np.sum(grad * direction))
            size = 1.0 if grad is None else 1.0 + float(np.linalg.norm(grad) * np.linalg.norm(direction))
            assert abs(found - numeric) <= tolerance * size, (
                f"argument {at}: gradient along a random direction {found}, finite difference {numeric}"
            )
