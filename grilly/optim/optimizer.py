"""Optimisers: one fused update for all parameters of a group."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

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
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.groups: list[dict[str, Any]] = []
        seen: set[int] = set()
        for group in groups:
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
            live = [parameter for parameter in group["params"] if parameter.grad is not None]
            for held in _by_place(live):
                self._step(group, held)

    def _step(self, group: dict[str, Any], live: list[Parameter]) -> None:
        names = self._slots(group)
        for parameter in live:
            if id(parameter) not in self._state:
                self._state[id(parameter)] = {name: zeros_like(parameter) for name in names}
        owned: list[Tensor] = [*live, *(self._state[id(p)][name] for name in names for p in live)]
        donate = all(_exclusive(t._data) for t in owned)
        state = [[self._state[id(p)][name] for p in live] for name in names]
        fresh = self._update(group, list(live), [p.grad for p in live if p.grad is not None], state, donate)
        for target, source in zip(owned, fresh, strict=True):
            target._data = source._data

    def state_dict(self) -> dict[str, Any]:
        """Steps done, settings per group, and copies of the state by ``group.parameter.slot``."""
        arrays = {}
        for g, group in enumerate(self.groups):
            for i, parameter in enumerate(group["params"]):
                for name, value in self._state.get(id(parameter), {}).items():
                    arrays[f"{g}.{i}.{name}"] = value.numpy()
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.groups]
        return {"steps": self.steps, "groups": settings, "state": arrays}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` returned.

        Raises:
            CheckpointError: other groups, or state of other shapes.
        """
        if len(saved["groups"]) != len(self.groups):
            raise CheckpointError(
                f"the saved optimiser has {len(saved['groups'])} groups, this one {len(self.groups)}"
            )
        places = {f"{g}.{i}": p for g, group in enumerate(self.groups) for i, p in enumerate(group["params"])}
        state: dict[int, dict[str, Tensor]] = {}
        for key, array in saved["state"].items():
            place, _, name = key.rpartition(".")
            parameter = places.get(place)
            if parameter is None or tuple(np.shape(array)) != parameter.shape:
                raise CheckpointError(
                    f"the saved optimiser state {key} of shape {np.shape(array)} fits no parameter"
                )
            value = tensor(np.asarray(array), dtype=parameter.dtype, backend=parameter._backend)
            state.setdefault(id(parameter), {})[name] = value
        for group, settings in zip(self.groups, saved["groups"], strict=True):
            group.update({k: v for k, v in settings.items() if k in group and k != "params"})
        self.steps, self._state = int(saved["steps"]), state


def _exclusive(data: Any) -> bool:
    """Whether nobody but its tensor holds an array: no view, saved graph or detached tensor. Then it may be written."""
    base = getattr(data, "base", None)
    return sys.getrefcount(data) <= 3 and (base is None or sys.getrefcount(base) <= 3)


def _by_place(params: list[Parameter]) -> list[list[Parameter]]:
    """Parameters of one backend and dtype together, in order."""
    places: dict[Any, list[Parameter]] = {}
    for parameter in params:
        places.setdefault((id(parameter._backend), parameter.spec.dtype), []).append(parameter)
    return list(places.values())


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
            step=self.steps,
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
