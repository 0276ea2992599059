"""Module: parameters, buffers, named memories, hooks, and the tree of children."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from grilly.nn.parameter import Parameter
from grilly_core import selection
from grilly_core.backend import Backend
from grilly_core.errors import ArgumentError, CheckpointError, DTypeError, StateError
from grilly_core.spec import FLOATS, canonical_dtype
from grilly_core.tensor import Tensor, tensor

__all__ = ["HookHandle", "Module"]

_hook_numbers = itertools.count()


class HookHandle:
    """What registering a hook returns; ``remove()`` takes the hook out again."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._key = next(_hook_numbers)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook out; a second call does nothing."""
        self._hooks.pop(self._key, None)


class Module:
    """Base class of all layers. Subclasses define ``forward``; calling the module runs it and its hooks.

    A Parameter or Module assigned to an attribute is registered under that name. Raw arrays given to a module
    become Tensors of the module's dtype on the active backend.

    Attributes:
        training: set by ``train()`` and ``eval()``.

    Example:
        >>> from grilly import nn
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return x * 2
        >>> Twice()([1.0, 2.0]).tolist()
        [2.0, 4.0]
    """

    training: bool

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules", "_memories", "_memory_defaults"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_forward_hooks", {})
        object.__setattr__(self, "_forward_pre_hooks", {})
        object.__setattr__(self, "_backward_hooks", {})
        object.__setattr__(self, "_dtype", "float32")
        self.training = True

    def forward(self, *args: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = tuple([self._as_tensor(arg) for arg in args])
        if kwargs:
            kwargs = {name: self._as_tensor(arg) if _is_array(arg) else arg for name, arg in kwargs.items()}
        for hook in tuple(self._forward_pre_hooks.values()):
            replaced = hook(self, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            replaced = hook(self, args, output)
            output = output if replaced is None else replaced
        if self._backward_hooks and isinstance(output, Tensor) and output.requires_grad:
            output = output.register_hook(self._run_backward_hooks)
        return output

    def _as_tensor(self, value: Any) -> Any:
        if isinstance(value, Tensor) or not (
            _is_array(value) or isinstance(value, list | tuple | float | int)
        ):
            return value
        return tensor(value, dtype=self._dtype)

    def _run_backward_hooks(self, grad: Tensor) -> Tensor:
        for hook in tuple(self._backward_hooks.values()):
            replaced = hook(self, grad)
            grad = grad if replaced is None else replaced
        return grad

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__
        if "_modules" not in registries:
            raise StateError(f"{type(self).__name__}: call super().__init__() before assigning attributes")
        if name in registries["_memories"]:
            registries["_memories"][name] = value
            return
        buffer = registries["_buffers"].get(name)
        if buffer is not None and _is_array(value) and not isinstance(value, Parameter):
            if not isinstance(value, Tensor):
                value = tensor(value, dtype=buffer.dtype, backend=buffer._backend)
            registries["_buffers"][name] = value
            object.__setattr__(self, name, value)
            return
        if name in registries["_parameters"] and not (value is None or isinstance(value, Parameter)):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a parameter; assign a Parameter (or None), or fill it with "
                f"{name}.assign(array)"
            )
        for kind in ("_parameters", "_modules", "_buffers"):
            registries[kind].pop(name, None)
        if isinstance(value, Parameter):
            registries["_parameters"][name] = value
        elif isinstance(value, Module):
            registries["_modules"][name] = value
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_modules", "_buffers"):
            self.__dict__[kind].pop(name, None)
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        # Reached only where normal lookup fails: memories live in their own table.
        memories = self.__dict__.get("_memories", {})
        if name in memories:
            return memories[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def register_buffer(self, name: str, value: Any) -> None:
        """A tensor (or array) that is saved and moved with the module but not learnt (running statistics).

        Assigning a Tensor (or array) to the attribute later gives the buffer new contents.
        """
        setattr(self, name, value if isinstance(value, Tensor) else tensor(value))
        self._buffers[name] = getattr(self, name)

    def set_buffer(self, name: str, value: Any) -> None:
        """Give a registered buffer new contents; unlike an assignment it refuses a name that is no buffer."""
        if name not in self._buffers:
            raise ArgumentError(
                f"{type(self).__name__} has no buffer {name!r}; it has {sorted(self._buffers)}"
            )
        setattr(self, name, value)

    # State between calls

    def register_memory(self, name: str, default: Any) -> None:
        """A value kept between calls: ``reset()`` returns it to ``default``; it is not in ``state_dict``."""
        self._memories[name] = default
        self._memory_defaults[name] = default

    def memories(self) -> dict[str, Any]:
        """All memories of this module and its children by dotted name."""
        return {
            prefix + name: value
            for prefix, module in self._walk()
            for name, value in module._memories.items()
        }

    def load_memories(self, memories: Mapping[str, Any]) -> None:
        """Put back what ``memories()`` returned.

        Raises:
            ArgumentError: for names this module does not have, or has and does not find.
        """
        own = self.memories()
        if set(own) != set(memories):
            raise ArgumentError(
                f"memories do not fit: missing {sorted(set(own) - set(memories))}, "
                f"unknown {sorted(set(memories) - set(own))}"
            )
        for prefix, module in self._walk():
            for name in module._memories:
                module._memories[name] = memories[prefix + name]

    def reset(self) -> None:
        """Return this module's own memories to their defaults; ``F.reset_net`` does it for a whole network."""
        self._memories.update(self._memory_defaults)

    def detach(self) -> None:
        """Keep this module's own memories but cut them from the graph that made them."""
        for name, value in self._memories.items():
            if isinstance(value, Tensor):
                self._memories[name] = value.detach()

    # The tree

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self._modules.items():
            yield from child._walk(f"{prefix}{name}.")

    def children(self) -> Iterator[Module]:
        """Direct children."""
        return iter(self._modules.values())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct children with their names."""
        return iter(self._modules.items())

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module (named '') and all below it with dotted names, each once."""
        seen: set[int] = set()
        for prefix, module in self._walk():
            if id(module) not in seen:
                seen.add(id(module))
                yield prefix.rstrip("."), module

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names, each once."""
        seen: set[int] = set()
        for prefix, module in self._walk():
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield prefix + name, parameter

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        for prefix, module in self._walk():
            for name, value in module._buffers.items():
                yield prefix + name, value

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call ``function`` on every module below, then on this one; returns itself."""
        for child in self._modules.values():
            child.apply(function)
        function(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Set training mode here and below; returns itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode here and below; returns itself."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze or unfreeze all parameters; returns itself."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype raw arrays are given."""
        return np.dtype(self._dtype)

    def to(self, backend: str | Backend | None = None, dtype: Any = None) -> Module:
        """Move parameters, buffers and memories; change their float dtype. Returns itself.

        Gradients are forgotten and memories are cut from the graph that made them.

        Args:
            backend: name of a backend, or None to stay.
            dtype: float32 or float64, or None to keep it.

        Raises:
            DTypeError: another dtype, or one that the backend does not have.
            ConfigError, BackendUnavailable: no such backend, or it cannot be used here.

        Example:
            >>> from grilly import nn
            >>> nn.Linear(2, 3).to(dtype="float64").weight.dtype
            dtype('float64')
        """
        target = None if backend is None else selection.resolve(backend)
        name = None if dtype is None else canonical_dtype(dtype)
        if name is not None and name not in FLOATS:
            raise DTypeError(f"a module's dtype is float32 or float64, not {name}")

        def moved(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.detach().to(target, dtype=name if value.spec.dtype in FLOATS else None)

        for module in self.modules():
            if name is not None:
                object.__setattr__(module, "_dtype", name)
            for parameter in module._parameters.values():
                fresh = moved(parameter)
                parameter._data, parameter._backend, parameter.spec = fresh._data, fresh._backend, fresh.spec
                parameter.grad = None
            for key, value in list(module._buffers.items()):
                setattr(module, key, moved(value))
            for key, value in module._memories.items():
                module._memories[key] = moved(value)
        return self

    # Saving

    def state_dict(self) -> dict[str, Tensor]:
        """All parameters and buffers by dotted name, as Tensors that later updates do not change."""
        named = [*self.named_parameters(), *self.named_buffers()]
        return {name: value.detach() for name, value in named}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Fill parameters and buffers from NumPy arrays or Tensors; dtype and backend stay the module's.

        Nothing is changed if anything does not fit.

        Args:
            state: arrays by dotted name.
            strict: whether missing and unknown names are errors.

        Raises:
            CheckpointError: names or shapes do not fit, listed.
        """
        own: dict[str, Tensor] = dict([*self.named_parameters(), *self.named_buffers()])
        missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
        wrong = [
            f"{name} is {np.shape(state[name])}, not {own[name].shape}"
            for name in own
            if name in state and np.shape(state[name]) != own[name].shape
        ]
        wrong += [
            f"{name} has dtype {np.asarray(state[name]).dtype}, which is not numeric"
            for name in own
            if name in state and np.asarray(state[name]).dtype.kind not in "biuf"
        ]
        if wrong or (strict and (missing or unknown)):
            said = [f"missing {missing}"] * bool(missing) + [f"unknown {unknown}"] * bool(unknown) + wrong
            raise CheckpointError(f"this state does not fit {type(self).__name__}: {'; '.join(said)}")
        for prefix, module in self._walk():
            for name, parameter in module._parameters.items():
                if prefix + name in state:
                    parameter.assign(state[prefix + name])
            for name, buffer in list(module._buffers.items()):
                if prefix + name in state:
                    value = np.asarray(state[prefix + name])
                    setattr(module, name, tensor(value, dtype=buffer.dtype, backend=buffer._backend))

    # Hooks

    def register_forward_hook(self, hook: Callable[[Module, tuple[Any, ...], Any], Any]) -> HookHandle:
        """Call ``hook(module, args, output)`` after forward; a result other than None replaces the output."""
        return HookHandle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple[Any, ...]], Any]) -> HookHandle:
        """Call ``hook(module, args)`` before forward; a result other than None replaces the arguments."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_backward_hook(self, hook: Callable[[Module, Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(module, grad_output)`` in backward; a result other than None replaces the gradient."""
        return HookHandle(self._backward_hooks, hook)

    # What it looks like

    def extra_repr(self) -> str:
        """Arguments shown in ``repr``."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.extra_repr()}"
        if not self._modules:
            return head + ")"
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        return head + "\n" + "\n".join(lines) + f"\n)  # {self._count()} parameters"

    def _count(self) -> str:
        return f"{sum(parameter.size for parameter in self.parameters()):,}"


def _is_array(value: Any) -> bool:
    """Whether ``value`` is an array of some library."""
    return hasattr(value, "__array__")
