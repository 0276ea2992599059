"""All kernels, one module per family of ops; ``kernels`` is the backend's table."""

from grilly_core.extend import FLOATS, KernelTable, registry
from grilly_numpy.kernels import (
    attention,
    conv,
    elementwise,
    neuron,
    neuron_more,
    neuron_more_vjp,
    neuron_vjp,
    norm,
    norm_time,
    optim,
    plasticity,
    pool,
    random,
    shape,
    softmax,
    synapse,
)

__all__ = ["kernels"]

kernels = KernelTable("grilly_numpy")

for _module in (elementwise, shape, random):
    for _name, (_function, _dtypes) in _module.KERNELS.items():
        kernels.register(registry()[_name], dtypes=_dtypes)(_function)
for _module in (
    attention, conv, neuron, neuron_more, neuron_more_vjp, neuron_vjp, norm, norm_time, optim, plasticity, pool, softmax,
    synapse,
):  # fmt: skip
    for _name, _function in _module.KERNELS.items():
        kernels.register(registry()[_name], dtypes=(*FLOATS, "int32"))(_function)
