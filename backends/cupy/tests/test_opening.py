"""What a user meets who has no CuPy, one for another CUDA, no device, or a device that fails."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grilly_core import plugins, selection
from grilly_core.errors import BackendUnavailable, ConfigError, DeviceLostError, OutOfMemoryError
from grilly_core.tensor import tensor
from grilly_cupy import guard, lazy
from grilly_cupy.opening import open_backend


def _module(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module ``cupy`` of that text in place of any other."""
    folder.joinpath("cupy.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(lazy.cp, "__dict__", {})


@pytest.mark.parametrize(
    "text, optional, said",
    [
        ("raise ModuleNotFoundError(\"No module named 'cupy'\", name='cupy')", True, "CuPy is not installed"),
        ("import a_module_that_is_not_there", False, "without a_module_that_is_not_there"),
        (
            "raise ImportError('====\\nlibcudart.so.12: cannot open\\n====')",
            False,
            r"another version of CUDA \(libcudart",
        ),
        ("__version__ = '13.6.0'", False, "CuPy 13.6.0 is older than 14"),
    ],
)
def test_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, optional: bool, said: str
) -> None:
    _module(tmp_path, text, monkeypatch)
    try:
        with pytest.raises(BackendUnavailable, match=said) as caught:
            open_backend(None)
    finally:
        sys.modules.pop("cupy", None)
    assert 'pip install "grilly[cupy]"' in str(caught.value)
    assert caught.value.optional == optional


@pytest.mark.parametrize(
    "error, said",
    [
        ("cudaErrorNoDevice: no CUDA-capable device is detected", "nvidia-smi"),
        ("cudaErrorInsufficientDriver: CUDA driver version is insufficient", "update the NVIDIA driver"),
    ],
)
def test_no_device(stand_in: Any, monkeypatch: pytest.MonkeyPatch, error: str, said: str) -> None:
    monkeypatch.setitem(stand_in.cuda.faults, "count", stand_in.cuda.CUDARuntimeError(error))
    with pytest.raises(BackendUnavailable, match=said) as caught:
        open_backend(None)
    assert error in str(caught.value)
    monkeypatch.setitem(stand_in.cuda.faults, "count", 0)
    with pytest.raises(BackendUnavailable, match="CUDA_VISIBLE_DEVICES"):
        open_backend(None)


def test_a_library_is_missing(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any) -> None:
        raise RuntimeError("CuPy failed to load libnvrtc.so.13")

    monkeypatch.setattr(stand_in, "full", missing, raising=False)
    with pytest.raises(BackendUnavailable, match=r"libnvrtc\.so\.13.*NVRTC, cuBLAS.*grilly\[cupy\]"):
        open_backend(None)


def test_device_by_number(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stand_in.cuda.faults, "count", 2)
    second = open_backend("1")
    assert (second.index, second.elsewhere) == (1, True)
    assert open_backend("1") is second and open_backend(None) is not second
    for wanted in ("2", "-1", "no such device"):
        with pytest.raises(ConfigError, match=r"no such device .* 0 to 1"):
            open_backend(wanted)
    seen = []
    guard.guarded(lambda device: seen.append(stand_in.cuda.runtime.getDevice()))(second)
    assert seen == [1] and stand_in.cuda.runtime.getDevice() == 0


def test_out_of_memory(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend(None)

    def full(*args: Any, **kwargs: Any) -> None:
        raise stand_in.cuda.OutOfMemoryError("Out of memory allocating 4,096 bytes")

    x = tensor([1.0], backend=backend)
    monkeypatch.setattr(lazy.cp, "add", full)
    with pytest.raises(OutOfMemoryError, match=r"4,096 bytes.*smaller batch"):
        x + x
    monkeypatch.setattr(lazy.cp, "add", lambda *arrays: (_ for _ in ()).throw(MemoryError("host")))
    with pytest.raises(MemoryError, match=r"^host$") as caught:
        x + x
    assert not isinstance(caught.value, OutOfMemoryError)


def test_a_kernel_that_does_not_compile(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = tensor([1.0], backend=open_backend(None))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise stand_in.cuda.CompileException(
            'norm.cu(3): warning: x\nnorm.cu(7): error: "alignas" is undefined\n'
        )

    monkeypatch.setattr(lazy.cp, "add", refuse)
    with pytest.raises(BackendUnavailable, match=r'stand-in.*norm.cu\(7\): error: "alignas".*show_config'):
        x + x


def test_device_lost(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend(None)
    error = stand_in.cuda.CUDARuntimeError("cudaErrorIllegalAddress")
    monkeypatch.setitem(stand_in.cuda.faults, "synchronize", error)
    with pytest.raises(DeviceLostError, match="cudaErrorIllegalAddress"):
        backend.synchronize()


def test_nothing_imports_cupy_before_it_is_opened() -> None:
    code = (
        "import sys, grilly, grilly_cupy, grilly_cupy.kernels, grilly_cupy.opening\n"
        "info = grilly_cupy.grilly_backend()\n"
        "assert info.name == 'cupy' and not any(m.split('.')[0] == 'cupy' for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_uploads_are_copies_and_constants_keep_their_sign(backend: Any) -> None:
    host = np.arange(12, dtype="float32").reshape(3, 4)[:, ::2]
    handle = backend.from_numpy(host)
    assert backend.to_numpy(handle).tolist() == host.tolist()
    assert np.signbit(backend.to_numpy(backend.full((2,), -0.0, "float32"))).all()
    assert backend.to_numpy(backend.full((), 1e300, "float32")) == np.inf


@pytest.mark.parametrize("optional", [True, False])
def test_automatic_choice_is_silent_about_an_extra_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, optional: bool
) -> None:
    opened = plugins.open_backend

    def open_one(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cupy":
            raise BackendUnavailable("it is not there", optional=optional)
        return opened(name, *args, **kwargs)

    monkeypatch.setattr(plugins, "open_backend", open_one)
    monkeypatch.setattr(plugins, "available", lambda: ["cupy", "numpy"])
    said: list[tuple[int, str]] = []
    monkeypatch.setattr(selection._log, "log", lambda level, text, *a: said.append((level, text % a)))
    assert selection._choose().name == "numpy"
    ((level, text),) = said
    assert level == (logging.DEBUG if optional else logging.WARNING) and "it is not there" in text
