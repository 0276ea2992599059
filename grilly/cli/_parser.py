"""What the commands share: a parser whose errors are one line, with a suggestion."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from grilly._suggest import closest
from grilly_core.errors import ConfigError

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and raises ``ConfigError`` instead of printing its usage."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; an unknown option is an error that says what was probably meant."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            options = [option for action in self._actions for option in action.option_strings]
            hint = closest(name, options)
            self.error(f"unknown argument {name}" + (f"; did you mean {hint}?" if hint else ""))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise ``ConfigError``."""
        end = " " if message.endswith("?") else "; "
        raise ConfigError(f"{message}{end}see {self.prog} --help")
