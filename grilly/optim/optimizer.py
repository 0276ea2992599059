"""Optimisers: one fused update for all parameters of a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grilly.nn.module import Module
from grilly.nn.parameter import Parameter
from grilly_core import ops
from grilly_core.autograd import no_grad
from grilly_core.errors import ArgumentError, CheckpointError
from grilly_core.tensor import Tensor, tensor, zeros_like

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


class Optimizer:
    """Base class: parameter groups, state per parameter, and the fused step.

    Args:
        params: parameters, or groups ``{"params": [...], "lr": ...}`` with settings of their own.
        defaults: settings of groups that do not say otherwise.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Module):
            raise ArgumentError(
                f"{type(self).__name__} takes parameters, got a module; pass net.parameters()"
            )
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.groups: list[dict[str, Any]] = []
        seen: set[int] = set()
        for group in groups:
            if not isinstance(group, dict) or "params" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: every group is a dict with 'params', got {group!r}"
                )
            members = list(group["params"])
            if unknown := set(group) - set(defaults) - {"params"}:
                raise ArgumentError(
                    f"{type(self).__name__}: unknown settings {sorted(unknown)}; it has {sorted(defaults)}"
                )
            for parameter in members:
                if not isinstance(parameter, Parameter):
                    raise ArgumentError(
                        f"{type(self).__name__} takes Parameters, got {type(parameter).__name__}"
                    )
                if id(parameter) in seen:
                    raise ArgumentError(f"{type(self).__name__}: a parameter is given twice")
                seen.add(id(parameter))
            self.groups.append({**defaults, **group, "params": members})
        if not seen:
            raise ArgumentError(f"{type(self).__name__}: no parameters; pass net.parameters()")
        for group in self.groups:
            self._check(group)
        self.steps = 0
        self._state: dict[int, dict[str, Tensor]] = {}
        self._updates: dict[int, int] = {}

    def _check(self, group: dict[str, Any]) -> None:
        if not group["lr"] >= 0 or not group["weight_decay"] >= 0:
            raise ArgumentError(
                f"{type(self).__name__}: lr and weight_decay must not be negative, got {group['lr']} and "
                f"{group['weight_decay']}"
            )

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        state: list[list[Tensor]],
        step: int,
        donate: bool,
    ) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.slots

    @property
    def lr(self) -> float:
        """Learning rate of the first group."""
        rate: float = self.groups[0]["lr"]
        return rate

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for parameter in group["params"]:
                parameter.grad = None

    @no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        for group in self.groups:
            together: dict[Any, list[Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    done = self._updates.get(id(p), 0)
                    together.setdefault((done, id(p._backend), p.spec.dtype), []).append(p)
            for (done, *_), live in together.items():
                self._step(group, live, done + 1)

    def _step(self, group: dict[str, Any], live: list[Parameter], step: int) -> None:
        names = self._slots(group)
        for parameter in live:
            self._updates[id(parameter)] = step
            held = self._state.setdefault(id(parameter), {})
            for name in names:
                if name not in held:
                    held[name] = zeros_like(parameter)
        owned: list[Tensor] = [*live, *(self._state[id(p)][name] for name in names for p in live)]
        donate = all(t._backend.is_exclusive(t._data) for t in owned)
        state = [[self._state[id(p)][name] for p in live] for name in names]
        grads = [p.grad for p in live if p.grad is not None]
        fresh = self._update(group, list(live), grads, state, step, donate)
        for target, source in zip(owned, fresh, strict=True):
            target._data = source._data

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` continues from.

        Returns:
            ``steps``; ``groups``, the settings of each; ``state``, NumPy arrays by ``group.parameter.slot``, where the
            slot ``step`` counts the updates of that parameter.
        """
        arrays = {}
        for g, group in enumerate(self.groups):
            for i, parameter in enumerate(group["params"]):
                for name, value in self._state.get(id(parameter), {}).items():
                    arrays[f"{g}.{i}.{name}"] = value.numpy()
                if id(parameter) in self._updates:
                    arrays[f"{g}.{i}.step"] = np.array(self._updates[id(parameter)], np.int64)
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.groups]
        return {"steps": self.steps, "groups": settings, "state": arrays}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` returned.

        Raises:
            CheckpointError: another kind of optimiser, other groups, or state of other shapes. Nothing is changed then.
        """
        if missing := {"steps", "groups", "state"} - set(saved):
            raise CheckpointError(f"this is no state of an optimiser: it lacks {sorted(missing)}")
        if len(saved["groups"]) != len(self.groups):
            raise CheckpointError(
                f"the saved optimiser has {len(saved['groups'])} groups, this one {len(self.groups)}"
            )
        groups = [
            self._restored(group, settings)
            for group, settings in zip(self.groups, saved["groups"], strict=True)
        ]
        state, updates = self._read(saved["state"], groups)
        for group, restored in zip(self.groups, groups, strict=True):
            group.update(restored)
        self.steps, self._state, self._updates = int(saved["steps"]), state, updates

    def _read(
        self, arrays: Mapping[str, Any], groups: list[dict[str, Any]]
    ) -> tuple[dict[int, dict[str, Tensor]], dict[int, int]]:
        """Saved arrays by parameter, and how often each was updated."""
        left = dict(arrays)
        state: dict[int, dict[str, Tensor]] = {}
        updates: dict[int, int] = {}
        for g, group in enumerate(groups):
            for i, p in enumerate(group["params"]):
                place = f"{g}.{i}"
                if not any(key.startswith(f"{place}.") for key in left):
                    continue
                wanted = {f"{place}.{name}": p.shape for name in self._slots(group)} | {f"{place}.step": ()}
                wrong = [key for key in wanted if key not in left or np.shape(left[key]) != wanted[key]]
                if wrong:
                    raise CheckpointError(
                        f"the saved state of a {type(self).__name__} needs {wanted} for parameter {i} of group {g}; "
                        f"missing or of another shape: {wrong}"
                    )
                updates[id(p)] = int(left.pop(f"{place}.step"))
                state[id(p)] = {
                    name: tensor(np.asarray(left.pop(f"{place}.{name}")), p.dtype, backend=p._backend)
                    for name in self._slots(group)
                }
        if left:
            raise CheckpointError(
                f"the saved state {sorted(left)} belongs to no parameter of this {type(self).__name__}"
            )
        return state, updates

    def _restored(self, group: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """A group with saved settings, checked."""
        if set(settings) != set(group) - {"params"}:
            raise CheckpointError(
                f"the saved settings {sorted(settings)} are not those of {type(self).__name__}; it has "
                f"{sorted(set(group) - {'params'})}"
            )
        restored = {**group, **settings}
        self._check(restored)
        return restored


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013).

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: share of the last step kept, in [0, 1).
        weight_decay: L2 penalty added to the gradient.
        nesterov: look ahead along the momentum.

    Example:
        >>> from grilly import nn, optim
        >>> layer = nn.Linear(2, 1)
        >>> optimiser = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        >>> layer([[1.0, 1.0]]).sum().backward()
        >>> optimiser.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, settings)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["momentum"] < 1 or (group["nesterov"] and not group["momentum"]):
            raise ArgumentError(
                f"SGD: momentum must lie in [0, 1), and above 0 with nesterov; got {group['momentum']}"
            )

    def _slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum",) if group["momentum"] else ()

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        state: list[list[Tensor]],
        step: int,
        donate: bool,
    ) -> tuple[Tensor, ...]:
        settings = {name: group[name] for name in ("lr", "momentum", "weight_decay", "nesterov")}
        fresh: tuple[Tensor, ...] = ops.sgd_update(
            params, grads, state[0] if state else [], donate=donate, **settings
        )
        return fresh


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980).

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: decay of the first and second moment, each in [0, 1).
        eps: added to the root of the second moment.
        weight_decay: L2 penalty added to the gradient.

    Example:
        >>> from grilly import nn, optim
        >>> optim.Adam(nn.Linear(2, 1).parameters(), lr=1e-3).lr
        0.001
    """

    slots = ("exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if (
            len(group["betas"]) != 2
            or not all(0 <= beta < 1 for beta in group["betas"])
            or not group["eps"] > 0
        ):
            raise ArgumentError(
                f"{type(self).__name__}: betas must be two numbers in [0, 1) and eps above 0, got {group['betas']} and "
                f"{group['eps']}"
            )

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        state: list[list[Tensor]],
        step: int,
        donate: bool,
    ) -> tuple[Tensor, ...]:
        fresh: tuple[Tensor, ...] = ops.adam_update(
            params,
            grads,
            *state,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=self.decoupled,
            step=step,
            donate=donate,
        )
        return fresh


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).

    Args:
        params, lr, betas, eps: see :class:`Adam`.
        weight_decay: each step shrinks parameters by ``lr * weight_decay``.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
