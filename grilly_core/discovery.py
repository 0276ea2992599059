"""What installed distributions offer grilly, read from their metadata; imports none of them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grilly_core.errors import BackendLoadError

if TYPE_CHECKING:
    from importlib import metadata

__all__ = ["BACKENDS", "KERNELS", "Entry", "entries", "only"]

BACKENDS = "grilly.backends"
"""Entry-point group of backends; the entry point's name is the backend's."""

KERNELS = "grilly.kernels"
"""Entry-point group of kernel packs; the name is ``backend.pack``, such as ``numpy.fast``."""

_log = logging.getLogger("grilly")


@dataclass(frozen=True)
class Entry:
    """One entry point and the distribution that lists it.

    Attributes:
        name: the entry point's name.
        owner: the distribution with its version.
        point: the entry point itself.
    """

    name: str
    owner: str
    point: metadata.EntryPoint

    @property
    def origin(self) -> str:
        """Where it comes from, for error messages."""
        return f"entry point {self.name} = {self.point.value} of {self.owner}"

    @property
    def cure(self) -> str:
        """What to do when it is broken, for error messages."""
        return f"Reinstall or update {self.owner.split()[0]}, or block it with GRILLY_BLOCK={self.name}"


def entries(group: str) -> dict[str, list[Entry]]:
    """Per name, who offers it in ``group``; more than one entry is a conflict.

    A distribution found twice on the path counts once, as for ``import`` the first does; so does a target
    listed twice (an editable install beside stale metadata).
    """
    from importlib import metadata  # a tenth of the time that importing grilly takes

    found: dict[str, list[Entry]] = {}
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        points = [point for point in _points(distribution) if point.group == group]
        if not points:
            continue
        owner = _owner(distribution)
        project = re.sub(r"[-_.]+", "-", owner.partition(" ")[0]).lower()
        if versions.setdefault(project, owner) != owner:
            continue
        for point in points:
            listed = found.setdefault(point.name, [])
            if all(point.value != other.point.value for other in listed):
                listed.append(Entry(point.name, owner, point))
    return found


def only(listed: list[Entry], what: str) -> Entry:
    """The only entry of ``listed``.

    Raises:
        BackendLoadError: several distributions claim the name.
    """
    if len(listed) > 1:
        owners = " and ".join(f"{entry.owner} ({entry.point.value})" for entry in listed)
        raise BackendLoadError(
            f"{what} {listed[0].name!r} is claimed {len(listed)} times, by {owners}; uninstall all but one"
        )
    return listed[0]


def _owner(distribution: metadata.Distribution) -> str:
    name, version = (distribution.metadata.get_all(field, ["?"])[0] for field in ("Name", "Version"))
    return f"{name} {version}"


def _points(distribution: metadata.Distribution) -> list[metadata.EntryPoint]:
    """Its entry points; metadata that cannot be read concerns us only if grilly is mentioned."""
    try:
        return list(distribution.entry_points)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the parser do
        if "grilly." in (distribution.read_text("entry_points.txt") or ""):
            _log.warning(
                "the entry points of %s cannot be read (%s: %s) and are left out; reinstall it",
                _owner(distribution),
                type(error).__name__,
                error,
            )
        return []
