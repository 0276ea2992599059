"""The core of grilly: ops, tensors, gradients, plugins. Knows no backend."""

import grilly_core.tensor  # noqa: F401 - first: ops are declared on Tensor

__version__ = "0.1.0"
