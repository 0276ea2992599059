"""grilly: spiking neural networks on any GPU through Vulkan, on NVIDIA through CuPy, on any CPU through NumPy.

Example:
    >>> import grilly
    >>> from grilly import nn
    >>> net = nn.Sequential(nn.Linear(64, 10), nn.LIFNode(tau=2.0))
    >>> spikes = nn.MultiStepContainer(net)(grilly.rand((8, 32, 64)))
    >>> spikes.shape
    (8, 32, 10)
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import grilly_core
from grilly import backends, errors, functional, nn, optim
from grilly.backends import profile
from grilly.random import rand, randn, seed
from grilly.saving import load, save
from grilly.vulkan_compute import VulkanCompute
from grilly_core.autograd import enable_grad, no_grad
from grilly_core.selection import require_native, use_backend
from grilly_core.selection import using as backend
from grilly_core.sharing import from_dlpack
from grilly_core.spec import numpy_dtype as _numpy_dtype
from grilly_core.tensor import Tensor, ones, tensor, zeros

if _TYPE_CHECKING:
    from grilly import monitor, viz

float32, float64, int32, uint32 = (_numpy_dtype(name) for name in ("float32", "float64", "int32", "uint32"))

__version__ = grilly_core.__version__

__all__ = [
    "Tensor", "VulkanCompute", "__version__", "backend", "backends", "enable_grad", "errors", "float32", "float64",
    "from_dlpack", "functional", "int32", "load", "monitor", "nn", "no_grad", "ones", "optim", "profile", "rand", "randn",
    "require_native", "save", "seed", "tensor", "uint32", "use_backend", "viz", "zeros",
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name in ("monitor", "viz"):  # imported when somebody looks inside a network
        return _import_module(f"grilly.{name}")
    raise AttributeError(f"module 'grilly' has no attribute {name!r}")
