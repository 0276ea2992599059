"""What became of each layer."""

from __future__ import annotations

from dataclasses import dataclass

from grilly._table import columns

__all__ = ["Report", "Row"]


@dataclass
class Row:
    """One layer.

    Attributes:
        name: dotted name.
        was: class in the network that was converted.
        became: what stands there now.
        maximum: lambda of a ReLU, else None.
        threshold: of the neuron that replaced a ReLU, else None.
    """

    name: str
    was: str
    became: str
    maximum: float | None = None
    threshold: float | None = None


@dataclass
class Report:
    """What a conversion did; calling it gives a text.

    Attributes:
        title: what was converted, and how.
        rows: a row per layer, in the order in which they run.

    Example:
        >>> print(Report("a network", [Row("0", "ReLU", "IFNode", 2.0, 1.0)])())
        a network
        layer  was   became  lambda  threshold
        0      ReLU  IFNode  2       1
    """

    title: str
    rows: list[Row]

    def __call__(self) -> str:
        head = ("layer", "was", "became", "lambda", "threshold")
        rows = [
            (row.name, row.was, row.became, _number(row.maximum), _number(row.threshold)) for row in self.rows
        ]
        return f"{self.title}\n{columns([head, *rows])}"

    def set_threshold(self, name: str, threshold: float) -> None:
        """Note another threshold of the neuron in place of the layer ``name``."""
        for row in self.rows:
            if row.name == name:
                row.threshold = threshold


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
