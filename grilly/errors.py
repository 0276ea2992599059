"""Every exception that grilly raises on purpose; see :mod:`grilly_core.errors`.

Example:
    >>> from grilly import nn
    >>> from grilly.errors import ArgumentError
    >>> try:
    ...     nn.LIFNode(tau=0.5)
    ... except ArgumentError as error:
    ...     print(str(error).partition(",")[0])
    LIFNode: tau must be a number of at least 1 (time steps)
"""

from grilly_core import errors as _errors
from grilly_core.errors import *  # noqa: F403

__all__ = _errors.__all__
