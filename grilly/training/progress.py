"""What a user sees of a run: a bar for the epoch under way and a line for each one done."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from grilly._extras import import_extra
from grilly.training.monitor import Figures

__all__ = ["Progress"]

_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
_INTERVAL = 0.25  # seconds between looks at the device


class Progress:
    """Bar on stderr (where that is a terminal) and lines on stdout.

    Args:
        epochs: of the run.
        batches: of an epoch.
        quiet: show nothing.
        rates: what the rates of a record are called.
    """

    def __init__(self, epochs: int, batches: int, quiet: bool, rates: str = "firing") -> None:
        self.epochs, self.batches, self.quiet, self.rates = epochs, batches, quiet, rates
        self._tqdm = import_extra("tqdm", "the progress bar").tqdm
        self._bar: Any = None
        self._next_look = 0.0

    def say(self, line: str) -> None:
        """Print a line without disturbing the bar."""
        if not self.quiet:
            self._tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def begin(self, epoch: int, batch: int) -> None:
        """Start the bar of an epoch at ``batch``."""
        self._next_look = time.monotonic() + _INTERVAL
        self._bar = self._tqdm(
            total=self.batches,
            initial=batch,
            desc=f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}",
            unit="batch",
            leave=False,
            disable=True if self.quiet else None,
            bar_format=_FORMAT,
            dynamic_ncols=True,
        )

    def due(self) -> bool:
        """Whether it is time to look at the figures again; at most a few times a second."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _INTERVAL
        return True

    def advance(self, figures: Figures | None, speed: float) -> None:
        """One more batch is done.

        Args:
            figures: of the epoch so far, when they were read.
            speed: samples per second.
        """
        if figures is not None:
            self._bar.set_postfix_str(self._line(figures, speed), refresh=False)
        self._bar.update()

    def _line(self, figures: Figures, speed: float) -> str:
        return (
            f"loss {_short(figures.loss)}, accuracy {figures.accuracy:.1%}, {self.rates} {figures.rate:.1%}, "
            f"{speed:,.0f} samples/s"
        )

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def epoch_done(self, record: Mapping[str, Any], speed: float) -> None:
        """Print the line of an epoch."""
        self.end()
        self.say(
            f"epoch {record['epoch']:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {_short(record['loss'])}  train {record['accuracy']:7.2%}"
            f"  test {record['test_accuracy']:7.2%}  {self.rates} {record['firing_rate']:6.2%}  {speed:,.0f} samples/s"
        )


def _short(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1e4 else f"{loss:.3g}"
