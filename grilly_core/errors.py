"""Every exception that grilly raises on purpose. All derive from :class:`GrillyError`.

Each also derives from the built-in exception a Python user would expect to catch, so
``except ValueError`` keeps working around a wrong shape.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "BackendLoadError",
    "BackendMismatchError",
    "BackendUnavailable",
    "CheckpointError",
    "ConfigError",
    "DTypeError",
    "DataError",
    "DeclarationError",
    "DeviceLostError",
    "DivergenceError",
    "GradientError",
    "GrillyError",
    "KernelError",
    "OutOfMemoryError",
    "OutputError",
    "ShapeError",
    "StateError",
    "UnsupportedOpError",
]


class GrillyError(Exception):
    """Base class of every exception raised by grilly on purpose."""


class ArgumentError(GrillyError, ValueError):
    """A value that no call of this function accepts (``tau < 1``, an unknown option)."""


class ShapeError(GrillyError, ValueError):
    """Shapes or ranks that do not fit the operation or each other."""


class DTypeError(GrillyError, TypeError):
    """A dtype the operation does not take, or two float widths in one operation."""


class StateError(GrillyError, RuntimeError):
    """A stateful module whose memory cannot be used: a forgotten reset, a new batch shape."""


class GradientError(GrillyError, RuntimeError):
    """``backward`` that cannot be done: no graph, a graph already used, a changed parameter."""


class BackendMismatchError(GrillyError, RuntimeError):
    """Tensors of two backends in one operation. Move one with ``x.to(name)``."""


class UnsupportedOpError(GrillyError, NotImplementedError):
    """A backend that has neither a kernel nor a composite for this call."""


class BackendUnavailable(GrillyError, RuntimeError):
    """No driver, no device or no library: the backend works, this machine lacks what it needs.

    The only exception that automatic selection may skip.

    Attributes:
        optional: what is missing is an extra that nobody installed, so automatic selection skips it in silence.
    """

    def __init__(self, *args: object, optional: bool = False) -> None:
        super().__init__(*args)
        self.optional = optional


class DeviceLostError(GrillyError, RuntimeError):
    """A device that does not answer any more: its backend cannot be used again in this process."""


class OutOfMemoryError(GrillyError, MemoryError):
    """A device without room for another array."""


class BackendLoadError(GrillyError, RuntimeError):
    """A backend plugin that is broken: import error, wrong API version, misspelt hook."""


class ConfigError(GrillyError, ValueError):
    """A misspelt or impossible setting: a ``GRILLY_*`` variable, a backend name."""


class DeclarationError(GrillyError, TypeError):
    """An op declared wrongly (found when the declaration runs)."""


class KernelError(GrillyError, TypeError):
    """A kernel that does not fit its op: wrong signature, default values, registered twice."""


class DataError(GrillyError, ValueError):
    """A data set that cannot be used: missing, empty, truncated, labels out of range."""


class CheckpointError(GrillyError, ValueError):
    """A model or checkpoint file that is missing, truncated, or not one of ours."""


class OutputError(GrillyError, OSError):
    """A result that cannot be written: no permission, no space, not a folder."""


class DivergenceError(GrillyError, ArithmeticError):
    """Training that cannot go on: the loss is NaN or infinite."""
