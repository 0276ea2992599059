"""``grilly doctor`` starts whatever the environment holds, tries everything, and notices a wrong backend."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_plugins import Site, backend_source, fresh_state

import grilly
from grilly import backends, cli
from grilly.cli import _selftest
from grilly_core import ops
from grilly_core.extend import API_VERSION, BackendInfo, KernelTable, hookimpl
from grilly_numpy import threads
from grilly_numpy.backend import NumpyBackend


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh_state(monkeypatch):
        yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    made.forget_modules()


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str]]:
    """Runs it: exit code and output."""

    def run() -> tuple[int, str]:
        code = cli.main(["doctor"])
        captured = capsys.readouterr()
        assert captured.err == ""
        return code, captured.out

    return run


Doctor = Callable[[], tuple[int, str]]


def test_all_is_well(doctor: Doctor) -> None:
    code, text = doctor()
    assert code == 0
    for part in (
        f"grilly {grilly.__version__}",
        platform.python_version(),
        np.__version__,
        platform.platform(),
    ):
        assert part in text
    assert "no GRILLY_* variable is set" in text
    assert "new tensors go to: numpy (chosen automatically)" in text
    assert text.splitlines()[-1] == "numpy: passed in float32 and float64"


def test_settings_in_force(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILLY_BACKEND", "numpy:cpu")
    monkeypatch.setenv("GRILLY_REQUIRE_NATIVE", "1")
    code, text = doctor()
    assert code == 0
    assert "GRILLY_BACKEND=numpy:cpu  " in text and "backend to use, name[:device]" in text
    assert "GRILLY_REQUIRE_NATIVE=1" in text
    assert "new tensors go to: numpy (GRILLY_BACKEND)" in text


@pytest.mark.parametrize(
    "name, value, said",
    [
        (
            "GRILLY_BACKND",
            "numpy",
            "problem: environment variable GRILLY_BACKND is not known; did you mean GRILLY_BACKEND",
        ),
        (
            "GRILLY_BLOCK",
            "numppy",
            "problem: GRILLY_BLOCK: nothing named 'numppy' is installed; did you mean 'numpy'",
        ),
        (
            "GRILLY_BACKEND",
            "nmupy",
            "new tensors go to: none; no backend 'nmupy' is installed; did you mean 'numpy'",
        ),
        ("GRILLY_BACKEND", ":", "new tensors go to: none; GRILLY_BACKEND: ':' must be"),
    ],
)
def test_a_wrong_setting_is_reported(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    code, text = doctor()
    assert code == 0
    assert said in text
    assert "numpy: passed" in text


def test_a_setting_that_a_backend_cannot_follow(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("GRILLY_NUM_THREADS", "many")
    code, text = doctor()
    assert code == 1
    assert "numpy is misconfigured: GRILLY_NUM_THREADS='many'" in text
    assert "numpy: passed" not in text


def test_unavailable_is_no_failure(site: Site, doctor: Doctor) -> None:
    site.install("grilly-foo", backend_source(opens="raise BackendUnavailable('no driver; install one')"))
    code, text = doctor()
    assert code == 0
    assert "foo is unavailable: no driver; install one" in text
    assert "\nfoo:" not in text


def test_broken_is_a_failure(site: Site, doctor: Doctor) -> None:
    site.install("grilly-foo", "import no_such_driver")
    code, text = doctor()
    assert code == 1
    assert (
        "foo is broken: backend 'foo' cannot be loaded (entry point foo = grilly_foo of grilly-foo 1.2)"
        in text
    )
    assert "numpy: passed" in text


def test_kernel_packs_are_listed(site: Site, doctor: Doctor) -> None:
    pack = "from grilly_core.extend import hookimpl\n@hookimpl\ndef grilly_kernel(op, backend): pass\n"
    for name in ("numpy.fast", "fast"):
        module = f"pack_{len(name)}"
        site.install(f"grilly-{module}", pack, group="grilly.kernels", name=name, module=module)
    code, text = doctor()
    assert code == 0
    assert "numpy.fast   grilly-pack_10 1.2\n" in text
    assert "fast         grilly-pack_4 1.2   not used: its entry point must be named backend.pack" in text


def use(kernels: dict[Any, Callable[..., Any]], dtypes: frozenset[str] = NumpyBackend.dtypes) -> None:
    """Register the NumPy backend with some kernels exchanged, as backend wrong."""

    class Wrong(NumpyBackend):
        name = "wrong"

        def __init__(self) -> None:
            self.device = "wrong"

    Wrong.dtypes = dtypes
    Wrong.kernels = KernelTable("wrong")
    for op in NumpyBackend.kernels:
        own = NumpyBackend.kernels.get(op)
        assert own is not None
        Wrong.kernels.register(op, dtypes=own.dtypes, when=own.when)(kernels.get(op, own.function))

    class Plugin:
        @hookimpl
        def grilly_backend(self) -> Any:
            return BackendInfo("wrong", API_VERSION, lambda device, automatic: Wrong())

    backends.register(Plugin(), "wrong")


def fires_late(device: Any, x: Any, v: Any, /, **attrs: Any) -> Any:
    return own_lif(
        device, x, v, **{**attrs, "v_threshold": np.nextafter(np.float32(attrs["v_threshold"]), 9)}
    )


def half(device: Any, x: Any, y: Any, /) -> Any:
    return np.matmul(x, y) * 0.75


def raises(device: Any, x: Any, y: Any, /) -> Any:
    raise OSError("the device\nis gone")


_own = NumpyBackend.kernels.get(ops.lif_multi_step)
assert _own is not None
own_lif = _own.function


def _like(op: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with the signature that a kernel of ``op`` must have."""
    given = ", ".join(["device", *op.inputs, "/", "*", *op.attributes])
    passed = ", ".join(["device", *op.inputs, *(f"{name}={name}" for name in op.attributes)])
    scope: dict[str, Any] = {"function": function}
    exec(f"def kernel({given}): return function({passed})", scope)
    kernel: Callable[..., Any] = scope["kernel"]
    return kernel


def test_a_neuron_that_fires_above_the_threshold_only(doctor: Doctor) -> None:
    use({ops.lif_multi_step: _like(ops.lif_multi_step, fires_late)})
    code, text = doctor()
    assert code == 1
    assert "numpy: passed in float32 and float64" in text
    failed = text.splitlines()[-1]
    assert (
        failed.startswith("wrong: FAILED, float32: ")
        and "spikes 1 differ" in failed
        and "float64: " in failed
    )


def test_a_wrong_product_and_a_lost_device(doctor: Doctor) -> None:
    use({ops.matmul: half}, frozenset(("float32", "int32", "uint32", "bool")))
    code, text = doctor()
    assert code == 1
    assert "gradient of w" in text.splitlines()[-1] and "float64" not in text.splitlines()[-1]
    backends.unregister("wrong")
    use({ops.matmul: raises}, frozenset(("float32", "int32", "uint32", "bool")))
    code, text = doctor()
    assert code == 1
    assert text.splitlines()[-1] == "wrong: FAILED, float32: OSError: the device is gone"


def test_the_network_is_neither_silent_nor_always_on() -> None:
    values = _selftest.reference()
    for name in ("spikes 1", "spikes 2"):
        assert 0.1 < values[name].mean() < 0.7
        assert set(np.unique(values[name])) == {0.0, 1.0}
    assert all(np.abs(values[f"gradient of {name}"]).max() > 0.1 for name in ("w1", "b1", "w2", "b2"))


def test_some_potentials_meet_the_threshold_exactly() -> None:
    data = _selftest._data()
    _, h = _selftest._lif(data["x"] @ data["w1"].T + data["b1"])
    assert (h == 1).any(), "else > for >= would go unnoticed"


def test_what_is_missing_or_of_another_shape_is_said() -> None:
    right = _selftest.reference()
    wrong = {**right, "spikes 2": right["spikes 2"][:1]}
    del wrong["gradient of b1"]
    assert _selftest._difference(right, right) == ""
    said = "spikes 2: shape (1, 16, 10), not (8, 16, 10), there is no gradient of b1"
    assert _selftest._difference(wrong, right) == said


def test_the_reference_is_right() -> None:
    """Against the same network on the tape, one step at a time."""
    data = {name: grilly.tensor(array, requires_grad=True) for name, array in _selftest._data().items()}
    f = grilly.functional
    v1, v2 = grilly.zeros((16, 24), dtype="float64"), grilly.zeros((16, 10), dtype="float64")
    total = grilly.zeros((), dtype="float64")
    for t in range(8):
        s, v1 = f.lif_step(f.linear(data["x"][t], data["w1"], data["b1"]), v1)
        s, v2 = f.lif_step(f.linear(s, data["w2"], data["b2"]), v2)
        total = total + (s * data["loss"][t]).sum()
    total.backward()
    for name in ("w1", "b1", "w2", "b2"):
        grad = data[name].grad
        assert grad is not None
        np.testing.assert_allclose(
            grad.numpy(), _selftest.reference()[f"gradient of {name}"], rtol=1e-12, atol=1e-12
        )


def test_from_a_shell_with_a_misspelt_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRILY_BACKEND", "numpy")
    done = subprocess.run(
        [sys.executable, "-m", "grilly", "doctor"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (
        "problem: environment variable GRILY_BACKEND is not known; did you mean GRILLY_BACKEND?"
        in done.stdout
    )
    assert "numpy: passed in float32 and float64" in done.stdout
    assert "Traceback" not in done.stderr
