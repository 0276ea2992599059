"""Which backends there are: read from metadata, loaded by name, conflicts named."""

from __future__ import annotations

import logging
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from fake_plugins import OPEN, Site, backend_source

import grilly
from grilly import backends
from grilly_core import plugins
from grilly_core.errors import BackendLoadError, ConfigError


def test_a_good_backend_works_like_ours(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    assert backends.available() == sorted({*backends.available(), "foo"})
    assert site.imported() == []
    backend = grilly.use_backend("foo:3")
    assert site.imported() == ["grilly_foo"]
    assert repr(backend) == "<backend foo: foo device 3>"
    x = grilly.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.backend == "foo" and x.grad is not None and x.grad.tolist() == [2.0, 4.0]
    assert {one.name: one.state for one in backends.status()}["foo"] == "available"


def test_opened_once_per_device(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    assert plugins.open_backend("foo") is plugins.open_backend("foo")
    assert plugins.open_backend("foo", "1") is plugins.open_backend("foo", "1")
    assert plugins.open_backend("foo", "1") is not plugins.open_backend("foo", "2")


def test_numpy_is_one_object_however_it_is_named() -> None:
    assert plugins.open_backend("numpy") is plugins.open_backend("numpy", "cpu")
    with pytest.raises(ConfigError, match="has one device, 'cpu', not '1'"):
        plugins.open_backend("numpy", "1")


def test_a_name_claimed_by_two_distributions(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    site.install("other-foo", backend_source(), module="other_foo", version="0.3")
    assert "foo" in backends.available()
    with pytest.raises(BackendLoadError, match=r"'foo' is claimed 2 times") as caught:
        grilly.use_backend("foo")
    for part in ("grilly-foo 1.2 (grilly_foo)", "other-foo 0.3 (other_foo)", "uninstall all but one"):
        assert part in str(caught.value)
    assert site.imported() == []
    assert {one.name: one.state for one in backends.status()}["foo"] == "broken"
    assert grilly.use_backend("numpy").name == "numpy"


def test_the_same_target_listed_twice_is_no_conflict(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    site.install("grilly-foo-editable", None)
    assert backends.available().count("foo") == 1
    assert grilly.use_backend("foo").name == "foo"


def test_an_older_version_further_down_the_path_does_not_count(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("Grilly.Foo", backend_source())
    old = Site(tmp_path / "old")
    old.install("grilly-foo", "1 / 0", version="0.1", module="foo_before")
    monkeypatch.setattr(sys, "path", [*sys.path, str(old.folder)])
    assert grilly.use_backend("foo").name == "foo"
    assert {one.name: one.distribution for one in backends.status()}["foo"] == "Grilly.Foo 1.2"


def test_damaged_metadata_hurts_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("unrelated", None, entry_points="[console_scripts]\nno equals sign\n")
    with caplog.at_level(logging.WARNING, "grilly"):
        assert "numpy" in backends.available()
    assert caplog.messages == []
    site.install("grilly-foo", None, entry_points="[grilly.backends]\nfoo\n")
    with caplog.at_level(logging.WARNING, "grilly"):
        assert "foo" not in backends.available()
    assert "entry points of grilly-foo 1.2 cannot be read" in caplog.messages[0]


def test_metadata_without_a_name(site: Site) -> None:
    site.install("grilly-foo", "1 / 0")
    next(site.folder.glob("*.dist-info/METADATA")).write_text("Metadata-Version: 2.1\n")
    with pytest.raises(BackendLoadError, match=r"entry point foo = grilly_foo of \? \?"):
        grilly.use_backend("foo")


def test_one_module_cannot_be_two_backends(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    site.install("grilly-alias", None, name="alias")
    assert grilly.use_backend("foo").name == "foo"
    with pytest.raises(
        BackendLoadError, match=r"the same object is plugin 'foo' already.*Reinstall.*grilly-alias"
    ):
        grilly.use_backend("alias")
    assert grilly.tensor([1.0]).backend == "foo"


def test_a_cause_removed_is_noticed(site: Site) -> None:
    site.install("grilly-foo", "import no_such_driver")
    with pytest.raises(BackendLoadError, match="no_such_driver"):
        grilly.use_backend("foo")
    (site.folder / "grilly_foo.py").write_text(backend_source() + "# corrected\n")
    assert grilly.use_backend("foo").name == "foo"


def test_two_threads_open_one_backend(site: Site) -> None:
    wait = "import time\nopenings = []"
    opens = "openings.append(device); time.sleep(0.05)\n" + textwrap.dedent(OPEN.format(name="foo"))
    site.install("grilly-foo", backend_source(opens=opens, top=wait))
    opened: list[object] = []
    threads = [threading.Thread(target=lambda: opened.append(plugins.open_backend("foo"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4 and len(set(map(id, opened))) == 1
    assert len(sys.modules["grilly_foo"].openings) == 1


@pytest.mark.parametrize(
    "asked, said",
    [
        ("numppy", r"no backend 'numppy' is installed; did you mean 'numpy'\? installed are .*numpy"),
        ("fooo", r"did you mean 'foo'\? installed are .*foo.*numpy"),
        ("tpu", r"no backend 'tpu' is installed; installed are"),
    ],
)
def test_a_misspelt_backend(site: Site, asked: str, said: str) -> None:
    site.install("grilly-foo", backend_source())
    with pytest.raises(ConfigError, match=said):
        grilly.use_backend(asked)


@pytest.mark.parametrize("asked", ["cupy", "cuppy"])
def test_a_backend_of_ours_that_is_not_installed(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entries", lambda group: {})
    with pytest.raises(ConfigError, match=r'installed are none\. For cupy: pip install "grilly\[cupy\]"'):
        plugins.load(asked)
