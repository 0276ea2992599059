# ruff: isort: skip_file
# fmt: off
"""All ops. Each is declared once, with its rules, in the module of its family, which build on each other in this order."""

from grilly_core.ops.elementwise import (
    abs, add, atan, cast, clip, div, erf, exp, floor, log, maximum, minimum, mul, neg, power, relu, round, sigmoid, sqrt,
    square, sub, tanh,
)  # fmt: skip
from grilly_core.ops.compare import (
    equal, greater, greater_equal, less, less_equal, logical_and, logical_not, logical_or, not_equal, where,
)  # fmt: skip
from grilly_core.ops.reduce import argmax, max, mean, sum, var
from grilly_core.ops.shape import broadcast_to, concat, fill_extent, pad, reshape, stack, strided_slice, transpose
from grilly_core.ops.indexing import gather, getitem, scatter_add
from grilly_core.ops.linalg import dot, linear, matmul
from grilly_core.ops.attention import row_dots, row_scale_vjp, row_sum_max, temporal_attention
from grilly_core.ops.conv import conv1d, conv2d, conv2d_input_vjp, conv2d_weight_vjp
from grilly_core.ops.pool import adaptive_avg_pool2d, avg_pool2d, avg_pool2d_vjp, max_pool2d, max_pool2d_vjp
from grilly_core.ops.norm import batch_norm, batch_norm_infer, batch_norm_vjp, layer_norm, moving_average, rms_norm
from grilly_core.ops.norm_time import bn_through_time, bn_through_time_vjp, neunorm_multi_step, neunorm_multi_step_vjp
from grilly_core.ops.loss import cross_entropy, log_softmax, log_softmax_vjp, mse_loss, one_hot, softmax, softmax_vjp
from grilly_core.ops.random import random_bits, uniform_from_bits
from grilly_core.ops.neuron import if_multi_step, if_step, lif_multi_step, lif_step, plif_multi_step, plif_step, spike
from grilly_core.ops.neuron_vjp import if_multi_step_vjp, lif_multi_step_vjp, plif_multi_step_vjp
from grilly_core.ops.neuron_rules import (
    if_multi_step_recompute_vjp, lif_multi_step_recompute_vjp, plif_multi_step_recompute_vjp,
)  # fmt: skip
from grilly_core.ops.synapse import dual_timescale, stp_synapse, synapse_filter
from grilly_core.ops.synapse_vjp import dual_timescale_vjp, stp_synapse_vjp, synapse_filter_vjp
from grilly_core.ops.neuron_more import alif_multi_step, cuba_lif_multi_step, klif_multi_step
from grilly_core.ops.neuron_more_vjp import alif_multi_step_vjp, cuba_lif_multi_step_vjp, klif_multi_step_vjp
from grilly_core.ops.neuron_kinds import (
    eif_multi_step, ilif_multi_step, izhikevich_multi_step, qif_multi_step, ternary_lif_multi_step,
)  # fmt: skip
from grilly_core.ops.optim import adam_update, sgd_update
from grilly_core.ops.plasticity import hebbian_update, stdp_trace, stdp_update
from grilly_core.ops.legacy import continuous_to_spike, gif_neuron, lif_neuron, readout, surrogate_gradient
