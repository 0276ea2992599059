"""A strategy of valid calls for every op, one module per module of ops; importing this registers them all."""

from grilly_core.testing.cases import (
    attention,
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
    "attention", "compare", "conv", "elementwise", "indexing", "legacy", "linalg", "loss", "neuron", "neuron_more",
    "neuron_vjp", "norm", "norm_time", "optim", "plasticity", "pool", "random", "reduce", "shape", "synapse",
]  # fmt: skip
