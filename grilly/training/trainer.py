"""The training loop, which can stop after any batch and go on as if it had not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from grilly import functional as F
from grilly import optim, random
from grilly.data import DataLoader, Dataset
from grilly.training.checkpoint import Checkpoint
from grilly.training.evaluation import evaluate
from grilly.training.monitor import Figures, FiringMonitor, Totals
from grilly.training.network import Classifier
from grilly.training.options import TrainOptions
from grilly.training.progress import Progress
from grilly_core.errors import CheckpointError, DivergenceError
from grilly_core.tensor import tensor

__all__ = ["Trainer"]


class Trainer:
    """Trains a classifier with Adam, the learning rate falling along half a cosine.

    Args:
        options: what to do.
        network: what to train; on the active backend.
        data: training and test samples.
        quiet: show no progress.

    Attributes:
        epoch: epochs done.
        batch: batches done of the next one.
        history: figures of the epochs done.
        seconds: spent on training batches.
        samples: trained on in that time.
        whole: no batch or epoch is half done, so ``capture`` gives a state to go on from.
    """

    def __init__(self, options: TrainOptions, network: Classifier, data: Dataset, quiet: bool = True) -> None:
        self.options, self.network, self.data = options, network, data
        count, size = len(data.x_train), options.batch_size
        # Batch norm cannot take the mean of one sample, so a last batch of one waits for another epoch.
        self.loader = DataLoader(
            data, size, seed=options.seed, drop_last=size > 1 and count > size and count % size == 1
        )
        self.optimizer = optim.Adam(network.parameters(), lr=options.lr)
        self.schedule = optim.CosineAnnealingLR(self.optimizer, T_max=options.epochs)
        self.monitor = FiringMonitor(network)
        self.totals = Totals(self.monitor.layers)
        self.progress = Progress(
            options.epochs, len(self.loader), quiet, rates="firing" if network.spiking else "active"
        )
        self.epoch = self.batch = self.samples = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.whole = True
        self._started: float | None = None

    @property
    def samples_per_second(self) -> float:
        """Speed of training so far."""
        seconds = self.seconds + (0.0 if self._started is None else time.perf_counter() - self._started)
        return self.samples / seconds if seconds > 0 else 0.0

    def run(self, check: Callable[[], None], save: Callable[[], None]) -> None:
        """Train until all epochs are done.

        Args:
            check: called after each batch; raises to stop.
            save: called after each epoch.

        Raises:
            DivergenceError: the loss is NaN or infinite.
        """
        try:
            while self.epoch < self.options.epochs:
                self._train_epoch(check)
                self._finish_epoch(check)
                save()
        finally:
            self._stop_clock()
            self.progress.end()

    def _train_epoch(self, check: Callable[[], None]) -> None:
        self.network.train()
        self.progress.begin(self.epoch, self.batch)
        self._started = time.perf_counter()
        with self.monitor:
            for x, y in self.loader.epoch(self.epoch, self.batch):
                self.whole = False
                self._step(x, y)
                self.batch += 1
                self.samples += len(y)
                self.whole = True
                figures = self._look() if self.progress.due() else None
                self.progress.advance(figures, self.samples_per_second)
                check()
        self._look()
        self._stop_clock()

    def _step(self, x: Any, y: Any) -> None:
        self.optimizer.zero_grad()
        F.reset_net(self.network)
        labels = tensor(y, dtype="int32")
        logits = self.network(x)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        self.optimizer.step()
        F.reset_net(self.network)
        self.totals.add(loss, logits, labels, self.monitor.rates)

    def _look(self) -> Figures:
        """Figures of the epoch so far, read from the device.

        Raises:
            DivergenceError: a loss was NaN or infinite.
        """
        bad = self.totals.first_bad_batch()
        if bad is not None:
            self.whole = False
            raise DivergenceError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}, batch {bad + 1} of {len(self.loader)}; "
                f"use a smaller learning rate than {self.options.lr:g}, and look for huge values in the data"
            )
        return self.totals.figures()

    def _stop_clock(self) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None

    def _finish_epoch(self, check: Callable[[], None]) -> None:
        train = self._look()
        test = evaluate(self.network, *self.data.test, after_batch=check)
        if not math.isfinite(test.loss):
            self.whole = False
            raise DivergenceError(
                f"the loss on the test samples is NaN or infinite after epoch {self.epoch + 1}, batch "
                f"{len(self.loader)}; use a smaller learning rate than {self.options.lr:g}"
            )
        self.whole = False
        record = {
            "epoch": self.epoch + 1,
            "loss": train.loss,
            "accuracy": train.accuracy,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "firing_rate": test.rate,
            "firing_rates": test.rates,
            "lr": self.optimizer.lr,
        }
        self.history.append(record)
        self.epoch, self.batch = self.epoch + 1, 0
        self.totals = Totals(self.monitor.layers)
        self.schedule.set_epoch(self.epoch)
        self.whole = True
        self.progress.epoch_done(record, self.samples_per_second)

    def capture(self, fingerprint: str) -> Checkpoint:
        """The state of the run, copied to the host; valid while ``whole``."""
        saved = self.optimizer.state_dict()
        sums, samples, batches = self.totals.state()
        return Checkpoint(
            options=self.options,
            network=self.network.description,
            data=fingerprint,
            epoch=self.epoch,
            batch=self.batch,
            random=random.get_state(),
            history=self.history,
            seconds=self.seconds,
            samples=self.samples,
            optimizer={"steps": saved["steps"], "groups": saved["groups"]},
            totals=(samples, batches),
            weights={name: value.numpy() for name, value in self.network.state_dict().items()},
            slots=saved["state"],
            sums=sums,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a captured state.

        Raises:
            CheckpointError: it does not fit this run.
        """
        self.network.load_state_dict(checkpoint.weights)
        try:
            self.optimizer.load_state_dict({**checkpoint.optimizer, "state": checkpoint.slots})
            self.totals.load(checkpoint.sums, *checkpoint.totals)
            random.set_state(checkpoint.random)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the state of the optimiser or the epoch cannot be used: {error}"
            ) from error
        self.epoch, self.batch, self.samples = checkpoint.epoch, checkpoint.batch, checkpoint.samples
        self.seconds, self.history = checkpoint.seconds, checkpoint.history
        self.schedule.set_epoch(self.epoch)
