"""The Tensor: an array of some backend, its place on the tape, and the operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from grilly_core import autograd, selection
from grilly_core.backend import Array, Backend
from grilly_core.errors import ArgumentError, DTypeError, GradientError, ShapeError, UnsupportedOpError
from grilly_core.spec import FLOATS, Spec, canonical_dtype, numpy_dtype

__all__ = ["Tensor", "full", "ones", "scalar", "tensor", "wrap", "zeros", "zeros_like"]

_SCALAR_LIMIT = 1024


class Tensor:
    """An array on a backend. Immutable: every operation returns a new one.

    Operators broadcast like NumPy's. Python numbers take the tensor's dtype; two float widths, or two
    backends, in one operation raise.

    Attributes:
        requires_grad: whether ``backward`` gives this tensor, or those it came from, a gradient.
        grad: the gradient accumulated by ``backward`` (leaves only), a Tensor or None.

    Example:
        >>> import grilly
        >>> x = grilly.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad.numpy()
        array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_backend", "_data", "_index", "_node", "grad", "requires_grad", "spec")

    def __init__(
        self,
        data: Array,
        backend: Backend,
        spec: Spec,
        requires_grad: bool = False,
        node: autograd.Node | None = None,
        index: int = 0,
    ) -> None:
        self._data = data
        self._backend = backend
        self.spec = spec
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self._node = node
        self._index = index

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the axes."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype, as NumPy's."""
        return numpy_dtype(self.spec.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.spec.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.spec.size

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.spec.nbytes

    @property
    def backend(self) -> str:
        """Name of the backend that holds it."""
        return self._backend.name

    @property
    def device(self) -> str:
        """The device that holds it, in words."""
        return self._backend.device

    @property
    def is_leaf(self) -> bool:
        """True if no recorded op made it."""
        return self._node is None

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """Axes reversed."""
        return self.transpose()

    # Its contents

    def numpy(self) -> np.ndarray:
        """The contents as a NumPy array of the same dtype: always a copy, also of tensors on the tape."""
        return np.array(self._backend.to_numpy(self._data), copy=True).reshape(self.shape)

    def item(self) -> Any:
        """The only element as a Python number.

        Raises:
            ShapeError: if there is not exactly one element.
        """
        if self.size != 1:
            raise ShapeError(f"item() needs exactly one element; this tensor has shape {self.shape}")
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        """The contents as nested Python lists."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a Tensor cannot be viewed as a NumPy array without a copy")
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """``array + tensor`` gives a Tensor; any other NumPy function gets copies and gives NumPy arrays."""
        name = _UFUNC_METHODS.get(ufunc.__name__)
        if method == "__call__" and name is not None and not kwargs and len(inputs) == 2:
            left, right = inputs
            if isinstance(left, Tensor):
                return getattr(left, f"__{name}__")(right)
            return getattr(right, _REFLECTED.get(name, f"__r{name}__"))(left)
        plain = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule that shares memory with this tensor (backends in host memory and CUDA).

        Raises:
            GradientError: if the tensor requires a gradient; export ``x.detach()``.
            UnsupportedOpError: if the backend cannot share its memory.
        """
        if self.requires_grad:
            raise GradientError("a tensor that requires a gradient cannot be exported; use x.detach()")
        return self._exporter().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._exporter().__dlpack_device__()
        return device

    def _exporter(self) -> Any:
        data = self._data
        if not hasattr(data, "__dlpack__") and "host_memory" in self._backend.features:
            data = self._backend.to_numpy(data)  # a 0-d result may be a scalar of NumPy's
        if not hasattr(data, "__dlpack__"):
            raise UnsupportedOpError(
                f"backend {self.backend} cannot share its memory through DLPack; use x.numpy()"
            )
        return data

    def to(self, backend: str | Backend | None = None, dtype: Any = None) -> Tensor:
        """This tensor on another backend and/or with another dtype; itself if nothing changes.

        A move to another backend copies through host memory and is differentiable.

        Args:
            backend: a name (``"numpy"``, ``"vulkan:1"``) or None to stay.
            dtype: a dtype, or None to keep it.

        Example:
            >>> import grilly
            >>> grilly.tensor([1.0, 2.0]).to("numpy", dtype="float64").dtype
            dtype('float64')
        """
        target = self._backend if backend is None else selection.resolve(backend)
        name = self.spec.dtype if dtype is None else canonical_dtype(dtype)
        # The dtype changes here, or over there if this backend does not have the new one.
        out = self.astype(name) if target is self._backend or name in self._backend.dtypes else self
        return (out if target is out._backend else _transfer(out, target)).astype(name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf of the same contents on the same backend, so that ``copy.deepcopy(net)`` works.

        Raises:
            GradientError: for a tensor on the tape, e.g. the state of a network that was not reset.
        """
        if self._node is not None:
            raise GradientError(
                "only leaves can be copied deeply, this tensor was made by an op; for a network call "
                "grilly.functional.reset_net(net) or detach_net(net) first"
            )
        fresh = type(self).__new__(type(self))
        Tensor.__init__(fresh, self._data, self._backend, self.spec, self.requires_grad)
        memo[id(self)] = fresh
        fresh.grad = None if self.grad is None else self.grad.__deepcopy__(memo)
        return fresh

    # Gradients

    def detach(self) -> Tensor:
        """The same contents, off the tape."""
        return Tensor(self._data, self._backend, self.spec)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient (leaves only); returns itself.

        Raises:
            GradientError: for a tensor made by an op.
            DTypeError: for a dtype that is not a float.
        """
        if self._node is not None:
            raise GradientError("requires_grad can be set on leaves only; this tensor was made by an op")
        if requires_grad and self.spec.dtype not in FLOATS:
            raise DTypeError(f"only float tensors have gradients, this one is {self.spec.dtype}")
        self.requires_grad = requires_grad
        return self

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it came from.

        Args:
            gradient: what arrives at this tensor; may be left out if it has one element (then 1).
            retain_graph: keep the graph for another pass.

        Raises:
            GradientError: no gradient was recorded, or the graph was already used.
            ShapeError: ``gradient`` is missing or has another shape.
        """
        if gradient is None:
            if self.size != 1:
                raise ShapeError(
                    f"backward() of a tensor of shape {self.shape} needs a gradient of that shape; reduce it first "
                    "(.sum(), .mean()) or pass one"
                )
            gradient = full(self.shape, 1.0, self.spec.dtype, self._backend)
        elif not isinstance(gradient, Tensor):
            gradient = tensor(np.asarray(gradient, dtype=self.dtype), backend=self._backend)
        autograd.backward([self], [gradient], retain_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Tensor:
        """A tensor equal to this one through which gradients pass by ``hook``.

        ``hook(gradient)`` may return a replacement. Use the returned tensor in place of this one.
        """
        if not self.requires_grad:
            raise GradientError("register_hook: this tensor does not require a gradient")

        def rule(ctx: autograd.Context, grad: Tensor) -> Tensor:
            replaced = hook(grad)
            return grad if replaced is None else replaced

        return _identity_node(self, self._data, self._backend, rule)

    # Conversions

    def astype(self, dtype: Any) -> Tensor:
        """The contents in another dtype; itself if it has it already."""
        name = canonical_dtype(dtype)
        result: Tensor = self if name == self.spec.dtype else ops.cast(self, dtype=name)
        return result

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.spec.dtype not in ("int32", "uint32"):
            raise TypeError(f"a tensor of dtype {self.spec.dtype} is not an index")
        return int(self.item())

    def __repr__(self) -> str:
        if self._backend.name == "abstract":
            return f"Tensor({self.spec}, abstract)"
        text = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=200, precision=4)
        extra = [f"dtype={self.spec.dtype}", f"backend={self.backend}"]
        if self.size == 0 or self.size > 200:
            extra.insert(0, f"shape={self.shape}")
        if self._node is not None:
            extra.append(f"made_by={self._node.name}")
        elif self.requires_grad:
            extra.append("requires_grad=True")
        return f"Tensor({text}, {', '.join(extra)})"

    # Operators

    def _operand(self, other: Any) -> Any:
        """The usual case of a number made a constant without the general conversion; anything else as it is."""
        if type(other) is float and self.spec.dtype in FLOATS:
            return scalar(other, self.spec.dtype, self._backend)
        return other

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, self._operand(other))

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(self._operand(other), self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, self._operand(other))

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(self._operand(other), self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, self._operand(other))

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(self._operand(other), self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, self._operand(other))

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(self._operand(other), self)

    def __pow__(self, exponent: float) -> Tensor:
        return ops.power(self, exponent=exponent)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.dot(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.dot(other, self)

    def __gt__(self, other: Any) -> Tensor:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.greater_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.less_equal(self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.not_equal(self, other)

    def __invert__(self) -> Tensor:
        return ops.logical_not(self)

    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "tensors are immutable; build the new values with ops.where, or assign in NumPy and convert"
        )

    # Methods that are ops with their axes made explicit

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over ``axis`` (an int, a tuple, or None for all)."""
        return ops.sum(self, axis=self._axes(axis), keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Mean over ``axis``."""
        return ops.mean(self, axis=self._axes(axis), keepdims=keepdims)

    def var(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Variance over ``axis``, divided by the number of elements (biased)."""
        return ops.var(self, axis=self._axes(axis), keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Largest element over ``axis``; equal largest ones share the gradient."""
        return ops.max(self, axis=self._axes(axis), keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Smallest element over ``axis``; equal smallest ones share the gradient."""
        # -x would overflow for the smallest int32 and reverse no order in uint32; top - x does neither.
        top = {"int32": -1, "uint32": 2**32 - 1}.get(self.spec.dtype)
        mirrored = -self if top is None else top - self
        best: Tensor = ops.max(mirrored, axis=self._axes(axis), keepdims=keepdims)
        return -best if top is None else top - best

    def argmax(self, axis: int) -> Tensor:
        """Index (int32) of the first largest element along ``axis``."""
        return ops.argmax(self, axis=self._axes(axis)[0])

    def exp(self) -> Tensor:
        """``e**x``."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """Natural logarithm."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """Square root."""
        return ops.sqrt(self)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return ops.tanh(self)

    def abs(self) -> Tensor:
        """Absolute value."""
        return ops.abs(self)

    def sigmoid(self) -> Tensor:
        """``1 / (1 + e**-x)``."""
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        """``max(x, 0)``."""
        return ops.relu(self)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one extent may be -1."""
        wanted = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return ops.reshape(self, shape=ops.fill_extent(self.size, wanted))

    def flatten(self, start: int = 0) -> Tensor:
        """Axes from ``start`` on made one."""
        lead = self.shape[:start] if start >= 0 else self.shape[: self.ndim + start]
        return self.reshape(*lead, math.prod(self.shape[len(lead) :]))

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in another order (reversed if none are given)."""
        order = tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return ops.transpose(self, axes=self._axes(order) if order else tuple(reversed(range(self.ndim))))

    def swapaxes(self, first: int, second: int) -> Tensor:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        (a, b) = (*self._axes(first), *self._axes(second))
        order[a], order[b] = order[b], order[a]
        return ops.transpose(self, axes=tuple(order))

    def expand_dims(self, axis: int) -> Tensor:
        """A new axis of extent 1 at ``axis``."""
        at = axis if axis >= 0 else self.ndim + 1 + axis
        if not 0 <= at <= self.ndim:
            raise ShapeError(f"axis {axis} does not exist in a tensor of {self.ndim + 1} axes")
        return self.reshape(*self.shape[:at], 1, *self.shape[at:])

    def squeeze(self, axis: int) -> Tensor:
        """Without the axis ``axis``, which must have extent 1."""
        (at,) = self._axes(axis)
        if self.shape[at] != 1:
            raise ShapeError(f"squeeze: axis {axis} of shape {self.shape} has extent {self.shape[at]}, not 1")
        return self.reshape(*self.shape[:at], *self.shape[at + 1 :])

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """Repeated along axes of extent 1 to ``shape``."""
        return ops.broadcast_to(self, shape=tuple(shape))

    def _axes(self, axis: Any) -> tuple[int, ...]:
        """``axis`` as a tuple of non-negative axes."""
        if axis is None:
            return tuple(range(self.ndim))
        given = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
        for a in given:
            if not -self.ndim <= a < self.ndim:
                raise ShapeError(f"axis {a} does not exist in a tensor of shape {self.shape}")
        return tuple([int(a) % self.ndim for a in given])


_UFUNC_METHODS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "matmul": "matmul",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq", "not_equal": "ne",
}  # fmt: skip
_REFLECTED = {"gt": "__lt__", "ge": "__le__", "lt": "__gt__", "le": "__ge__", "eq": "__eq__", "ne": "__ne__"}


def wrap(data: Array, backend: Backend, spec: Spec | None = None) -> Tensor:
    """A Tensor around a backend's own handle."""
    return Tensor(data, backend, backend.spec(data) if spec is None else spec)


def _identity_node(source: Tensor, data: Array, backend: Backend, rule: Callable[..., Any]) -> Tensor:
    """A tensor with ``source``'s history behind a custom gradient rule."""
    edges, specs = (autograd.edge_of(source),), (source.spec,)
    node = autograd.Node(None, rule, backend, {}, edges, specs, (None,), specs, (None,))
    return Tensor(data, backend, source.spec, True, node)


def _transfer(source: Tensor, target: Backend) -> Tensor:
    if source.spec.dtype not in target.dtypes:
        raise DTypeError(
            f"backend {target.name} has no {source.spec.dtype}; convert first: x.astype('float32')"
        )
    data = target.from_numpy(source._backend.to_numpy(source._data))
    if not (source.requires_grad and autograd.grad_enabled()):
        return Tensor(data, target, source.spec)
    home = source._backend
    return _identity_node(source, data, target, lambda ctx, grad: _transfer(grad, home))


def tensor(
    data: Any, dtype: Any = None, *, requires_grad: bool = False, backend: str | Backend | None = None
) -> Tensor:
    """A new Tensor with a copy of ``data``.

    Args:
        data: a NumPy array (its dtype is kept), a Tensor, a number, or nested lists (float32; bools stay bool).
        dtype: the dtype wanted, instead.
        requires_grad: whether ``backward`` shall give it a gradient.
        backend: where to put it; the active backend if None.

    Raises:
        DTypeError: for a dtype grilly does not have (half precision, complex, text).
        ShapeError: for nested lists of unequal length.

    Example:
        >>> import grilly
        >>> grilly.tensor([[0.0, 1.0]]).shape
        (1, 2)
    """
    target = selection.current_backend() if backend is None else selection.resolve(backend)
    if isinstance(data, Tensor):
        moved = data.detach().to(target, dtype=dtype)
        return Tensor(moved._data, target, moved.spec).requires_grad_(requires_grad)
    array = _as_array(data, None if dtype is None else canonical_dtype(dtype))
    name = array.dtype.name
    if name not in target.dtypes:
        raise _no_dtype(target, name)
    result = Tensor(target.from_numpy(array), target, Spec(array.shape, name))
    return result.requires_grad_(True) if requires_grad else result


def _no_dtype(backend: Backend, dtype: str) -> DTypeError:
    return DTypeError(f"backend {backend.name} has no {dtype}; it has {', '.join(sorted(backend.dtypes))}")


def _as_array(data: Any, dtype: str | None) -> np.ndarray:
    typed = hasattr(data, "dtype") or hasattr(data, "__array__") or hasattr(data, "__dlpack__")
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"cannot make an array of this: {error}") from None
    if dtype is not None:
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"cannot convert dtype {array.dtype} to {dtype}")
        return array.astype(dtype, copy=False)
    if array.dtype.kind == "O":
        raise DTypeError("an array of Python objects is not numeric; nested lists must have equal lengths")
    if not typed and array.dtype != bool and array.dtype.kind in "iuf":
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and array.dtype.name not in ("int32", "uint32"):
        return _as_int32(array)
    return array.astype(canonical_dtype(array.dtype), copy=False)


def _as_int32(array: np.ndarray) -> np.ndarray:
    """Integers of another width as int32, if all of them fit."""
    limits = np.iinfo(np.int32)
    if array.size and (array.max() > limits.max or array.min() < limits.min):
        raise DTypeError(f"integers of dtype {array.dtype} beyond 32 bits; grilly has int32 and uint32")
    return array.astype(np.int32)


def full(shape: tuple[int, ...], value: float, dtype: str, backend: Backend) -> Tensor:
    """A tensor filled with one value."""
    if any(extent < 0 for extent in shape):
        raise ArgumentError(f"extents cannot be negative: {shape}")
    return Tensor(backend.full(shape, value, dtype), backend, Spec(shape, dtype))


def zeros_like(like: Tensor) -> Tensor:
    """Zeros of the shape, dtype and backend of ``like``."""
    return full(like.shape, 0.0, like.spec.dtype, like._backend)


def _filled(
    shape: Any, value: float, dtype: Any, requires_grad: bool, backend: str | Backend | None
) -> Tensor:
    target = selection.current_backend() if backend is None else selection.resolve(backend)
    extents = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(extent) for extent in shape)
    name = canonical_dtype(dtype)
    if name not in target.dtypes:
        raise _no_dtype(target, name)
    made = full(extents, value, name, target)
    return made.requires_grad_(True) if requires_grad else made


def zeros(
    shape: Any, dtype: Any = "float32", *, requires_grad: bool = False, backend: str | Backend | None = None
) -> Tensor:
    """A tensor of zeros on the active backend (or on ``backend``)."""
    return _filled(shape, 0.0, dtype, requires_grad, backend)


def ones(
    shape: Any, dtype: Any = "float32", *, requires_grad: bool = False, backend: str | Backend | None = None
) -> Tensor:
    """A tensor of ones on the active backend (or on ``backend``)."""
    return _filled(shape, 1.0, dtype, requires_grad, backend)


def scalar(value: float, dtype: str, backend: Backend) -> Tensor:
    """A 0-d constant; the same few constants recur every step, so each backend keeps them."""
    cache: dict[Any, Tensor] = backend.__dict__.setdefault("_scalars", {})
    key = (value, dtype, math.copysign(1.0, value))
    found = cache.get(key)
    if found is None:
        if len(cache) >= _SCALAR_LIMIT:
            cache.clear()
        found = cache[key] = full((), value, dtype, backend)
    return found


from grilly_core import ops  # noqa: E402 - ops are declared on Tensor, so it has to exist first
