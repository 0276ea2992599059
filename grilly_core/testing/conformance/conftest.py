"""Collected only with the plugin, which has the options and fixtures: ``pytest -p grilly_core.testing.plugin``."""

from __future__ import annotations

from pathlib import Path

import pytest

PLUGIN = "grilly_core.testing.plugin"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suite to runs that ask for it; one that names it without the plugin is told how."""
    if config.pluginmanager.has_plugin(PLUGIN):
        return None
    asked = [str(arg).replace("/", ".") for arg in config.invocation_params.args]
    if any("grilly_core.testing.conformance" in arg for arg in asked):
        raise pytest.UsageError(f"the conformance suite needs its plugin: pytest -p {PLUGIN} ...")
    return True
