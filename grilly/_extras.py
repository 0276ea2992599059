"""Optional dependencies, imported when something first needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from grilly_core.errors import ConfigError

__all__ = ["import_extra"]


def import_extra(module: str, purpose: str, *, extra: str = "train") -> ModuleType:
    """Import ``module``, which an extra of grilly installs.

    Args:
        module: dotted name, such as ``"safetensors.numpy"``.
        purpose: what needs it, as the start of the error message ("reading a model file").
        extra: the extra of grilly that installs it.

    Raises:
        ConfigError: it cannot be imported; the message has the cause and the command that installs it.

    Example:
        >>> import_extra("json", "writing metrics").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error}); "
            f'install it with: pip install "grilly[{extra}]"'
        ) from error
