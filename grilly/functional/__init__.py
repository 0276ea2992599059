"""Functions: neuron steps, time, losses and elementwise functions. Arrays and Tensors alike are accepted.

A raw NumPy array keeps its dtype here (float64 stays float64); modules convert to their own.
"""

from grilly.functional.encode import delta_encode, latency_encode, poisson_encode
from grilly.functional.layers import (
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    conv1d,
    conv2d,
    dropout,
    exp,
    layer_norm,
    linear,
    log,
    log_softmax,
    max_pool2d,
    relu,
    rms_norm,
    sigmoid,
    softmax,
    sqrt,
    tanh,
    where,
)
from grilly.functional.losses import (
    cross_entropy,
    first_spike_loss,
    first_spike_time,
    membrane_mse_loss,
    mse_loss,
    one_hot,
    rate_cross_entropy,
    rate_mse_loss,
    tet_loss,
)
from grilly.functional.neurons import (
    if_multi_step,
    if_step,
    lif_multi_step,
    lif_step,
    plif_multi_step,
    plif_step,
    spike,
)
from grilly.functional.norm_time import bn_through_time, neunorm_multi_step, neunorm_step
from grilly.functional.plasticity import hebbian_update, stdp_update
from grilly.functional.synapse import dual_timescale, stp_synapse, synapse_filter
from grilly.functional.time import (
    detach_net,
    multi_step_forward,
    reset_net,
    seq_to_ann_forward,
    set_step_mode,
)

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "bn_through_time", "conv1d", "conv2d", "cross_entropy",
    "delta_encode", "detach_net", "dropout", "dual_timescale", "exp", "first_spike_loss", "first_spike_time",
    "hebbian_update", "if_multi_step", "if_step", "latency_encode", "layer_norm", "lif_multi_step", "lif_step",
    "linear", "log", "log_softmax", "max_pool2d", "membrane_mse_loss", "mse_loss", "multi_step_forward",
    "neunorm_multi_step", "neunorm_step", "one_hot", "plif_multi_step", "plif_step", "poisson_encode",
    "rate_cross_entropy", "rate_mse_loss", "relu", "reset_net", "rms_norm", "seq_to_ann_forward", "set_step_mode",
    "sigmoid", "softmax", "spike", "sqrt", "stdp_update", "stp_synapse", "synapse_filter", "tanh", "tet_loss", "where",
]  # fmt: skip
