"""The validation layers see the suite run and have nothing to say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

# What runs under the layers: a violation on purpose first, or else silence would prove nothing.
FEW = """
from hypothesis import HealthCheck, Phase, settings
settings.register_profile(
    "few", max_examples=4, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
"""
VIOLATION = """
    import grilly
    from grilly_vulkan import _vk
    backend = grilly.use_backend("vulkan")
    info = _vk.new("VkBufferCreateInfo", "BUFFER_CREATE_INFO", size=0, usage=32)  # no buffer may have no bytes
    out = _vk.ffi.new("VkBuffer*")
    if _vk.lib.vkCreateBuffer(backend._device.handle, info, _vk.ffi.NULL, out) == 0:
        _vk.lib.vkDestroyBuffer(backend._device.handle, out[0], _vk.ffi.NULL)
    print("done")
"""


class Layers:
    """Runs Python under the validation layers and collects what they say."""

    def __init__(self, run: Any, folder: Path) -> None:
        self._run = run
        self._log = folder / "messages.txt"
        settings = folder / "vk_layer_settings.txt"
        settings.write_text(
            "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n"
            "khronos_validation.report_flags = error,warn,perf\n"
            f"khronos_validation.log_filename = {self._log}\n"
            "khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT\n"
        )
        (folder / "few_examples.py").write_text(FEW)
        self._environment = {
            "VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation",
            "VK_LAYER_SETTINGS_PATH": str(settings),
            "LP_NUM_THREADS": "0",
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        }

    def __call__(self, code: str, *args: str, **environment: str) -> tuple[Any, str]:
        """The finished process, and the messages."""
        self._log.unlink(missing_ok=True)
        done = self._run(code, *args, timeout=600, **self._environment, **environment)
        return done, self._log.read_text() if self._log.exists() else "the layer wrote no file"


@pytest.fixture
def layers(run: Any, device: Any, tmp_path: Path) -> Layers:
    made = Layers(run, tmp_path)
    done, said = made(VIOLATION)
    assert done.out == "done\n", done.err
    if said == "the layer wrote no file":
        reason = "VK_LAYER_KHRONOS_validation is not installed (Debian: vulkan-validationlayers)"
        if "vulkan" in os.environ.get("GRILLY_TEST_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    assert "VUID-VkBufferCreateInfo-size-00912" in said, said
    return made


def test_a_violation_is_the_only_message(layers: Layers) -> None:
    """Everything else in a program, from opening to exit, is in order: the fixture has seen the layer speak."""
    _, said = layers(VIOLATION)
    assert said.count("Validation") == said.count("VUID-VkBufferCreateInfo-size-00912(") == 1
    done, said = layers("import grilly; print(grilly.ones((3,), backend='vulkan').sum().item())")
    assert (done.code, done.out, said) == (0, "3.0\n", "")


@pytest.mark.slow
def test_the_runtime(layers: Layers) -> None:
    """Training, profiler, transfers, and every shader of the manifest made into a pipeline."""
    files = [
        str(HERE / f"test_{name}.py")
        for name in ("leaks", "pipelines", "profiler", "spirv", "stream", "transfer")
    ]
    done, said = layers(
        "", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), *files
    )
    assert done.code == 0, done.out[-3000:]
    assert said == ""


@pytest.mark.slow
def test_the_conformance_suite(layers: Layers) -> None:
    """Few examples of every op: the layers look at calls, not at numbers."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "few_examples", "--hypothesis-profile=few"]
    suite = ["-p", "grilly_core.testing.plugin", "--pyargs", "grilly_core.testing.conformance"]
    done, said = layers("", "-m", "pytest", *options, *suite, "--grilly-backend", "vulkan")
    # Wrong numbers are for other tests: here it must have run to its end.
    assert done.code in (0, 1) and int(re.findall(r"(\d+) passed", done.out)[-1]) > 200, done.out[-3000:]
    assert said == ""
