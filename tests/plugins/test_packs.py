"""Kernel packs: one kernel of somebody else's backend replaced; a broken pack stays with its backend."""

from __future__ import annotations

import sys

import pytest
from fake_plugins import Site, backend_source

import grilly
from grilly import backends
from grilly_core import ops, plugins
from grilly_core.errors import BackendLoadError, GrillyError, KernelError

PACK = """
from grilly_core.extend import *

def add(device, x, y, /):
    return x * 0 + {value}

@hookimpl({options})
def grilly_kernel(op, backend):
    asked.append((op.name, backend))
    return make_kernel(ops.add, add, source='fast {value}') if op is ops.add else None

asked = []
"""


def pack(value: object, options: str = "") -> str:
    """A pack whose ``add`` returns ``value`` whatever it is given, so that one sees which ran."""
    return PACK.format(value=value, options=options)


def install(site: Site, source: str, name: str = "numpy.fast", distribution: str = "grilly-fast") -> str:
    module = distribution.replace("-", "_")
    site.install(distribution, source, group="grilly.kernels", name=name, module=module)
    return module


def added() -> float:
    return float((grilly.tensor([1.0], backend="numpy") + 1.0).item())


def test_a_pack_replaces_one_kernel(site: Site) -> None:
    install(site, pack(40))
    assert "numpy.fast" not in backends.available()
    assert site.imported() == []
    assert added() == 40
    assert (grilly.tensor([3.0]) * 2.0).item() == 6
    line = next(line for line in backends.report("numpy").splitlines() if line.split()[0] == "add")
    assert line.endswith("  fast 40")


def test_a_pack_is_used_in_gradients_and_composites(site: Site) -> None:
    install(site, pack(40))
    x = grilly.tensor([1.0], requires_grad=True, backend="numpy")
    (x * x + x).backward()
    assert x.grad is not None and x.grad.item() == 40


def test_packs_are_asked_for_their_own_backend_once_per_op(site: Site) -> None:
    site.install("grilly-foo", backend_source())
    name = install(site, pack(40).replace("if op is ops.add else None", ""), name="foo.fast")
    assert added() == 2
    assert site.imported() == []
    backend = plugins.open_backend("foo")
    asked = sys.modules[name].asked
    assert {which for _, which in asked} == {"foo"}
    assert plugins.kernel_for(ops.add, backend) is not None
    assert len(asked) == len(set(asked))
    assert (grilly.tensor([1.0], backend="foo") + 1.0).item() == 40
    assert added() == 2


def test_precedence(site: Site) -> None:
    install(site, pack(10), "numpy.a", "pack-a")
    install(site, pack(20), "numpy.b", "pack-b")
    assert added() == 10, "the first by name"
    backends.block("numpy.a")
    assert added() == 20
    backends.block("numpy.b")
    assert added() == 2, "the backend's own"


def test_tryfirst_wins(site: Site) -> None:
    install(site, pack(10), "numpy.a", "pack-a")
    install(site, pack(20, "tryfirst=True"), "numpy.b", "pack-b")
    assert added() == 20


def test_a_pack_that_answers_none_leaves_the_backends_own(site: Site) -> None:
    install(site, pack(10).replace("if op is ops.add", "if op is None"))
    assert added() == 2


def test_registered_packs_come_and_go() -> None:
    class Pack:
        @staticmethod
        def kernel(device: object, x: float, y: float, /) -> float:
            return x * 0 + 30

        @plugins.hookimpl
        def grilly_kernel(self, op: object, backend: str) -> object:
            from grilly_core.extend import make_kernel

            return make_kernel(ops.add, self.kernel) if op is ops.add and backend == "numpy" else None

    assert added() == 2
    before = backends.available()
    backends.register(Pack(), "mine")
    assert backends.available() == before, "a pack is no backend"
    assert "mine" not in [one.name for one in backends.status()]
    assert added() == 30
    backends.unregister("mine")
    assert added() == 2


BROKEN = {
    "import error": ("import no_such_library", BackendLoadError, "No module named 'no_such_library'"),
    "misspelt hook": (
        pack(1).replace("grilly_kernel", "grilly_kernels"),
        BackendLoadError,
        "did you mean grilly_kernel",
    ),
    "no hook": ("x = 1", BackendLoadError, "implements no hook of grilly"),
    "hook raises": (
        pack(1).replace("asked.append", "asked.apend"),
        BackendLoadError,
        "has no attribute 'apend'",
    ),
    "wrong type": (
        pack(1).replace("return make_kernel", "return add or make_kernel"),
        KernelError,
        "with a function",
    ),
    "wrong signature": (
        pack(1).replace("x, y, /", "x, y"),
        BackendLoadError,
        r"does not fit op add: it must take",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pack_stays_with_its_backend(site: Site, name: str) -> None:
    source, error, said = BROKEN[name]
    site.install("grilly-foo", backend_source())
    install(site, source, name="foo.fast")
    for _ in range(2):
        with pytest.raises(error, match=f"(?s){said}") as caught:
            plugins.open_backend("foo")
        text = str(caught.value)
        assert "entry point foo.fast = grilly_fast of grilly-fast 1.2" in text
        assert "Reinstall or update grilly-fast, or block it with GRILLY_BLOCK=foo.fast" in text
        assert isinstance(caught.value, GrillyError)
    assert added() == 2
    report = {one.name: one for one in backends.status()}
    assert (report["foo"].state, report["numpy"].state) == ("broken", "available")
    assert "grilly-fast 1.2" in report["foo"].reason
    backends.block("foo.fast")
    assert grilly.use_backend("foo").name == "foo"


def test_a_pack_name_claimed_twice(site: Site) -> None:
    install(site, pack(1))
    install(site, pack(2), distribution="other-fast")
    with pytest.raises(
        BackendLoadError, match=r"kernel pack 'numpy.fast' is claimed 2 times.*uninstall all but one"
    ):
        plugins.open_backend("numpy")
    backends.block("numpy.fast")
    assert added() == 2


def test_a_pack_may_not_share_its_module_with_another_plugin(site: Site) -> None:
    site.install("grilly-foo", backend_source() + pack(1))
    site.install("grilly-foo-pack", None, group="grilly.kernels", name="foo.own")
    with pytest.raises(
        BackendLoadError, match=r"the same object is plugin 'foo' already; give each plugin a module"
    ):
        plugins.open_backend("foo")


def test_a_backend_may_answer_for_its_own_kernels_only(site: Site) -> None:
    site.install("grilly-foo", backend_source() + pack(50))
    assert (grilly.tensor([1.0], backend="foo") + 1.0).item() == 50
    assert added() == 2


def test_packs_are_listed_with_what_keeps_them_from_being_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, pack(1))
    install(site, pack(1), "fast", "nameless-fast")
    install(site, pack(1), "bar.fast", "bar-fast")
    install(site, pack(1), "numpy.slow", "slow-pack")
    backends.block("numpy.slow")
    listed = {one.name: one for one in backends.kernel_packs()}
    assert listed["numpy.fast"] == backends.PackStatus("numpy.fast", "grilly-fast 1.2", "numpy", "")
    assert "must be named backend.pack" in listed["fast"].reason
    assert listed["bar.fast"].reason == "no backend 'bar' is installed"
    assert "blocked" in listed["numpy.slow"].reason
    assert site.imported() == []
