"""What is installed, read from the metadata of distributions; imports no plugin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["BACKENDS", "KERNELS", "Installed", "scan"]

BACKENDS = "grilly.backends"
"""Entry-point group of backends: the entry point's name is the backend's name."""

KERNELS = "grilly.kernels"
"""Entry-point group of kernel packs: the entry point's name is the backend that the pack is for."""


@dataclass(frozen=True)
class Installed:
    """One entry point of one of our groups.

    Attributes:
        group: :data:`BACKENDS` or :data:`KERNELS`.
        name: the entry point's name.
        target: what it points at, ``module`` or ``module:object``.
        distribution: name of the distribution that has it.
        version: that distribution's version.
    """

    group: str
    name: str
    target: str
    distribution: str
    version: str
    entry_point: EntryPoint = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """The plugin's name in messages, ``block`` and ``GRILLY_BLOCK``; kernel packs share their target's name."""
        return self.name if self.group == BACKENDS else f"{self.name}+{self.distribution}"

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        return f"entry point {self.name} = {self.target}, distribution {self.distribution} {self.version}"

    def load(self) -> Any:
        """Import the target."""
        return self.entry_point.load()


def scan(path: list[str] | None = None) -> list[Installed]:
    """Every entry point of our groups.

    One distribution found twice counts once, where Python would import it from. The same target claimed twice
    (an editable install and its stale metadata) counts once too.

    Args:
        path: folders to look in instead of ``sys.path``.
    """
    from importlib.metadata import distributions

    found: dict[tuple[str, str, str], Installed] = {}
    seen = set()
    for distribution in distributions() if path is None else distributions(path=path):
        entry_points = _ours(distribution)
        if not entry_points:
            continue
        name = distribution.metadata["Name"] or "unknown"
        normal = re.sub(r"[-_.]+", "-", name).lower()
        if normal in seen:
            continue
        seen.add(normal)
        for entry in entry_points:
            installed = Installed(entry.group, entry.name, entry.value, name, distribution.version or "?", entry)
            key = (entry.group, entry.name, entry.value)
            if entry.group == KERNELS:
                key = (entry.group, installed.key, entry.value)
            found.setdefault(key, installed)
    return list(found.values())


def _ours(distribution: Distribution) -> list[EntryPoint]:
    """Our entry points; parses nothing of distributions that have none, so one broken file hurts nobody."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except UnicodeDecodeError:
        return []
    if "grilly." not in text:
        return []
    return [entry for entry in distribution.entry_points if entry.group in (BACKENDS, KERNELS)]
