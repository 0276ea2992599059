"""The direct door to the shaders: NumPy arrays in, one kernel on a Vulkan device, NumPy arrays out."""

from __future__ import annotations

from grilly.vulkan_compute.layers import Layers
from grilly.vulkan_compute.learning import Learning
from grilly.vulkan_compute.neurons import Neurons
from grilly_core import selection

__all__ = ["Shaders", "VulkanCompute"]


class Shaders(Neurons, Learning, Layers):
    """The shaders ``snn-*``, one method each; ``dir()`` lists them, each docstring gives arguments and shapes."""


class VulkanCompute:
    """A Vulkan device whose shaders are called one by one, without tensors, modules or gradients.

    Ordinary code does not need it: layers and functions run the same kernels through ``grilly.use_backend("vulkan")`` and
    keep their arrays on the device. Here every call uploads its arguments, as float32, and downloads its results. A device
    that is a CPU (lavapipe) is opened if that is all there is.

    Args:
        device: which one, as after the colon of ``GRILLY_BACKEND=vulkan:1``; None: the best there is.

    Attributes:
        snn: the shaders, e.g. ``snn.lif_neuron(x)``.

    Raises:
        BackendUnavailable: no Vulkan driver or device here; says what to install.
        ConfigError: no such device, or the backend is blocked.

    Example:
        >>> from grilly import VulkanCompute
        >>> VulkanCompute().snn.matmul([[1.0, 2.0]], [[3.0], [4.0]])  # doctest: +SKIP
        array([[11.]], dtype=float32)
    """

    def __init__(self, device: str | None = None) -> None:
        self._backend = selection.resolve("vulkan" if device is None else f"vulkan:{device}")
        self.snn = Shaders(self._backend)

    @property
    def device(self) -> str:
        """The device in words."""
        return self._backend.device

    def __repr__(self) -> str:
        return f"<VulkanCompute: {self.device}>"
