"""grilly: spiking neural networks on any GPU through Vulkan, on NVIDIA through CuPy, on any CPU through NumPy.

Example:
    >>> import grilly
    >>> from grilly import nn
    >>> net = nn.Sequential(nn.Linear(64, 10), nn.LIFNode(tau=2.0))
    >>> spikes = nn.MultiStepContainer(net)(grilly.rand((8, 32, 64)))
    >>> spikes.shape
    (8, 32, 10)
"""

import grilly_core
from grilly import backends, errors, functional, nn, optim
from grilly.backends import profile
from grilly.random import rand, randn, seed
from grilly.saving import load, save
from grilly_core.autograd import enable_grad, no_grad
from grilly_core.selection import require_native, use_backend
from grilly_core.selection import using as backend
from grilly_core.spec import numpy_dtype as _numpy_dtype
from grilly_core.tensor import Tensor, ones, tensor, zeros

float32, float64, int32, uint32 = (_numpy_dtype(name) for name in ("float32", "float64", "int32", "uint32"))

__version__ = grilly_core.__version__

__all__ = [
    "Tensor", "__version__", "backend", "backends", "enable_grad", "errors", "float32", "float64", "functional", "int32",
    "load", "nn", "no_grad", "ones", "optim", "profile", "rand", "randn", "require_native", "save", "seed", "tensor",
    "uint32", "use_backend", "zeros",
]  # fmt: skip
