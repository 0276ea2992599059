"""Layers, neurons, containers and surrogates."""

from grilly.convert.converter import Converter
from grilly.convert.voltage import VoltageScaler
from grilly.nn import init
from grilly.nn.attention import (
    ChannelQKAttention,
    QKAttention,
    SpikingSelfAttention,
    TemporalWiseAttention,
    TokenQKAttention,
)
from grilly.nn.container import ModuleList, MultiStepContainer, SeqToANNContainer, Sequential
from grilly.nn.conv import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    MaxPool1d,
    MaxPool2d,
)
from grilly.nn.encode import DeltaEncoder, LatencyEncoder, PoissonEncoder
from grilly.nn.legacy import LIFNeuron, SNNLayer
from grilly.nn.linear import Dropout, Flatten, Identity, LeakyReLU, Linear, ReLU, Softmax, Tanh
from grilly.nn.loss import (
    CrossEntropyLoss,
    FirstSpikeLoss,
    MembraneMSELoss,
    MSELoss,
    RateCrossEntropyLoss,
    RateMSELoss,
    TETLoss,
)
from grilly.nn.module import HookHandle, Module
from grilly.nn.neunorm import NeuNorm
from grilly.nn.neurons import BaseNode, IFNode, LIFNode, ParametricLIFNode
from grilly.nn.norm import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from grilly.nn.norm_time import (
    BatchNormThroughTime1d,
    BatchNormThroughTime2d,
    TemporalEffectiveBatchNorm1d,
    TemporalEffectiveBatchNorm2d,
    ThresholdDependentBatchNorm1d,
    ThresholdDependentBatchNorm2d,
)
from grilly.nn.parameter import Parameter
from grilly.nn.plasticity import HebbianLayer, STDPLayer
from grilly.nn.stdp_learner import STDPLearner
from grilly.nn.synapse import DualTimescaleSynapse, STPSynapse, SynapseFilter
from grilly_core.surrogate import (
    ATan,
    Erf,
    FastSigmoid,
    PiecewiseExp,
    PiecewiseQuadratic,
    Rect,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
)

__all__ = [
    "ATan", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BaseNode", "BatchNorm1d",
    "BatchNorm2d", "BatchNormThroughTime1d", "BatchNormThroughTime2d", "ChannelQKAttention", "Conv1d", "Conv2d",
    "Converter", "CrossEntropyLoss", "DeltaEncoder", "Dropout", "DualTimescaleSynapse", "Erf", "FastSigmoid",
    "FirstSpikeLoss", "Flatten", "HebbianLayer", "HookHandle", "IFNode", "Identity", "LIFNeuron", "LIFNode",
    "LatencyEncoder", "LayerNorm", "LeakyReLU", "Linear", "MSELoss", "MaxPool1d", "MaxPool2d", "MembraneMSELoss",
    "Module", "ModuleList", "MultiStepContainer", "NeuNorm", "Parameter", "ParametricLIFNode", "PiecewiseExp",
    "PiecewiseQuadratic", "PoissonEncoder", "QKAttention", "RMSNorm", "RateCrossEntropyLoss", "RateMSELoss", "ReLU",
    "Rect", "SNNLayer", "STDPLayer", "STDPLearner", "STPSynapse", "SeqToANNContainer", "Sequential", "Sigmoid",
    "Softmax", "SpikingSelfAttention", "StraightThrough", "SuperSpike", "Surrogate", "SynapseFilter", "TETLoss", "Tanh",
    "TemporalEffectiveBatchNorm1d", "TemporalEffectiveBatchNorm2d", "TemporalWiseAttention",
    "ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d", "TokenQKAttention", "VoltageScaler", "init",
]  # fmt: skip
