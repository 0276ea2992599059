"""All kernels, one module per family of ops; ``kernels`` is the backend's table."""

from __future__ import annotations

from grilly_core.extend import FLOATS, KernelTable, registry
from grilly_cupy.guard import guarded
from grilly_cupy.kernels import (
    attention,
    conv,
    elementwise,
    indexing,
    neuron,
    neuron_more,
    neuron_vjp,
    norm,
    optim,
    plasticity,
    pool,
    softmax,
    synapse,
)

__all__ = ["kernels"]

kernels = KernelTable("grilly_cupy")

for _table in (elementwise.KERNELS, indexing.KERNELS):
    for _name, (_function, _dtypes) in _table.items():
        kernels.register(registry()[_name], dtypes=_dtypes)(guarded(_function))
for _module in (
    attention,
    conv,
    neuron,
    neuron_more,
    neuron_vjp,
    norm,
    optim,
    plasticity,
    pool,
    softmax,
    synapse,
):
    for _name, _function in _module.KERNELS.items():
        kernels.register(registry()[_name], dtypes=(*FLOATS, "int32"), when=_module.DECLINES.get(_name))(
            guarded(_function)
        )
