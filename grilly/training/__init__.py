"""Training from a description: options, networks, the loop, checkpoints, metrics and pictures.

Example:
    >>> from grilly.training import TrainOptions, train
    >>> metrics = train(TrainOptions(epochs=12), "runs/digits")  # doctest: +SKIP
"""

from grilly.training.checkpoint import load_checkpoint, load_model, save_checkpoint, save_model
from grilly.training.converted import accuracy_over_time, convert_classifier
from grilly.training.encoders import encode
from grilly.training.evaluation import evaluate, predict
from grilly.training.interrupt import TrainingInterrupted
from grilly.training.network import Classifier, NetworkDescription, build, describe
from grilly.training.options import TrainOptions
from grilly.training.run import resume, train

__all__ = [
    "Classifier", "NetworkDescription", "TrainOptions", "TrainingInterrupted", "accuracy_over_time", "build",
    "convert_classifier", "describe", "encode", "evaluate", "load_checkpoint", "load_model", "predict", "resume",
    "save_checkpoint", "save_model", "train",
]  # fmt: skip
