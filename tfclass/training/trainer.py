"""The training loop: AdamW [1]_, a checkpoint and a validation after every epoch, the best weights at the end.

Everything random is drawn from generators seeded by (seed, epoch), and the state of torch's own is part of a
checkpoint, so an interrupted training resumes to the same numbers.

References
----------
.. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, 10.48550/arXiv.1711.05101.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tfclass.config import TrainingConfig
from tfclass.data.table import LabelledProteins
from tfclass.errors import NonFiniteLossError
from tfclass.evaluation.metrics import average_precision
from tfclass.models.forward import Batch, collate, shuffled_batches
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet
from tfclass.training.augmentation import drop_residues, substitute_residues
from tfclass.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from tfclass.training.distributed import Processes
from tfclass.training.losses import TrainingLoss, head_metrics
from tfclass.training.schedule import Schedule, learning_rate
from tfclass.typing import IntArray


class Callbacks(NamedTuple):
    """Functions of the caller, called as training proceeds.

    Attributes
    ----------
    on_pretraining : callable
        Called with (fraction of the pretraining done, seconds so far), before the first step.
    on_step : callable
        Called with (epoch, fraction of the whole training done, training loss) after each batch.
    on_epoch : callable
        Called with the epoch's entry of the history.
    should_stop : callable
        Called after each batch; if true, a checkpoint is written and `Interrupted` raised.
    """

    on_pretraining: Callable[[float, float], None] = lambda *_: None
    on_step: Callable[[int, float, float], None] = lambda *_: None
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False


class Interrupted(KeyboardInterrupt):
    """Training stopped on request; the checkpoint is complete."""


class Trainer:
    """Train until the epochs or minutes are used up, or validation has stopped improving.

    Parameters
    ----------
    model : Classifier
        On the device to train on; ends with the best weights, not the last.
    training, validation : LabelledProteins
        With annotations, if the network has auxiliary heads.
    seed : int
        Of batch order and augmentation.
    folder : Path
        Where ``checkpoint.pt`` is written, at least once an epoch.
    fingerprint : str
        Ties the checkpoint to configuration and corpus.
    pretraining_seconds : float
        Of `config.minutes`, already used up.
    processes : Processes, optional
        That train together, this one among them; each has all other arguments, and calls `run`.
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
        processes: Processes | None = None,
    ) -> None:
        self.model, self.training, self.validation, self.config = model, training, validation, config
        self.alphabet, self.seed = alphabet, seed
        self.folder, self.fingerprint, self.callbacks = folder, fingerprint, callbacks or Callbacks()
        self.processes = processes or Processes()
        self.device = next(model.parameters()).device
        self.loss = TrainingLoss(training, config, model.stem.pool, self.device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = Schedule(config)
        self.progress = Progress(pretraining_seconds=pretraining_seconds)

    def run(self, *, resume: bool = False) -> Progress:
        """Train.

        Parameters
        ----------
        resume : bool
            Continue from the checkpoint in `folder`.

        Returns
        -------
        Progress
            With the history, one entry per epoch.

        Raises
        ------
        NonFiniteLossError
            Before the optimiser moves; the checkpoint in `folder` is the last good one.
        Interrupted
            `callbacks.should_stop` returned true.
        CheckpointError
            `resume`, and the checkpoint is missing, damaged or another training's.
        """
        if resume:
            self.progress = load_checkpoint(self.folder, self.fingerprint, self.model, self.optimizer)
        elif self.progress.pretraining_seconds:
            # An interruption must not repeat the pretraining.
            self._save()
        self.network = self.processes.begin(self.model)
        while not self.schedule.is_finished(self.progress):
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
            if progress.step and self.schedule.is_out_of_time(progress):
                break
            started = time.monotonic()
            rows = batches[step]
            loss, gradient_norm = self._train_step(rows, step, len(batches))
            residues = sum(len(self.training.tokens[i]) for i in rows)
            # All processes agree on time and end, so that they take the same steps.
            seconds = self.processes.largest(time.monotonic() - started)
            progress.count(loss, gradient_norm, len(rows), residues, seconds)
            done = self.schedule.fraction_done(progress, len(batches))
            self.callbacks.on_step(progress.epoch, done, progress.mean_loss)
            stop = bool(self.processes.largest(self.callbacks.should_stop()))
            if stop or time.monotonic() - saved_at > 60 * self.config.checkpoint_minutes:
                self._save()
                saved_at = time.monotonic()
            if stop:
                raise Interrupted

    def _train_step(self, rows: IntArray, step: int, n_steps: int) -> tuple[float, float]:
        part = self.processes.part(len(rows))
        batch = self._augmented_batch(rows, step).part(part.rows).to(self.device)
        self.processes.seed_dropout(self.seed, self.progress.epoch, step)
        amp = self.config.amp == "always" or (self.config.amp == "gpu" and self.device.type == "cuda")
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=amp):
            logits = self.network(batch.tokens_BL, batch.lengths_B)
        loss, class_loss, head_losses = self.loss(logits, batch.lengths_B, rows, part.rows)
        epochs_done = self.schedule.fraction_done(self.progress, n_steps) * self.config.epochs
        self.optimizer.param_groups[0]["lr"] = learning_rate(self.config, epochs_done)
        self.optimizer.zero_grad()
        (part.factor * loss).backward()
        gradient_norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        values_K = torch.stack([loss, class_loss, *(head.value for head in head_losses.values())])
        of_all, of_classes, *of_heads = self.processes.means(part.factor * values_K)
        self._check_finite("loss", of_all, step, rows)
        self._check_finite("gradient norm", gradient_norm, step, rows)
        self.optimizer.step()
        for (name, head), value in zip(head_losses.items(), of_heads, strict=True):
            self.progress.count_head(name, value, head.weight)
        return of_classes, gradient_norm

    def _augmented_batch(self, rows: IntArray, step: int) -> Batch:
        batch = collate([self.training.tokens[i] for i in rows])
        rng = np.random.default_rng([self.seed, self.progress.epoch, step])
        tokens_BL = substitute_residues(batch.tokens_BL, self.config.residue_substitution, rng)
        return batch._replace(tokens_BL=drop_residues(tokens_BL, self.config.residue_dropout, self.alphabet, rng))

    def _validate(self) -> None:
        labels_N, annotations = self.validation.labels, self.validation.annotations
        scores = self.processes.scores(self.model, self.validation.tokens, self.config.max_residues)
        log_probability_NC = torch.log_softmax(torch.from_numpy(scores.logits_NC), dim=1)
        score = average_precision(log_probability_NC.numpy(), labels_N)
        if score > self.progress.best_score:
            self.progress.best_epoch, self.progress.best_score = self.progress.epoch, score
            self.progress.best_weights = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}
        metrics = head_metrics(scores, annotations) if annotations else {}
        self.progress.end_epoch(
            valid_loss=float(F.nll_loss(log_probability_NC, torch.from_numpy(labels_N))),
            valid_ap=score,
            learning_rate=float(self.optimizer.param_groups[0]["lr"]),
            **{f"valid_{name}": value for name, value in metrics.items()},
        )

    def _save(self) -> None:
        if self.processes.is_first:
            save_checkpoint(self.folder, self.fingerprint, self.progress, self.model, self.optimizer)

    def _check_finite(self, what: str, value: float, step: int, rows: IntArray) -> None:
        if not math.isfinite(value):
            first = self.training.frame["id"].iloc[int(rows[0])]
            raise NonFiniteLossError(
                f"training, epoch {self.progress.epoch + 1}, batch {step + 1}: found a {what} of {value} (batch of "
                f"{len(rows)} that begins with protein {first!r}); expected a finite one; the last good checkpoint is "
                "kept; try a lower training.learning_rate or training.clip_norm"
            )
