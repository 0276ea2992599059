"""Everything a backend plugin can get wrong: a named error with distribution, cause and cure; others keep working."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from fake_plugins import Site, backend_source

import grilly
from grilly import backends
from grilly_core import plugins
from grilly_core.errors import BackendLoadError, BackendUnavailable, ConfigError, GrillyError


class Case(NamedTuple):
    """A broken plugin and what must be said of it."""

    source: str | None
    said: str
    cause: type[Exception] | None = None
    target: str | None = None


INFO = "@hookimpl\ndef grilly_backend():\n    return {}\n"
HEAD = "from grilly_core.extend import *\n"
GOOD_INFO = "BackendInfo('foo', API_VERSION, print)"
WRONG_KERNEL = """
from grilly_numpy.backend import NumpyBackend
table = KernelTable("grilly-foo")
@table.register(ops.add)
def add(device, x, z, /):
    return x + z
"""
ATTRIBUTE = """
from grilly_numpy.backend import NumpyBackend
class FooBackend(NumpyBackend):
    name = "foo"
    {}
    def __init__(self): self.device = "foo"
return FooBackend()
"""

CASES = {
    "no such module": Case(None, r"No module named 'grilly_foo'", ModuleNotFoundError),
    "import error": Case("import no_such_driver", r"No module named 'no_such_driver'", ModuleNotFoundError),
    "exception at import": Case("1 / 0", r"ZeroDivisionError: division by zero", ZeroDivisionError),
    "syntax error": Case("def", r"SyntaxError", SyntaxError),
    "target not in module": Case(HEAD, r"has no attribute 'plugin'", AttributeError, "grilly_foo:plugin"),
    "no hook": Case(
        "x = 1", r"implements no hook of grilly \(grilly_backend or grilly_kernel\); is @hookimpl"
    ),
    "undecorated hook": Case(HEAD + INFO.format(GOOD_INFO)[10:], r"implements no hook of grilly.*@hookimpl"),
    "misspelt hook": Case(
        HEAD + INFO.format(GOOD_INFO).replace("_backend", "_bakend"),
        r"grilly_bakend is no hook of grilly; did you mean grilly_backend\?",
    ),
    "unknown hook": Case(
        HEAD + "@hookimpl\ndef setup(): pass\n", r"setup is no hook of grilly; there are grilly_backend, "
    ),
    "unknown hook argument": Case(
        HEAD + "@hookimpl\ndef grilly_backend(device): pass\n", r"PluginValidationError", Exception
    ),
    "hook raises": Case(
        HEAD + INFO.format("1 / 0"), r"cannot describe itself.*ZeroDivisionError", ZeroDivisionError
    ),
    "hook returns None": Case(HEAD + INFO.format("None"), r"exactly one backend, it described 0"),
    "hook returns a text": Case(HEAD + INFO.format("'foo'"), r"one BackendInfo, it returned str"),
    "hook returns two": Case(
        HEAD + INFO.format(f"[{GOOD_INFO}, {GOOD_INFO}]"), r"one BackendInfo, it returned list"
    ),
    "old API": Case(backend_source(api_version="0"), r"plugin API 0, this grilly has 1; update the plugin"),
    "new API": Case(backend_source(api_version="2"), r"plugin API 2, this grilly has 1; update grilly"),
    "API not a number": Case(backend_source(api_version="'1'"), r"api_version must be an integer, it is '1'"),
    "another name": Case(
        backend_source("bar"), r"calls itself 'bar'; entry point and BackendInfo must have one name"
    ),
    "open not a function": Case(
        HEAD + INFO.format("BackendInfo('foo', 1, 3)"), r"open\(device, automatic\), it is 3"
    ),
    "open takes nothing": Case(
        HEAD + "def _open(): pass\n" + INFO.format("BackendInfo('foo', 1, _open)"),
        r"_open\(\) takes 0 positional arguments but 2 were given",
        TypeError,
    ),
    "open returns a text": Case(
        backend_source(opens="return 'gpu'"), r"must return a Backend, it returned str"
    ),
    "open returns nothing": Case(
        backend_source(opens="pass"), r"must return a Backend, it returned NoneType"
    ),
    "open raises": Case(backend_source(opens="raise OSError('no libfoo')"), r"OSError: no libfoo", OSError),
    "wrong kernel signature": Case(
        backend_source(top=WRONG_KERNEL),
        r"kernel grilly_foo\.add does not fit op add: it must take \(device, x, y, /\), it takes \(device, x, z, /\)",
        GrillyError,
    ),
    "wrong kernel signature when opened": Case(
        backend_source(opens=WRONG_KERNEL), r"add does not fit op add", GrillyError
    ),
    "backend with another name": Case(
        backend_source(opens=ATTRIBUTE.format("name = 'bar'")), r"its Backend calls itself 'bar'"
    ),
    "kernels not a table": Case(
        backend_source(opens=ATTRIBUTE.format("kernels = {}")), r"must be a KernelTable, they are a dict"
    ),
    "unknown dtype": Case(
        backend_source(opens=ATTRIBUTE.format("dtypes = {'float32', 'float8'}")),
        r"unknown dtypes float8; there are",
    ),
    "unknown feature": Case(
        backend_source(opens=ATTRIBUTE.format("features = {'flaot64'}")),
        r"unknown features flaot64; there are",
    ),
    "no device text": Case(
        backend_source(opens=ATTRIBUTE.replace('self.device = "foo"', "pass").format("")),
        r"Backend lacks device",
    ),
    "missing primitives": Case(
        backend_source(opens=ATTRIBUTE.format("kernels = KernelTable('foo')")),
        r"no kernel for the primitives .*\badd\b.*; every backend must have all",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_backend_is_named_and_hurts_no_other(site: Site, name: str) -> None:
    case = CASES[name]
    site.install("grilly-foo", case.source, target=case.target)
    assert {"foo", "numpy"} <= set(backends.available())
    assert not site.imported()
    for _ in range(2):  # a second try says the same, not that something is registered already
        with pytest.raises(BackendLoadError, match=r"(?s)" + case.said) as caught:
            plugins.open_backend("foo")
        text = str(caught.value)
        assert "grilly-foo 1.2" in text, "the distribution"
        assert f"entry point foo = {case.target or 'grilly_foo'}" in text, "the entry point"
        assert "Reinstall or update grilly-foo, or block it with GRILLY_BLOCK=foo" in text, "the cure"
        if case.cause is not None:
            assert isinstance(caught.value.__cause__, case.cause)
    assert grilly.use_backend("numpy").name == "numpy"
    assert (grilly.tensor([1.0]) + 1).item() == 2
    report = {one.name: one for one in backends.status()}
    assert (report["foo"].state, report["foo"].distribution, report["foo"].device) == (
        "broken",
        "grilly-foo 1.2",
        "",
    )
    assert "grilly-foo" in report["foo"].reason
    assert report["numpy"].state == "available"


def test_a_backend_that_does_not_open_is_closed(site: Site) -> None:
    opens = ATTRIBUTE.format("kernels = KernelTable('foo')") + "\n"
    opens = opens.replace(
        "    def __init__", "    def close(self): closings.append(self.name)\n    def __init__"
    )
    site.install("grilly-foo", backend_source(opens=opens, top="closings = []"))
    with pytest.raises(BackendLoadError, match="primitives"):
        plugins.open_backend("foo")
    import grilly_foo  # type: ignore[import-not-found]

    assert grilly_foo.closings == ["foo"]


def test_a_missing_device_passes_as_the_plugin_said_it(site: Site) -> None:
    site.install("grilly-foo", backend_source(opens="raise BackendUnavailable('no foo device; plug one in')"))
    with pytest.raises(BackendUnavailable, match=r"^no foo device; plug one in$"):
        grilly.use_backend("foo")
    report = {one.name: one for one in backends.status()}
    assert report["foo"].state == "unavailable"
    assert report["foo"].reason == "no foo device; plug one in"


def test_a_wrong_device_passes_as_the_plugin_said_it(site: Site) -> None:
    opens = "raise ConfigError(f'foo has no device {device!r}')"
    site.install("grilly-foo", backend_source(opens=opens))
    with pytest.raises(ConfigError, match=r"^foo has no device '7'$"):
        grilly.use_backend("foo:7")
    assert {one.name: one.state for one in backends.status()}["foo"] == "misconfigured"


def test_status_survives_whatever_device_text_does(site: Site) -> None:
    opens = ATTRIBUTE.replace('self.device = "foo"', "self.asked = 0").format(
        "@property\n    def device(self):\n        self.asked += 1\n"
        "        if self.asked > 1: raise OSError('lost')\n        return 'foo'"
    )
    site.install("grilly-foo", backend_source(opens=opens))
    report = {one.name: one for one in backends.status()}
    assert (report["foo"].state, report["foo"].reason) == ("broken", "OSError: lost")
