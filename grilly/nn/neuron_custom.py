"""A neuron of the user's own: one step as a function written in ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from grilly._checks import finite_number
from grilly.nn.checks import check_input
from grilly.nn.parameter import Parameter
from grilly.nn.step import StatefulModule, kept, together
from grilly_core import ops
from grilly_core.errors import ArgumentError, BackendMismatchError, DTypeError, ShapeError
from grilly_core.tensor import Tensor

__all__ = ["StepNeuron", "neuron"]

State = dict[str, Tensor]
Step = Callable[[Tensor, State, dict[str, Parameter]], tuple[Tensor, Mapping[str, Tensor]]]


class StepNeuron(StatefulModule):
    """What :func:`neuron` makes: a module around ``step(x, state, params) -> (out, state)``.

    The step is a pure function of tensors, and all steps go through :meth:`run`: a fused kernel may take its place.
    """

    def __init__(
        self,
        step: Step,
        state: Mapping[str, float],
        params: Mapping[str, Any] | None = None,
        step_mode: str = "s",
    ) -> None:
        super().__init__(step_mode)
        if not callable(step):
            raise ArgumentError(f"neuron takes a function step(x, state, params), got {step!r}")
        self.step = step
        self.title = getattr(step, "__name__", type(step).__name__)
        self._names = tuple(self._free(state, "state"))
        for name in self._names:
            self.register_memory(name, finite_number(state[name], f"neuron: state[{name!r}] at first"))
        for name in self._free(params or {}, "params"):
            value = (params or {})[name]
            setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))

    def _free(self, given: Any, kind: str) -> list[str]:
        """The names in ``given``, which become attributes."""
        if not isinstance(given, Mapping):
            raise ArgumentError(f"neuron: {kind} must be a dict by name, got {type(given).__name__}")
        for name in given:
            if not isinstance(name, str) or not name.isidentifier() or hasattr(self, name):
                raise ArgumentError(
                    f"neuron: {name!r} in {kind} is no identifier, or the module has such an attribute; choose another name"
                )
        return list(given)

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps of ``x [T, ...]``: the output of each, ``[T, ...]``, and the state after the last."""
        out: list[Tensor] = []
        for t in range(x.shape[0]):
            y, state = self._one(x[t], state)
            if out and y.shape != out[0].shape:
                raise ShapeError(
                    f"{self.title} returned an output of shape {y.shape} after one of {out[0].shape}"
                )
            out.append(y)
        return ops.stack(out), state

    def forward(self, x: Tensor) -> Tensor:
        """The output of one step or of each of all steps."""
        check_input(self, x, next(iter(self._parameters.values()), None))
        self.check_steps(x)
        multi = self.step_mode == "m"
        shape = x.shape[1:] if multi else x.shape
        state = {name: kept(self, self._memories[name], shape, x) for name in self._names}
        out, state = self.run(x, state) if multi else self._one(x, state)
        out, *after = together(out, *state.values())
        self._memories.update(zip(state, after, strict=True))
        return out

    def _one(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        made = self.step(x, dict(state), dict(self._parameters))
        if not isinstance(made, tuple) or len(made) != 2:
            got = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
            raise ArgumentError(f"{self.title} must return two things, (out, state), got {got}")
        out, after = made
        if not isinstance(out, Tensor):
            raise ArgumentError(f"{self.title} must return a Tensor first, got {type(out).__name__}")
        if not isinstance(after, Mapping) or set(after) != set(self._names):
            got = sorted(after) if isinstance(after, Mapping) else type(after).__name__
            raise ArgumentError(
                f"{self.title} must return its state second, a dict with {sorted(self._names)}, got {got}"
            )
        for name in self._names:
            self._check_state(name, state[name], after[name])
        return out, {name: after[name] for name in self._names}

    def _check_state(self, name: str, before: Tensor, after: Any) -> None:
        what = f"{self.title} returned state[{name!r}]"
        if not isinstance(after, Tensor):
            raise ArgumentError(f"{what} as {type(after).__name__}; it must be a Tensor")
        if after.shape != before.shape:
            raise ShapeError(
                f"{what} of shape {after.shape}, it was {before.shape}: a state keeps the shape of one step of the input"
            )
        if after.spec.dtype != before.spec.dtype:
            cure = f"convert it with .astype('{before.spec.dtype}')"
            raise DTypeError(f"{what} as {after.spec.dtype}, it was {before.spec.dtype}; {cure}")
        if after._backend is not before._backend:
            raise BackendMismatchError(f"{what} on {after.backend}, it was on {before.backend}")

    def extra_repr(self) -> str:
        return f"{self.title}, state={list(self._names)}, step_mode={self.step_mode!r}"


def neuron(
    step: Step,
    state: Mapping[str, float],
    params: Mapping[str, Any] | None = None,
    step_mode: str = "s",
) -> StepNeuron:
    """A neuron of one's own as a module: named memories, parameters, both step modes, gradients on every backend.

    Shapes: ``[N, ...]`` in step mode 's', ``[T, N, ...]`` in 'm'; each state has the shape of one step of the input.

    Args:
        step: ``step(x, state, params) -> (out, state)``, a pure function written with tensors and ``F``: x is the input of
            one step, ``state`` and ``params`` are dicts of tensors by name; it returns what the neuron emits and the new
            state under the same names. ``F.spike`` fires with a surrogate gradient.
        state: initial value of each state, a number; memories of these names are reset to it.
        params: parameters by name: numbers, arrays, or ``nn.Parameter`` (which may be frozen). They are learned.
        step_mode: ``'s'``: the input is one step; ``'m'``: all steps.

    Returns:
        A new module; call ``neuron`` again for another layer.

    Raises:
        ArgumentError: names that cannot be attributes; later, a step that returns anything but ``(out, state)``.
        ShapeError, DTypeError, BackendMismatchError: a step that changes shape, dtype or backend of a state.
        StateError: state of another shape, or of a graph already used by backward.

    Example:
        >>> from grilly import nn, functional as F
        >>> def resonate(x, state, params):
        ...     v = state["v"] * params["decay"] - state["w"] + x
        ...     w = state["w"] * params["decay"] + state["v"]
        ...     s = F.spike(v - 1.0)
        ...     return s, {"v": v * (1.0 - s), "w": w}
        >>> node = nn.neuron(resonate, state={"v": 0.0, "w": 0.0}, params={"decay": 0.5}, step_mode="m")
        >>> node([[0.75], [0.75], [0.0]]).tolist(), node.w.tolist()
        ([[0.0], [1.0], [0.0]], [0.375])
    """
    return StepNeuron(step, state, params, step_mode)
