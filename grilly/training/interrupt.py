"""Ctrl-C that waits for a moment at which nothing is half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupt", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user; the message says what is saved and how to go on."""


class Interrupt:
    """Turns the first Ctrl-C inside the block into a flag; a second one raises ``KeyboardInterrupt`` at once.

    Outside the main thread, and where Ctrl-C is ignored (``nohup``), nothing is changed.

    Example:
        >>> with Interrupt() as interrupt:
        ...     interrupt.check()
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if Ctrl-C was pressed."""
        if self.requested:
            raise KeyboardInterrupt
