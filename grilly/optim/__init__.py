"""Optimisers, schedules and gradient clipping."""

from grilly.optim.optimizer import SGD, Adam, AdamW, Optimizer
from grilly.optim.schedule import CosineAnnealingLR, Schedule, StepLR, clip_grad_norm_, clip_grad_value_

__all__ = [
    "SGD", "Adam", "AdamW", "CosineAnnealingLR", "Optimizer", "Schedule", "StepLR", "clip_grad_norm_", "clip_grad_value_",
]  # fmt: skip
