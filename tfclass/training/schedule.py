"""Progress and end of a training, by epochs or by a limit of minutes, and its learning rate.

References
----------
.. [1] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
   10.48550/arXiv.1608.03983.
"""

import math
from typing import NamedTuple

from tfclass.config import TrainingConfig
from tfclass.training.checkpoint import Progress


class Schedule(NamedTuple):
    """The limits of a training: epochs, minutes, patience."""

    config: TrainingConfig

    def is_finished(self, progress: Progress) -> bool:
        """Return whether no further epoch is due: all are done, validation stopped improving, or time is up."""
        if progress.epoch >= self.config.epochs:
            return True
        if progress.best_epoch >= 0 and progress.epoch - progress.best_epoch > self.config.patience:
            return True
        # An epoch that has begun is always validated.
        return self.is_out_of_time(progress) and progress.step == 0 and bool(progress.history)

    def is_out_of_time(self, progress: Progress) -> bool:
        """Return whether the minutes are used up, by the pretraining too."""
        return bool(self.config.minutes) and progress.seconds_in_all >= 60 * self.config.minutes

    def fraction_done(self, progress: Progress, n_steps: int) -> float:
        """Return the fraction of the training that is done, in epochs of `n_steps` unless minutes limit it."""
        if self.config.minutes:
            return progress.seconds_in_all / (60 * self.config.minutes)
        return (progress.epoch + progress.step / n_steps) / self.config.epochs


def learning_rate(config: TrainingConfig, epoch: float) -> float:
    """Return the learning rate after a fractional number of epochs: linear warm-up, then half a cosine to zero [1]_."""
    warmup = min(config.warmup_epochs, float(config.epochs))
    if epoch < warmup:
        # The first step must move: half a per cent of the way up instead of zero.
        return config.learning_rate * max(epoch / warmup, 0.005)
    done = (epoch - warmup) / max(config.epochs - warmup, 1e-9)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
