"""A strategy of valid calls for every op, one module per module of ops; importing this registers them all."""

from grilly_core.testing.cases import (
    compare,
    conv,
    elementwise,
    indexing,
    legacy,
    linalg,
    loss,
    neuron,
    neuron_more,
    neuron_vjp,
    norm,
    norm_time,
    optim,
    plasticity,
    pool,
    random,
    reduce,
    shape,
    synapse,
)

__all__ = [
    "compare", "conv", "elementwise", "indexing", "legacy", "linalg", "loss", "neuron", "neuron_more", "neuron_vjp", "norm",
    "norm_time", "optim", "plasticity", "pool", "random", "reduce", "shape", "synapse",
]  # fmt: skip
