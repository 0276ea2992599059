"""Which backend new tensors go to: explicit beats environment beats automatic, and nothing is silent."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_plugins import fresh_state

import grilly
from grilly import backends
from grilly_core import ops, plugins, selection
from grilly_core.errors import (
    BackendLoadError,
    BackendMismatchError,
    BackendUnavailable,
    ConfigError,
    UnsupportedOpError,
)
from grilly_core.extend import API_VERSION, Backend, BackendInfo, KernelTable, hookimpl
from grilly_numpy.backend import NumpyBackend

ORDER = plugins.AUTOMATIC


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_state(monkeypatch):
        yield


Open = Callable[[str | None, bool], Backend]


def opens(name: str) -> Open:
    """``open`` of a backend that works."""

    def open_(device: str | None, automatic: bool) -> Backend:
        backend = object.__new__(
            type(name.title(), (NumpyBackend,), {"name": name, "close": lambda self: None})
        )
        backend.device = f"{name} {device or 0}, {'automatic' if automatic else 'named'}"
        return backend

    return open_


def fails(error: Exception) -> Open:
    """``open`` of one that does not."""

    def open_(device: str | None, automatic: bool) -> Backend:
        raise error

    return open_


def add(name: str, open_: Open | None = None) -> None:
    """Register a backend."""

    class Plugin:
        @hookimpl
        def grilly_backend(self) -> Any:
            return BackendInfo(name, API_VERSION, open_ or opens(name))

    backends.register(Plugin(), name)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Automatic choice among first, second and third, none of which is installed."""
    monkeypatch.setattr(plugins, "AUTOMATIC", ("first", "second", "third"))


def chosen() -> str:
    return grilly.tensor([1.0]).backend


def test_the_order_of_automatic_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ORDER == ("vulkan", "cupy", "numpy")
    monkeypatch.setattr(plugins, "AUTOMATIC", ORDER)
    backends.block("vulkan")
    backends.block("cupy")
    assert chosen() == "numpy"


@pytest.mark.usefixtures("ours")
def test_the_first_that_works_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    add("third")
    add("second")
    add("first", fails(BackendUnavailable("no driver; install one")))
    with caplog.at_level(logging.WARNING, "grilly"):
        assert chosen() == "second"
        assert chosen() == "second"
    assert caplog.messages == ["using backend second; skipped first: no driver; install one"]
    assert caplog.records[0].name == "grilly"
    assert backends.current_backend().device == "second 0, automatic"


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    "error, raised",
    [
        (OSError("broken"), BackendLoadError),
        (ImportError("libfoo"), BackendLoadError),
        (ConfigError("bad setting"), ConfigError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_only_unavailable_is_skipped(error: Exception, raised: type[BaseException]) -> None:
    add("first", fails(error))
    add("second")
    with pytest.raises(raised):
        chosen()


@pytest.mark.usefixtures("ours")
def test_a_broken_plugin_is_not_skipped() -> None:
    add("first", None)
    add("second")
    backends.unregister("first")

    class Plugin:
        @hookimpl
        def grilly_backend(self) -> Any:
            return BackendInfo("other", API_VERSION, opens("other"))

    backends.register(Plugin(), "first")
    with pytest.raises(BackendLoadError, match="calls itself 'other'"):
        chosen()


@pytest.mark.usefixtures("ours")
def test_when_none_works_every_reason_is_given() -> None:
    add("first", fails(BackendUnavailable("no driver")))
    add("third", fails(BackendUnavailable("no device")))
    with pytest.raises(
        ExceptionGroup, match="works on this machine: first: no driver; third: no device"
    ) as caught:
        chosen()
    assert [str(error) for error in caught.value.exceptions] == ["no driver", "no device"]
    assert all(isinstance(error, BackendUnavailable) for error in caught.value.exceptions)


@pytest.mark.usefixtures("ours")
def test_other_peoples_backends_are_never_chosen() -> None:
    add("theirs")
    with pytest.raises(
        ConfigError, match=r"none of the backends first, second, third is installed or allowed; .*theirs"
    ):
        chosen()
    assert grilly.use_backend("theirs").name == "theirs"


@pytest.mark.usefixtures("ours")
def test_one_that_declines_automatic_choice_still_opens_by_name() -> None:
    def open_(device: str | None, automatic: bool) -> Backend:
        if automatic:
            raise BackendUnavailable("only a CPU; ask for it by name")
        return opens("first")(device, automatic)

    add("first", open_)
    add("second")
    with grilly.backend("first"):
        assert chosen() == "first"
    assert chosen() == "second", "opened by name before does not make it the automatic choice"
    assert plugins.open_backend("first") is plugins.open_backend("first")


@pytest.mark.usefixtures("ours")
def test_one_opened_by_name_stays_the_same_object_when_chosen() -> None:
    add("first")
    named = plugins.open_backend("first")
    assert backends.current_backend() is named and not named.closed


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    add("theirs")
    monkeypatch.setenv("GRILLY_BACKEND", " theirs:7 ")
    assert backends.current_backend().device == "theirs 7, named"
    monkeypatch.setenv("GRILLY_BACKEND", "numpy")
    assert chosen() == "theirs", "read once"
    selection.reset_selection()
    assert chosen() == "numpy"


@pytest.mark.parametrize(
    "value, said",
    [
        ("numppy", r"no backend 'numppy' is installed; did you mean 'numpy'"),
        (":0", r"GRILLY_BACKEND: ':0' must be a backend's name or name:device"),
        ("numpy:", r"GRILLY_BACKEND: 'numpy:' must be"),
        ("numpy:gpu", r"has one device, 'cpu', not 'gpu'"),
    ],
)
def test_an_impossible_environment(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("GRILLY_BACKEND", value)
    with pytest.raises(ConfigError, match=said):
        chosen()


def test_a_requested_backend_that_fails_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    add("theirs", fails(BackendUnavailable("no device")))
    monkeypatch.setenv("GRILLY_BACKEND", "theirs")
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="no device"):
            chosen()


@pytest.mark.parametrize(
    "ask", [chosen, lambda: grilly.use_backend("numpy"), lambda: plugins.open_backend("numpy")]
)
def test_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]) -> None:
    monkeypatch.setenv("GRILLY_BACKND", "numpy")
    with pytest.raises(ConfigError, match=r"GRILLY_BACKND is not known; did you mean GRILLY_BACKEND"):
        ask()


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("environment", "default", "outer", "inner"):
        add(name)
    monkeypatch.setenv("GRILLY_BACKEND", "environment")
    assert chosen() == "environment"
    grilly.use_backend("default")
    assert chosen() == "default"
    with grilly.backend("outer") as outer:
        assert (outer.name, chosen()) == ("outer", "outer")
        with grilly.backend("inner:2"):
            assert grilly.tensor([1.0]).device.startswith("inner 2")
            grilly.use_backend("environment")
            assert chosen() == "inner"
        assert chosen() == "outer"
        with pytest.raises(ZeroDivisionError), grilly.backend("inner"):
            1 / 0  # noqa: B018
        assert chosen() == "outer"
    assert chosen() == "environment"


def test_a_failed_choice_changes_nothing() -> None:
    add("theirs")
    add("gone", fails(BackendUnavailable("no device")))
    grilly.use_backend("theirs")
    with pytest.raises(BackendUnavailable):
        grilly.use_backend("gone")
    with pytest.raises(BackendUnavailable), grilly.backend("gone"):
        pass
    assert chosen() == "theirs"


def test_backends_are_named_or_given() -> None:
    opened = grilly.use_backend("numpy")
    assert grilly.use_backend(opened) is opened
    with grilly.backend(opened) as inside:
        assert inside is opened
    with pytest.raises(
        ConfigError, match=r"a backend is chosen by name, e\.g\. 'numpy' or 'vulkan:1'; got 3"
    ):
        grilly.use_backend(3)  # type: ignore[arg-type]


def test_a_block_holds_for_its_thread_only() -> None:
    add("theirs")
    grilly.use_backend("numpy")
    seen: list[str] = []

    def look() -> None:
        seen.append(chosen())

    with grilly.backend("theirs"):
        for target in (look, lambda context=contextvars.copy_context(): context.run(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == ["numpy", "theirs"], "a new thread starts from the default unless it is given the context"


@pytest.mark.usefixtures("ours")
def test_threads_make_one_choice(caplog: pytest.LogCaptureFixture) -> None:
    add("first", fails(BackendUnavailable("no driver")))
    add("second")
    barrier = threading.Barrier(4)
    seen: list[int] = []

    def look() -> None:
        barrier.wait()
        seen.append(id(backends.current_backend()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    with caplog.at_level(logging.WARNING, "grilly"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 4 and len(set(seen)) == 1
    assert len(caplog.messages) == 1


def test_ops_follow_their_arguments() -> None:
    add("theirs")
    x = grilly.tensor([1.0], backend="theirs")
    with grilly.backend("numpy"):
        assert (x + 1).backend == "theirs"


@pytest.mark.parametrize("op", [lambda x, y: x + y, lambda x, y: ops.concat([x, y], axis=0)])
def test_two_backends_in_one_op(op: Callable[..., Any]) -> None:
    add("theirs")
    x, y = grilly.tensor([1.0], backend="numpy"), grilly.tensor([1.0], backend="theirs")
    with pytest.raises(BackendMismatchError, match=r"on numpy \(.*on theirs \(theirs 0.*move one with x\.to"):
        op(x, y)
    assert op(x, y.to("numpy")).backend == "numpy"


class Bare(NumpyBackend):
    """Without any kernel but the primitives'."""

    name = "bare"
    kernels = KernelTable("bare")

    def __init__(self) -> None:
        self.device = "bare"


for _op in NumpyBackend.kernels:
    if _op.is_primitive:
        Bare.kernels.register(_op)(NumpyBackend.kernels.get(_op).function)  # type: ignore[union-attr]


def _lif() -> Any:
    surrogate = grilly.nn.ATan()
    x, v = grilly.ones((3, 2), backend="bare"), grilly.zeros((2,), backend="bare")
    return ops.lif_multi_step(x, v, k=0.5, surrogate=surrogate, save_h=False)


def test_native_kernels_may_be_required() -> None:
    add("bare", lambda device, automatic: Bare())
    assert _lif()[0].shape == (3, 2)
    with (
        grilly.require_native(),
        pytest.raises(UnsupportedOpError, match=r"lif_multi_step would run as a composite on "),
    ):
        _lif()
    with grilly.require_native(), grilly.require_native(False):
        assert _lif()[0].shape == (3, 2)
    with grilly.require_native():
        assert (grilly.ones((2,), backend="numpy") + 1).tolist() == [2, 2]
    assert _lif()[0].shape == (3, 2)


@pytest.mark.parametrize("value, required", [("1", True), ("true", True), ("0", False), ("", False)])
def test_native_kernels_required_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, required: bool
) -> None:
    add("bare", lambda device, automatic: Bare())
    monkeypatch.setenv("GRILLY_REQUIRE_NATIVE", value)
    assert selection.native_required() is required
    if required:
        with pytest.raises(UnsupportedOpError, match="GRILLY_REQUIRE_NATIVE=1"):
            _lif()
        with grilly.require_native(False):
            _lif()
    else:
        _lif()


def test_native_kernels_asked_for_in_a_strange_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_REQUIRE_NATIVE", "ja")
    with pytest.raises(ConfigError, match=r"GRILLY_REQUIRE_NATIVE='ja' must be 1 or 0"):
        selection.native_required()
