"""The command line: ``grilly train | predict | convert | devices | doctor | bench | conformance``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence

from grilly._suggest import closest
from grilly_core import __version__
from grilly_core.errors import GrillyError

__all__ = ["main"]

_COMMANDS = {
    "train": ("grilly.cli.train", "train a spiking network on digits, your own arrays or MNIST files"),
    "predict": ("grilly.cli.predict", "classify samples with a trained network"),
    "convert": ("grilly.cli.convert", "make a spiking network of one trained with train --ann"),
    "devices": ("grilly.cli.devices", "list the backends and their devices"),
    "doctor": ("grilly.cli.doctor", "test every backend; for one that does not work, why and what to do"),
    "bench": ("grilly.bench", "time standard workloads"),
    "conformance": ("grilly.cli.conformance", "check that a backend computes what it must"),
}
_INTERRUPTED = 128 + 2  # what shells report for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments after ``grilly``; None takes those of the process.

    Returns:
        The exit code: 0, 2 for an error that the user can cure, 130 after Ctrl-C.

    Example:
        >>> main(["--version"])
        grilly 0.1.0
        0
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(args)
        sys.stdout.flush()
        return code
    except (GrillyError, ExceptionGroup) as error:
        causes = list(_causes(error))
        if not all(isinstance(cause, GrillyError) for cause in causes):
            raise
        return _fail("; ".join(str(cause) for cause in causes), 2)
    except MemoryError as error:
        return _fail(f"out of memory ({error}); use a smaller --batch-size or fewer --steps", 2)
    except BrokenPipeError:  # the reader of our output has gone, as in `grilly predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted", _INTERRUPTED)
    except SystemExit as error:  # argparse, after --help or an error of its own
        return (
            error.code
            if isinstance(error.code, int)
            else 0
            if error.code is None
            else _fail(str(error.code), 1)
        )


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if args[0] in ("-V", "--version"):
        print(f"grilly {__version__}")
        return 0
    command = args[0]
    if command not in _COMMANDS:
        what = "option" if command.startswith("-") else "command"
        hint = closest(command, [*_COMMANDS, "--help", "--version"])
        meant = f"did you mean {hint}?" if hint else f"there are {', '.join(_COMMANDS)}"
        return _fail(f"unknown {what} {command!r}; {meant}", 2)
    module = importlib.import_module(_COMMANDS[command][0])
    code: int = module.main(args[1:])
    return code


def _help() -> str:
    commands = "\n".join(f"  {name:<12} {text}" for name, (_, text) in _COMMANDS.items())
    return (
        "usage: grilly COMMAND [OPTIONS]\n\n"
        "Train spiking neural networks on any machine.\n\n"
        f"commands:\n{commands}\n\n"
        "options:\n"
        "  -h, --help     this text; grilly COMMAND --help: the options of a command\n"
        "  -V, --version  the version\n\n"
        "GRILLY_BACKEND=name[:device] chooses a backend where no --backend does."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    print("grilly: " + " ".join(message.split()), file=sys.stderr)
    return code
