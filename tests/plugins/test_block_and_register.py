"""Blocking, and plugins that are registered in the process rather than installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_plugins import Site, backend_source

import grilly
from grilly import backends
from grilly_core import plugins, selection
from grilly_core.errors import BackendLoadError, ConfigError
from grilly_core.extend import API_VERSION, BackendInfo, hookimpl
from grilly_numpy.backend import NumpyBackend


class Mine(NumpyBackend):
    """A backend that says what happens to it."""

    name = "mine"

    def __init__(self) -> None:
        self.device = "here"
        self.closings = 0

    def close(self) -> None:
        self.closings += 1


class Plugin:
    """Its plugin."""

    def __init__(self, name: str = "mine") -> None:
        self.name = name

    @hookimpl
    def grilly_backend(self) -> Any:
        return BackendInfo(self.name, API_VERSION, lambda device, automatic: Mine())


def test_blocked_by_the_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("grilly-foo", backend_source())
    site.install("grilly-bar", "1 / 0", name="bar", module="grilly_bar")
    monkeypatch.setenv("GRILLY_BLOCK", " foo, bar,")
    assert not {"foo", "bar"} & set(backends.available())
    with pytest.raises(ConfigError, match=r"backend 'foo' is blocked; take it out of GRILLY_BLOCK"):
        grilly.use_backend("foo")
    report = {one.name: one for one in backends.status()}
    assert report["foo"].state == "blocked" and "GRILLY_BLOCK" in report["foo"].reason
    assert site.imported() == []
    assert grilly.tensor([1.0]).backend == "numpy"


def test_a_misspelt_name_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_BLOCK", "numppy")
    with pytest.raises(
        ConfigError, match=r"GRILLY_BLOCK: nothing named 'numppy' is installed; did you mean 'numpy'"
    ):
        grilly.tensor([1.0])


def test_names_that_are_not_installed_may_be_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_BLOCK", "cupy,something")
    assert grilly.tensor([1.0]).backend == "numpy"


def test_a_blocked_pack(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("grilly-fast", "1 / 0", group="grilly.kernels", name="numpy.fast")
    monkeypatch.setenv("GRILLY_BLOCK", "numpy.fast")
    assert grilly.tensor([1.0]).backend == "numpy"
    assert site.imported() == []


def test_blocking_closes_what_is_open() -> None:
    backends.register(Plugin(), "mine")
    backend = plugins.open_backend("mine")
    assert isinstance(backend, Mine) and not backend.closed
    backends.block("mine")
    assert (backend.closed, backend.closings) == (True, 1)
    assert "mine" not in backends.available()
    with pytest.raises(ConfigError, match="is blocked"):
        plugins.open_backend("mine")
    with pytest.raises(ConfigError, match=r"plugin 'mine' is blocked; choose another name"):
        backends.register(Plugin(), "mine")


def test_registered_and_taken_back() -> None:
    before = backends.available()
    backends.register(Plugin(), "mine")
    assert backends.available() == sorted([*before, "mine"])
    report = {one.name: one for one in backends.status()}
    assert (report["mine"].state, report["mine"].distribution) == ("available", "registered in this process")
    x = grilly.tensor([1.0, 2.0], backend="mine")
    np.testing.assert_array_equal((x + x).numpy(), [2, 4])
    opened = plugins.open_backend("mine")
    backends.unregister("mine")
    assert isinstance(opened, Mine) and opened.closings == 1
    assert backends.available() == before
    with pytest.raises(ConfigError, match=r"no plugin 'mine' was registered; registered are none"):
        backends.unregister("mine")
    backends.register(Plugin(), "mine")
    assert plugins.open_backend("mine") is not opened


def test_a_chosen_backend_that_was_closed_is_an_error() -> None:
    backends.register(Plugin(), "mine")
    grilly.use_backend("mine")
    backends.unregister("mine")
    with pytest.raises(
        ConfigError, match=r"'mine' was chosen for new tensors and has been closed.*use_backend"
    ):
        grilly.tensor([1.0])
    grilly.use_backend("numpy")
    assert grilly.tensor([1.0]).backend == "numpy"


def test_a_backend_closed_inside_its_block_is_an_error() -> None:
    backends.register(Plugin(), "mine")
    with grilly.backend("mine"):
        backends.unregister("mine")
        with pytest.raises(ConfigError, match="has been closed"):
            grilly.tensor([1.0])
    assert grilly.tensor([1.0]).backend == "numpy"


def test_an_automatic_choice_that_was_closed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "AUTOMATIC", ("mine", "numpy"))
    backends.register(Plugin(), "mine")
    assert grilly.tensor([1.0]).backend == "mine"
    backends.block("mine")
    assert grilly.tensor([1.0]).backend == "numpy"


@pytest.mark.parametrize("name", ["numpy", "mine", "foo.fast"])
def test_a_name_that_is_taken(site: Site, name: str) -> None:
    site.install("grilly-fast", "", group="grilly.kernels", name="foo.fast")
    backends.register(Plugin(), "mine")
    with pytest.raises(ConfigError, match=rf"a plugin '{name}' exists already; choose another name"):
        backends.register(Plugin(name), name)


class Misspelt:
    @hookimpl
    def grilly_kernal(self) -> None: ...


class TooMany:
    @hookimpl
    def grilly_backend(self, device: str) -> None: ...


@pytest.mark.parametrize(
    "plugin, said",
    [
        (Misspelt(), r"grilly_kernal is no hook of grilly; did you mean grilly_kernel\?"),
        (TooMany(), r"PluginValidationError"),
        (object(), r"it implements no hook of grilly"),
        (None, r"it implements no hook of grilly"),
    ],
)
def test_what_does_not_fit_is_not_kept(plugin: object, said: str) -> None:
    with pytest.raises(
        BackendLoadError, match=rf"(?s)plugin 'mine' cannot be registered \(registered in.*{said}"
    ):
        backends.register(plugin, "mine")
    assert "mine" not in backends.available()
    backends.register(Plugin(), "mine")
    assert plugins.open_backend("mine").name == "mine"


def test_one_object_under_two_names() -> None:
    plugin = Plugin()
    backends.register(plugin, "mine")
    with pytest.raises(BackendLoadError, match="the same object is plugin 'mine' already"):
        backends.register(plugin, "yours")
    assert plugins.open_backend("mine").name == "mine"


def test_a_registered_plugin_that_cannot_describe_itself() -> None:
    backends.register(Plugin("yours"), "mine")
    for _ in range(2):
        with pytest.raises(BackendLoadError, match=r"calls itself 'yours'.*backends\.unregister\('mine'\)"):
            plugins.open_backend("mine")
    backends.unregister("mine")
    assert "mine" not in backends.available()


def test_forget_closes_everything_even_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    backends.register(Plugin(), "mine")
    good, bad = plugins.open_backend("mine", "0"), plugins.open_backend("mine", "1")

    def close() -> None:
        raise OSError("stuck")

    monkeypatch.setattr(bad, "close", close)
    with pytest.raises(ExceptionGroup, match="did not close") as caught:
        plugins.forget()
    assert [str(error) for error in caught.value.exceptions] == ["stuck"]
    assert isinstance(good, Mine) and good.closings == 1 and bad.closed
    assert "mine" not in backends.available()
    plugins.forget()
    selection.reset_selection()
