"""The pytest plugin of the conformance suite: ``pytest -p grilly_core.testing.plugin``.

Options: ``--grilly-backend NAME[:device]`` and ``--grilly-xfails FILE``. The environment variable
``HYPOTHESIS_PROFILE`` chooses how hard the suite looks: dev (the default), ci or nightly.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from grilly_core.backend import Backend
from grilly_core.config import split_backend
from grilly_core.errors import GrillyError
from grilly_core.op import Op, registry
from grilly_core.plugins import open_backend
from grilly_core.testing import blame, cases, xfails
from grilly_core.testing.evaluate import reference as reference_backend
from grilly_core.testing.report import CAPABILITY, OP, write

__all__ = ["PROFILES", "each_op", "requires"]

_ORDER = (
    "contract",
    "transfer",
    "value",
    "precision",
    "fused",
    "gradient",
    "margin",
    "special",
    "determinism",
    "errors",
)
_HERE = Path(__file__).parent / "conformance"
_BACKEND = pytest.StashKey[Backend]()

PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"max_examples": 20},
    "ci": {"max_examples": 100, "derandomize": True, "print_blob": True},
    "nightly": {"max_examples": 2000},
}
"""Hypothesis profiles. None has a deadline: the first call of a kernel compiles it."""

for _name, _values in PROFILES.items():
    settings.register_profile(
        _name,
        deadline=None,
        phases=(
            Phase.explicit,
            Phase.reuse,
            Phase.generate,
            Phase.shrink,
        ),  # explaining takes longer than it helps
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        **_values,
    )


def requires(*features: str) -> pytest.MarkDecorator:
    """Mark a test as one of features (or dtypes) that a backend may do without; it is skipped and counted then."""
    return pytest.mark.grilly_requires(*features)


def each_op(chosen: Callable[[Op, Backend], bool]) -> pytest.MarkDecorator:
    """Mark a test with an argument ``op`` to run for every op that ``chosen(op, backend)`` picks."""
    return pytest.mark.grilly_each_op.with_args(chosen)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    group = parser.getgroup("grilly", "conformance of a grilly backend")
    group.addoption(
        "--grilly-backend", default="numpy", metavar="NAME[:device]", help="backend under test (numpy)"
    )
    group.addoption(
        "--grilly-xfails",
        metavar="FILE",
        help="tests expected to fail: 'test_value.py::test_value[erf] reason'",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Open the backend once; one that does not open is refused before anything is collected."""
    config.addinivalue_line("markers", "grilly_requires(*features): features the backend must declare")
    config.addinivalue_line("markers", "grilly_each_op(chosen): one test per op")
    profile = os.environ.get("HYPOTHESIS_PROFILE", "dev")
    if profile not in PROFILES:
        raise pytest.UsageError(f"HYPOTHESIS_PROFILE={profile!r} must be one of {', '.join(PROFILES)}")
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile(profile)
    blame.FAILED.clear()
    text = config.getoption("grilly_backend")
    try:
        config.stash[_BACKEND] = open_backend(*split_backend(text, "--grilly-backend"))
    except GrillyError as error:
        raise pytest.UsageError(f"--grilly-backend {text}: {type(error).__name__}: {error}") from error


@pytest.fixture(scope="session")
def backend(pytestconfig: pytest.Config) -> Backend:
    """The backend under test."""
    return pytestconfig.stash[_BACKEND]


@pytest.fixture(scope="session")
def reference() -> Backend:
    """The backend it is compared with."""
    return reference_backend()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per op; primitives first, so that what is made of a wrong one can tell."""
    marker = metafunc.definition.get_closest_marker("grilly_each_op")
    if marker is None:
        return
    chosen, backend = marker.args[0], metafunc.config.stash[_BACKEND]
    picked = [op for op in registry().values() if chosen(op, backend)]
    picked.sort(key=lambda op: not op.is_primitive)
    metafunc.parametrize("op", picked, ids=[op.name for op in picked])


def _op_of(item: pytest.Item) -> Op | None:
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("op") if callspec is not None else None
    return found if isinstance(found, Op) else None


def _is_ours(item: pytest.Item) -> bool:
    return item.path.parent == _HERE


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What all else relies on runs first; expected failures are marked."""
    ours = {item: _ORDER.index(item.path.stem.removeprefix("test_")) for item in items if _is_ours(item)}
    items.sort(key=lambda item: ours.get(item, len(_ORDER)))
    if file := config.getoption("grilly_xfails"):
        xfails.apply(Path(file), list(ours), whole=not any("::" in arg for arg in config.args))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the backend does not declare; note the op for the report."""
    if (op := _op_of(item)) is not None and _is_ours(item):
        item.user_properties.append((OP, op.name))
    wanted = [name for mark in item.iter_markers("grilly_requires") for name in mark.args]
    backend = item.config.stash[_BACKEND]
    missing = [name for name in wanted if name not in backend.features | backend.dtypes]
    if missing:
        item.user_properties.append((CAPABILITY, missing[0]))
        pytest.skip(f"capability: backend {backend.name} does not declare {', '.join(missing)}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember which ops are wrong by themselves."""
    name = dict(report.user_properties).get(OP)
    if report.failed and isinstance(name, str):
        blame.FAILED.add(name)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table: how each op runs, and what became of its tests."""
    write(terminalreporter, config.stash[_BACKEND])


_ = cases  # importing the cases registers them
