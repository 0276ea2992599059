"""Every backend of this repository that opens here passes the published suite.

``HYPOTHESIS_PROFILE`` chooses how hard it looks, ``GRILLY_TEST_REQUIRE`` which backends may not be skipped.
"""

from __future__ import annotations

import os

import pytest
from backends_under_test import backend_params

from .conftest import RunSuite


@pytest.mark.parametrize("name", backend_params())
def test_in_tree_backend_conforms(name: str, run_suite: RunSuite) -> None:
    run = run_suite(name, "-q", profile=os.environ.get("HYPOTHESIS_PROFILE", "dev"))
    assert run.code == 0, run.text[-20000:]
    assert f"grilly conformance of {name}" in run.text
    assert "0 unsupported" in run.text
