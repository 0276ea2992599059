"""Which device is meant, and what a user hears where there is no loader, no driver, no device or only a CPU."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from grilly_core.errors import BackendUnavailable, ConfigError
from grilly_vulkan import capabilities as capabilities_module
from grilly_vulkan import instance
from grilly_vulkan.capabilities import Capabilities

NEEDED = frozenset({"bufferDeviceAddress", "timelineSemaphore"})
BIG = Capabilities("Big 9000", "discrete", memory=24 << 30, features=NEEDED, uuid=b"1", driver="Big 1.0")
SMALL = Capabilities("Small 7", "integrated", memory=4 << 30, features=NEEDED, uuid=b"2")
CPU = Capabilities("llvmpipe (LLVM)", "cpu", memory=64 << 30, features=NEEDED, uuid=b"3")
OLD = dataclasses.replace(BIG, name="Old 2000", features=frozenset({"timelineSemaphore"}), uuid=b"4")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``there(*devices)``: what the machine has, best first."""
    return lambda *devices: monkeypatch.setattr(instance, "devices", lambda: list(devices))


def test_the_best_is_chosen(there: Any) -> None:
    there(BIG, SMALL, CPU)
    assert instance.choose(None, False) is instance.choose(None, True) is BIG


@pytest.mark.parametrize(
    "wanted, chosen",
    [
        ("0", BIG),
        ("1", SMALL),
        ("cpu", CPU),
        ("integrated", SMALL),
        ("small", SMALL),
        ("big 9", BIG),
        ("LLVM", CPU),
    ],
)
def test_by_index_kind_or_name(there: Any, wanted: str, chosen: Capabilities) -> None:
    there(BIG, SMALL, CPU)
    assert instance.choose(wanted, False) is chosen


@pytest.mark.parametrize("wanted", ["3", "99", "nonsense", "-1", "big 9001", "virtual"])
def test_a_device_that_is_not_there(there: Any, wanted: str) -> None:
    there(BIG, SMALL, CPU)
    with pytest.raises(ConfigError) as caught:
        instance.choose(wanted, False)
    assert wanted in str(caught.value)
    assert "there are 0: Big 9000 (discrete), 1: Small 7 (integrated), 2: llvmpipe (LLVM) (cpu)" in str(
        caught.value
    )


def test_a_cpu_only_when_asked_for(there: Any) -> None:
    there(CPU)
    assert instance.choose(None, False) is instance.choose("cpu", False) is CPU
    with pytest.raises(
        BackendUnavailable, match=r"only Vulkan device is a CPU \(llvmpipe.*GRILLY_BACKEND=vulkan"
    ):
        instance.choose(None, True)


def test_a_device_that_lacks_something(there: Any) -> None:
    there(OLD, CPU)
    for wanted, automatic in ((None, False), (None, True), ("old", False)):
        with pytest.raises(BackendUnavailable) as caught:
            instance.choose(wanted, automatic)
        said = str(caught.value)
        assert "Vulkan device Old 2000 (driver Big 1.0) lacks bufferDeviceAddress, which grilly needs" in said
        assert "update its driver, or choose another" in said and "1: llvmpipe (LLVM) (cpu)" in said
    assert instance.choose("1", False) is CPU


def test_the_next_gpu_where_the_best_lacks_something(there: Any) -> None:
    there(OLD, SMALL, CPU)
    assert instance.choose(None, True) is SMALL


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"api": (1, 1)}, "Vulkan 1.2 (it has 1.1)"),
        ({"features": frozenset({"bufferDeviceAddress"})}, "timelineSemaphore"),
        ({"push_constants": 64}, "128 bytes of push constants"),
        ({"shared_memory": 16384}, "32 KiB of shared memory"),
        ({"invocations": 128}, "256 invocations"),
    ],
)
def test_everything_that_is_needed_is_asked_for(changes: dict[str, Any], said: str) -> None:
    assert BIG.missing() == []
    (missing,) = dataclasses.replace(BIG, **changes).missing()
    assert said in missing


@pytest.mark.parametrize(
    "code, said",
    [
        (-9, r"loader is installed but no driver that works is \(VK_ERROR_INCOMPATIBLE_DRIVER\); install"),
        (-3, r"VK_ERROR_INITIALIZATION_FAILED\); install"),
        (-6, r"vkCreateInstance: the Vulkan driver cannot be used \(VK_ERROR_LAYER_NOT_PRESENT\)"),
    ],
)
def test_no_instance(faulty: Any, monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    monkeypatch.setattr(instance, "_instance", None)
    faulty.results["vkCreateInstance"] = code
    with pytest.raises(BackendUnavailable, match=said):
        instance.choose(None, False)


def test_no_device(faulty: Any) -> None:
    faulty.results["vkEnumeratePhysicalDevices"] = 0  # and a count that stays zero
    with pytest.raises(
        BackendUnavailable, match=r"reports no device; check that the GPU is visible.*/dev/dri"
    ):
        instance.choose(None, True)


def test_real_devices(device: Any) -> None:
    found = instance.devices()
    assert device.uuid in {one.uuid for one in found}
    kinds = [instance._PREFERENCE.index(one.kind) for one in found]
    assert kinds == sorted(kinds)
    assert device.api >= (1, 2) and device.memory > 1 << 20 and device.allocation > 1 << 20
    assert device.subgroup & (device.subgroup - 1) == 0 and device.groups >= 65535
    assert device.features >= NEEDED and device.name and device.driver


def test_one_device_behind_two_drivers_is_listed_once(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(instance.devices())
    monkeypatch.setattr(instance, "read_capabilities", lambda handle: dataclasses.replace(BIG, handle=handle))
    assert len(instance.devices()) == 1
    nameless = dataclasses.replace(BIG, uuid=bytes(16))
    monkeypatch.setattr(instance, "read_capabilities", lambda handle: nameless)
    assert len(instance.devices()) == count, "devices without an identity are not the same one"


def test_a_queue_that_computes(device: Any, faulty: Any) -> None:
    from grilly_vulkan.device import Device

    faulty.results["vkGetPhysicalDeviceQueueFamilyProperties"] = 0
    with pytest.raises(BackendUnavailable, match="has no queue that computes"):
        Device(device)


# Machines that lack something, each in a process of its own

USE = """
    import grilly
    try:
        grilly.use_backend({name!r})
    except grilly.errors.GrillyError as error:
        print(type(error).__name__, error, sep=": ")
"""
NO_LOADER = """
    import sys, types
    def dlopen(name):
        raise OSError(f"{name}: cannot open shared object file")
    sys.modules["vulkan._vulkancache"] = types.SimpleNamespace(ffi=types.SimpleNamespace(dlopen=dlopen))
"""
NO_PACKAGE = """
    import sys
    sys.modules["vulkan"] = None
"""
NOWHERE = {"VK_DRIVER_FILES": "/nonexistent.json", "VK_ICD_FILENAMES": "/nonexistent.json"}
DOCTOR = """
    from grilly.cli import main
    print(main(["doctor"]))
"""
CASES = {
    "no loader": (
        NO_LOADER,
        {},
        "BackendUnavailable: no Vulkan loader was found on this machine (libvulkan.so.1",
    ),
    "no package": (NO_PACKAGE, {}, "BackendUnavailable: the Python package 'vulkan' cannot be imported"),
    "no driver": (
        "",
        NOWHERE,
        "BackendUnavailable: the Vulkan loader is installed but no driver that works is",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_machine_without(run: Any, device: Any, case: str) -> None:
    before, environment, said = CASES[case]
    done = run(before + USE.format(name="vulkan"), **environment)
    assert (done.code, done.err) == (0, "") and done.seconds < 5
    assert done.out.startswith(said)
    assert re.search(r"install|pip install vulkan", done.out)
    doctor = run(before + DOCTOR, **environment)
    message = done.out.strip().removeprefix("BackendUnavailable: ")
    assert f"vulkan is unavailable: {message}" in doctor.out
    assert doctor.out.splitlines()[-1] == "0" and "numpy: passed" in doctor.out


@pytest.mark.parametrize("case", CASES)
def test_numpy_is_chosen_there_with_one_warning(run: Any, device: Any, case: str) -> None:
    before, environment, said = CASES[case]
    code = "\n    import grilly\n    print(grilly.ones((2,)).backend, grilly.zeros((2,)).backend)\n"
    done = run(before + code, **environment)
    assert (done.code, done.out.strip()) == (0, "numpy numpy") and done.seconds < 5
    (warning,) = done.err.splitlines()
    assert said.removeprefix("BackendUnavailable: ") in warning and "using backend numpy" in warning


def test_a_machine_with_a_cpu_device_only(run: Any, device: Any) -> None:
    if not device.is_cpu:
        pytest.skip("this machine has a GPU")
    done = run("import grilly; print(grilly.ones((2,)).backend, grilly.ones((2,)).backend)")
    assert (done.code, done.out.strip()) == (0, "numpy numpy")
    (warning,) = done.err.splitlines()
    assert "the only Vulkan device is a CPU" in warning and "GRILLY_BACKEND=vulkan" in warning
    named = run("import grilly; print(grilly.ones((2,)).backend)", GRILLY_BACKEND="vulkan")
    assert (named.code, named.out.strip(), named.err) == (0, "vulkan", "")


@pytest.mark.parametrize("name", ["vulkan:99", "vulkan:nonsense"])
def test_a_device_that_is_not_there_from_outside(run: Any, device: Any, name: str) -> None:
    done = run(USE.format(name=name))
    assert done.out.startswith("ConfigError: ") and device.name in done.out and done.seconds < 5
    doctor = run("", "-m", "grilly", "doctor", GRILLY_BACKEND=name)
    assert done.out.strip().removeprefix("ConfigError: ") in doctor.out


def test_the_cpu_by_name(run: Any, device: Any) -> None:
    if not any(one.is_cpu for one in instance.devices()):
        pytest.skip("this machine has no software driver")
    done = run("import grilly; print(grilly.ones((2,)).sum().item())", GRILLY_BACKEND="vulkan:cpu")
    assert (done.code, done.out.strip(), done.err) == (0, "2.0", "")


def test_matrices_are_read_only_where_they_can_be(device: Any) -> None:
    assert bool(device.matrices) == ("cooperativeMatrix" in device.features)
    if "VK_KHR_cooperative_matrix" not in device.extensions:
        assert capabilities_module._matrices(device.handle) == frozenset()
