"""What a misspelt name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["closest"]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The name in ``known`` that ``name`` looks like, or None.

    Example:
        >>> closest("trian", ["train", "predict"])
        'train'
    """
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None
