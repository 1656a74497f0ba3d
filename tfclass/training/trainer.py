"""The training loop, on a page: AdamW [1]_ under a cosine [2]_.

Everything random is drawn from generators seeded by (seed, epoch), and the state of torch's own is part of a
checkpoint, so an interrupted training resumes to the same numbers.

References
----------
.. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, 10.48550/arXiv.1711.05101.
.. [2] I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
   10.48550/arXiv.1608.03983.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.config import TrainingConfig
from tfclass.data.table import LabelledProteins
from tfclass.errors import NonFiniteLossError
from tfclass.evaluation.metrics import average_precision
from tfclass.models.forward import scores_of
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.batching import collate, shuffled_batches
from tfclass.training.augmentation import drop_residues, substitute_residues
from tfclass.training.checkpoint import Progress, check_progress, load_checkpoint, save_checkpoint
from tfclass.training.losses import Targets, figures
from tfclass.typing import IntArray


class Callbacks(NamedTuple):
    """What the world outside the loop may do.

    Attributes
    ----------
    on_pretraining : callable
        Called with (share of the pretraining that is done, seconds that it took so far), before the first step.
    on_step : callable
        Called with (epoch, share of the whole training that is done, training loss) after each batch.
    on_epoch : callable
        Called with the epoch's entry of the history.
    should_stop : callable
        Asked after each batch; when true, a checkpoint is written and `Interrupted` raised.
    """

    on_pretraining: Callable[[float, float], None] = lambda *_: None
    on_step: Callable[[int, float, float], None] = lambda *_: None
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False


class Interrupted(KeyboardInterrupt):
    """Training stopped on request; the checkpoint is complete."""


class Trainer:
    """Trains until the epochs are done or validation has stopped improving.

    Parameters
    ----------
    model : Classifier
        On the device to train on; ends with the best weights, not the last.
    training, validation : LabelledProteins
        With annotations, where the network has heads beside the classes' own.
    seed : int
        Of batch order and of the noise on residues.
    folder : Path
        Where ``checkpoint.pt`` goes, at least once an epoch.
    fingerprint : str
        Ties the checkpoint to configuration and corpus.
    pretraining_seconds : float
        Of `config.minutes`, already used up.
    """

    def __init__(
        self,
        model: Classifier,
        training: LabelledProteins,
        validation: LabelledProteins,
        config: TrainingConfig,
        *,
        alphabet: Alphabet,
        seed: int,
        folder: Path,
        fingerprint: str = "",
        callbacks: Callbacks | None = None,
        pretraining_seconds: float = 0.0,
    ) -> None:
        self.model, self.training, self.validation, self.config = model, training, validation, config
        self.alphabet, self.seed = alphabet, seed
        self.folder, self.fingerprint, self.callbacks = folder, fingerprint, callbacks or Callbacks()
        self.device = next(model.parameters()).device
        self.weight_C = class_weights(training, config).to(self.device)
        self.targets = Targets(training.annotations, model.stem.pool) if training.annotations else None
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.progress = Progress(pretraining_seconds=pretraining_seconds)

    def run(self, *, resume: bool = False) -> Progress:
        """Train.

        Parameters
        ----------
        resume : bool
            Go on from the checkpoint in `folder`.

        Returns
        -------
        Progress
            With the history, one entry per epoch.

        Raises
        ------
        NonFiniteLossError
            Before the optimiser moves; the checkpoint in `folder` is the last good one.
        Interrupted
            `callbacks.should_stop` said so.
        CheckpointError
            `resume`, and the checkpoint is missing, damaged or another training's.
        """
        if resume:
            self.progress = load_checkpoint(self.folder, self.fingerprint, self.model, self.optimizer)
            check_progress(self.progress, self.model, self.folder)
        elif self.progress.pretraining_seconds:
            # Not to be done again after an interruption.
            self._save()
        while self.progress.epoch < self.config.epochs and not self._has_stalled() and not self._out_of_time():
            self._train_epoch()
            self._validate()
            self._save()
            self.callbacks.on_epoch(self.progress.history[-1])
        self.model.load_state_dict(self.progress.best_weights)
        return self.progress

    def _train_epoch(self) -> None:
        self.model.train()
        progress = self.progress
        rng = np.random.default_rng([self.seed, progress.epoch])
        batches = shuffled_batches(self.training.lengths, self.config.max_residues, rng)
        saved_at = time.monotonic()
        for step in range(progress.step, len(batches)):
            # One step at least: the pretraining may have used up the time.
            if self._time_used() >= 1 and progress.step:
                break
            started = time.monotonic()
            rows = batches[step]
            rate = learning_rate(self.config, self._share_done(len(batches)) * self.config.epochs)
            loss, gradient_norm = self._train_step(rows, step, rate)
            residues = sum(len(self.training.tokens[i]) for i in rows)
            progress.count(loss, gradient_norm, len(rows), residues, time.monotonic() - started)
            self.callbacks.on_step(progress.epoch, self._share_done(len(batches)), progress.mean_loss)
            stop = self.callbacks.should_stop()
            if stop or time.monotonic() - saved_at > 60 * self.config.checkpoint_minutes:
                self._save()
                saved_at = time.monotonic()
            if stop:
                raise Interrupted

    def _train_step(self, rows: IntArray, step: int, rate: float) -> tuple[float, float]:
        batch = collate([self.training.tokens[i] for i in rows])
        rng = np.random.default_rng([self.seed, self.progress.epoch, step])
        tokens_BL = substitute_residues(batch.tokens_BL, self.config.residue_substitution, rng)
        tokens_BL = drop_residues(tokens_BL, self.config.residue_dropout, self.alphabet, rng)
        batch = batch._replace(tokens_BL=tokens_BL).to(self.device)
        amp = self.config.amp == "always" or (self.config.amp == "gpu" and self.device.type == "cuda")
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=amp):
            logits = self.model.all_heads(batch.tokens_BL, batch.lengths_B)
        labels_B = torch.from_numpy(self.training.labels[rows]).to(self.device)
        class_loss = F.cross_entropy(logits.logits_BC.float(), labels_B, weight=self.weight_C)
        head_losses = self.targets.losses(logits, batch.lengths_B, rows) if self.targets else {}
        factors = {"family": self.config.family_weight, "domain": self.config.domain_weight}
        loss = class_loss + sum(factors[name] * head.value for name, head in head_losses.items())
        self._check_finite("loss", loss.item(), step, rows)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        gradient_norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        self._check_finite("gradient norm", gradient_norm, step, rows)
        self.optimizer.step()
        for name, head in head_losses.items():
            self.progress.count_head(name, head.value.item(), head.weight)
        return class_loss.item(), gradient_norm

    def _validate(self) -> None:
        labels_N = self.validation.labels
        scores = scores_of(self.model, self.validation.tokens, self.config.max_residues)
        log_probability_NC = torch.log_softmax(torch.from_numpy(scores.logits_NC), dim=1)
        score = average_precision(log_probability_NC.numpy(), labels_N)
        if score > self.progress.best_score:
            self.progress.best_epoch, self.progress.best_score = self.progress.epoch, score
            self.progress.best_weights = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}
        loss = F.nll_loss(log_probability_NC, torch.from_numpy(labels_N))
        rate = self.optimizer.param_groups[0]["lr"]
        known = self.validation.annotations
        heads = {f"valid_{name}": value for name, value in figures(scores, known).items()} if known else {}
        self.progress.end_epoch(valid_loss=float(loss), valid_ap=score, learning_rate=float(rate), **heads)

    def _has_stalled(self) -> bool:
        since_best = self.progress.epoch - 1 - self.progress.best_epoch
        return self.progress.best_epoch >= 0 and since_best >= self.config.patience

    def _share_done(self, steps: int) -> float:
        """Share of the whole training, by the clock where `config.minutes` limits it, else by epochs of `steps`."""
        epochs = (self.progress.epoch + self.progress.step / steps) / self.config.epochs
        return self._time_used() if self.config.minutes else epochs

    def _time_used(self) -> float:
        """Share of `config.minutes` that is used up, by the pretraining too; 0 without a limit."""
        return self.progress.seconds_in_all / (60 * self.config.minutes) if self.config.minutes else 0.0

    def _out_of_time(self) -> bool:
        # An epoch that has begun is still validated.
        return self._time_used() >= 1 and self.progress.step == 0 and bool(self.progress.history)

    def _save(self) -> None:
        save_checkpoint(self.folder, self.fingerprint, self.progress, self.model, self.optimizer)

    def _check_finite(self, what: str, value: float, step: int, rows: IntArray) -> None:
        if math.isfinite(value):
            return
        epoch, first = self.progress.epoch, self.training.frame["id"].iloc[int(rows[0])]
        where = f"training, epoch {epoch + 1}, batch {step + 1}"
        found = f"a {what} of {value} (batch of {len(rows)} that begins with protein {first!r})"
        action = "the last good checkpoint is kept; try a lower training.learning_rate or training.clip_norm"
        raise NonFiniteLossError(where, found, "a finite one", action, epoch=epoch, step=step, record_id=first)


def learning_rate(config: TrainingConfig, epoch: float) -> float:
    """Linear warm-up, then half a cosine to zero [2]_.

    Parameters
    ----------
    epoch : float
        Epochs done, fractions included.
    """
    warmup = min(config.warmup_epochs, float(config.epochs))
    if epoch < warmup:
        # The first step must move: half a per cent of the way up stands for zero.
        return config.learning_rate * max(epoch / warmup, 0.005)
    done = (epoch - warmup) / max(config.epochs - warmup, 1e-9)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def class_weights(training: LabelledProteins, config: TrainingConfig) -> Tensor:
    """Weight of each class in the loss.

    Returns
    -------
    float32 tensor, shape (C,)
        Ones, or ``N / (C n_c)`` when balanced; an absent class has weight 0.
    """
    counts = np.bincount(training.labels, minlength=len(training.classes)).astype(float)
    if config.class_weight == "none":
        return torch.ones(len(counts))
    present = counts > 0
    weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)
    return torch.tensor(weights, dtype=torch.float32)
