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
from grilly.nn.neuron_custom import StepNeuron, neuron
from grilly.nn.neuron_graded import ILIFNode, NonSpikingLIFNode, TernaryLIFNode
from grilly.nn.neuron_nonlinear import EIFNode, IzhikevichNode, QIFNode
from grilly.nn.neuron_psn import PSN, MaskedPSN, SlidingPSN
from grilly.nn.neuron_states import ALIFNode, CubaLIFNode, KLIFNode
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
from grilly.nn.recurrent import ElementWiseRecurrentContainer, LinearRecurrentContainer
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
    "PSN", "ALIFNode", "ATan", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BaseNode",
    "BatchNorm1d", "BatchNorm2d", "BatchNormThroughTime1d", "BatchNormThroughTime2d", "ChannelQKAttention",
    "Conv1d", "Conv2d", "Converter", "CrossEntropyLoss", "CubaLIFNode", "DeltaEncoder", "Dropout",
    "DualTimescaleSynapse", "EIFNode", "ElementWiseRecurrentContainer", "Erf", "FastSigmoid", "FirstSpikeLoss",
    "Flatten", "HebbianLayer", "HookHandle", "IFNode", "ILIFNode", "Identity", "IzhikevichNode", "KLIFNode",
    "LIFNeuron", "LIFNode", "LatencyEncoder", "LayerNorm", "LeakyReLU", "Linear", "LinearRecurrentContainer",
    "MSELoss", "MaskedPSN", "MaxPool1d", "MaxPool2d", "MembraneMSELoss", "Module", "ModuleList",
    "MultiStepContainer", "NeuNorm", "NonSpikingLIFNode", "Parameter", "ParametricLIFNode", "PiecewiseExp",
    "PiecewiseQuadratic", "PoissonEncoder", "QIFNode", "QKAttention", "RMSNorm", "RateCrossEntropyLoss",
    "RateMSELoss", "ReLU", "Rect", "SNNLayer", "STDPLayer", "STDPLearner", "STPSynapse", "SeqToANNContainer",
    "Sequential", "Sigmoid", "SlidingPSN", "Softmax", "SpikingSelfAttention", "StepNeuron", "StraightThrough",
    "SuperSpike", "Surrogate", "SynapseFilter", "TETLoss", "Tanh", "TemporalEffectiveBatchNorm1d",
    "TemporalEffectiveBatchNorm2d", "TemporalWiseAttention", "TernaryLIFNode", "ThresholdDependentBatchNorm1d",
    "ThresholdDependentBatchNorm2d", "TokenQKAttention", "VoltageScaler", "init", "neuron",
]  # fmt: skip
