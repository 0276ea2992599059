"""How hard to look: ``HYPOTHESIS_PROFILE``, as the conformance suite, without touching other tests' settings."""

from __future__ import annotations

import os

from hypothesis import settings

from grilly_core.testing.plugin import PROFILES

__all__ = ["PROFILE"]

_name = os.environ.get("HYPOTHESIS_PROFILE", "dev")
if _name not in PROFILES:
    raise RuntimeError(f"HYPOTHESIS_PROFILE={_name!r} must be one of {', '.join(PROFILES)}")

PROFILE = settings.get_profile(_name)
"""Decorator of tests with ``@given``."""
