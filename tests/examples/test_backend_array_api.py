"""The example of a third-party backend: the published suite, and what its users meet when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fake_plugins import Site, fresh_state

import grilly
from grilly import nn
from grilly_core import plugins
from grilly_core.errors import BackendUnavailable, ConfigError
from grilly_core.op import registry

FOLDER = Path(__file__).parents[2] / "examples" / "backend-array-api"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
POINTS = PROJECT["entry-points"]["grilly.backends"]
LINES = 250


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{' and '.join(missing)} not installed (extra 'examples')"
    )


TORCH = pytest.param("torch", marks=needs("torch", "array_api_compat"))
STRICT = pytest.param("strict", marks=needs("array_api_strict"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The example as it is when installed: its folder on the path, and metadata with its entry points."""
    made = Site(tmp_path / "site")
    lines = "".join(f"{name} = {target}\n" for name, target in POINTS.items())
    made.install(
        PROJECT["name"],
        None,
        version=PROJECT["version"],
        module="grilly_array_api",
        entry_points=f"[grilly.backends]\n{lines}",
    )
    made.modules.append("grilly_array_api.backend")
    for folder in (made.folder, FOLDER):
        monkeypatch.syspath_prepend(str(folder))
    with fresh_state(monkeypatch):
        yield made
    made.forget_modules()


def run(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRILLY_"))
    }
    environment |= {
        "PYTHONPATH": f"{site.folder}{os.pathsep}{FOLDER}",
        "PYTEST_ADDOPTS": "--hypothesis-seed=0 -W error --tb=short",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=site.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1500,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [TORCH, STRICT])
def test_conforms(site: Site, name: str) -> None:
    done = run(site, "-m", "grilly", "conformance", name, "--profile", "dev")
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    assert f"grilly conformance of {name}" in done.stdout
    primitives = sum(op.is_primitive for op in registry().values())
    assert f"{primitives} native" in done.stdout and "0 unsupported" in done.stdout


def test_size() -> None:
    files = sorted(FOLDER.rglob("*.py"))
    assert [file.name for file in files] == ["__init__.py", "backend.py"]
    assert sum(len(file.read_text().splitlines()) for file in files) <= LINES


def test_nothing_is_imported_before_it_is_opened(site: Site) -> None:
    assert {"numpy", *POINTS} <= set(plugins.available())
    assert site.imported() == []
    plugins.load("torch")
    assert site.imported() == ["grilly_array_api"]


def test_without_its_library(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "array_api_strict", None)
    with pytest.raises(BackendUnavailable, match=r'pip install "grilly-array-api\[strict\]"'):
        plugins.open_backend("strict")
    assert grilly.tensor([1.0], backend="numpy").item() == 1


@needs("array_api_strict")
def test_a_device_by_name(site: Site) -> None:
    backend = plugins.open_backend("strict")
    assert plugins.open_backend("strict", "CPU_DEVICE") is backend
    assert plugins.open_backend("strict", "device1") is not backend
    single = plugins.open_backend("strict", "no_float64")
    assert "float64" not in single.dtypes | single.features
    with pytest.raises(BackendUnavailable, match="no int64"):
        plugins.open_backend("strict", "no_x64")
    with pytest.raises(ConfigError, match=r"has the devices CPU_DEVICE, device1.*not 'gpu'"):
        plugins.open_backend("strict", "gpu")


@needs("torch", "array_api_compat")
def test_pytorchs_devices(site: Site) -> None:
    program = "import grilly; grilly.use_backend('torch:meta')"
    done = run(site, "-c", program)
    assert "ConfigError: backend torch has the devices cpu" in done.stderr and "not 'meta'" in done.stderr
    assert run(site, "-c", program.replace("meta", "cpu")).returncode == 0


@needs("array_api_strict")
def test_unsigned_numbers_wrap(site: Site) -> None:
    x = grilly.tensor(np.array([0, 2**32 - 1, 65537], np.uint32), backend="strict")
    assert (x + x).tolist() == [0, 2**32 - 2, 131074]
    assert (x * x).tolist() == [0, 1, (65537 * 65537) % 2**32]
    assert (-x).tolist() == [0, 1, 2**32 - 65537]
    assert (x - 1).tolist() == [2**32 - 1, 2**32 - 2, 65536]


@needs("array_api_strict")
def test_a_network_spikes_as_on_numpy(site: Site) -> None:
    def train(backend: str) -> tuple[np.ndarray, np.ndarray]:
        with grilly.backend(backend):
            grilly.seed(3)
            net = nn.Sequential(nn.Linear(6, 5), nn.LIFNode(step_mode="m"))
            images = grilly.tensor(np.arange(48, dtype=np.float32).reshape(4, 2, 6) % 7)
            spikes = net(images)
            spikes.sum().backward()
            return spikes.numpy(), net[0].weight.grad.numpy()

    (spikes, grad), (right, right_grad) = train("strict"), train("numpy")
    assert 0 < right.mean() < 1
    np.testing.assert_array_equal(spikes, right)
    np.testing.assert_allclose(grad, right_grad, rtol=1e-4, atol=1e-6)


TRAINING = """
import numpy as np
import grilly, grilly.functional as F
from grilly import nn, optim

rng = np.random.default_rng(0)
images = rng.random((5, 16, 8)).astype("float32") * 4
labels = (images[..., 0].mean(0) > 2).astype("int32")

def losses(backend):
    with grilly.backend(backend):
        grilly.seed(0)
        net = nn.Sequential(nn.Linear(8, 16), nn.LIFNode(step_mode="m"), nn.Linear(16, 2))
        adam = optim.Adam(net.parameters(), lr=0.05)
        for _ in range(10):
            loss = F.cross_entropy(net(grilly.tensor(images)).mean(axis=0), labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
            F.reset_net(net)
            yield loss.item()
    print(type(net[0].weight._data).__module__)

torch, numpy = list(losses("torch")), list(losses("numpy"))
np.testing.assert_allclose(torch, numpy, rtol=1e-3)
assert numpy[-1] < 0.7 * numpy[0], numpy
"""


@needs("torch", "array_api_compat")
def test_training_goes_as_on_numpy(site: Site) -> None:
    done = run(site, "-c", TRAINING)
    assert (done.returncode, done.stdout.split()) == (0, ["torch", "numpy"]), done.stderr
