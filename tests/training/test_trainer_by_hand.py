"""The training loop against the same training written out by hand, and what it tells the world outside."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.training.test_trainer import HEADS, QUICK, parts, trainer
from tfclass.models.factory import build
from tfclass.models.forward import collate, shuffled_batches
from tfclass.training import trainer as loop
from tfclass.training.augmentation import drop_residues, substitute_residues
from tfclass.training.losses import HeadTargets
from tfclass.training.trainer import Callbacks

__all__ = ["parts", "trainer"]

# That of the trainers of `test_trainer`.
SEED = 5
# Everything at work, each at a strength that shows.
CONFIG = replace(
    QUICK,
    epochs=2,
    warmup_epochs=0.5,
    class_weight="balanced",
    clip_norm=0.5,
    weight_decay=0.3,
    family_weight=0.3,
    domain_weight=0.7,
    residue_substitution=0.2,
    residue_dropout=0.1,
)


def train_by_hand(train, alphabet, config):
    """Give the weights and the history's entry after each epoch."""
    torch.manual_seed(0)
    model = build(HEADS, alphabet, 2).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    targets = HeadTargets(train.annotations, HEADS.stem.pool)
    counts = np.bincount(train.labels)
    weight_C = torch.tensor(len(train.labels) / (2 * counts), dtype=torch.float32)
    for epoch in range(config.epochs):
        batches = shuffled_batches(train.lengths, config.max_residues, np.random.default_rng([SEED, epoch]))
        losses, norms, heads = [], [], {"family": [], "domain": []}
        rate = 0.0
        for step, rows in enumerate(batches):
            done = epoch + step / len(batches)
            warmup = config.warmup_epochs
            rising, along = done / warmup, (done - warmup) / (config.epochs - warmup)
            rate = config.learning_rate * (max(rising, 0.005) if rising < 1 else (1 + math.cos(math.pi * along)) / 2)
            batch = collate([train.tokens[i] for i in rows])
            rng = np.random.default_rng([SEED, epoch, step])
            tokens_BL = substitute_residues(batch.tokens_BL, config.residue_substitution, rng)
            tokens_BL = drop_residues(tokens_BL, config.residue_dropout, alphabet, rng)
            logits = model.all_heads(tokens_BL, batch.lengths_B)
            found = targets.losses(logits, batch.lengths_B, rows)
            class_loss = F.cross_entropy(logits.logits_BC, torch.from_numpy(train.labels[rows]), weight=weight_C)
            model.zero_grad()
            (class_loss + 0.3 * found["family"].value + 0.7 * found["domain"].value).backward()
            norm = math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters()))
            for parameter in model.parameters():
                parameter.grad *= min(1.0, config.clip_norm / norm)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            losses.append((class_loss.item(), len(rows)))
            norms.append(norm)
            for name, head in found.items():
                heads[name].append((head.value.item(), head.weight))
        assert max(norms) > config.clip_norm
        entry = {"train_loss": mean(losses), "gradient_norm": np.mean(norms), "learning_rate": rate}
        entry |= {f"train_{name}_loss": mean(values) for name, values in heads.items()}
        yield {name: weight.clone() for name, weight in model.state_dict().items()}, entry


def mean(pairs):
    values, weights = zip(*pairs, strict=True)
    return np.average(values, weights=weights)


def test_the_loop_equals_a_training_written_out_by_hand(trainer, parts, alphabet):
    progress = trainer(CONFIG, HEADS).run()
    by_hand = list(train_by_hand(parts[0], alphabet, CONFIG))
    assert len(progress.history) == len(by_hand) == 2
    for entry, (_, expected) in zip(progress.history, by_hand, strict=True):
        assert {name: entry[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert entry["train_residues"] == parts[0].lengths.sum()
    weights, _ = by_hand[progress.best_epoch]
    for name, weight in progress.best_weights.items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-5)


def test_callbacks_are_called_once_for_every_batch_and_epoch(trainer, parts):
    steps, epochs = [], []
    history = (
        trainer(callbacks=Callbacks(on_step=lambda *step: steps.append(step), on_epoch=epochs.append)).run().history
    )
    assert epochs == history
    shares = [done for _, done, _ in steps]
    assert shares == pytest.approx(np.arange(1, len(steps) + 1) / len(steps))
    n_batches = len(steps) // len(history)
    assert [epoch for epoch, _, _ in steps] == [epoch for epoch in range(3) for _ in range(n_batches)]
    last = [loss for _, _, loss in steps][n_batches - 1 :: n_batches]
    assert last == pytest.approx([entry["train_loss"] for entry in history])


def test_a_checkpoint_is_written_once_an_epoch_and_as_often_as_the_minutes_say(trainer, monkeypatch):
    saved = []
    keep = loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda *args: (saved.append(args[2].step), keep(*args)))
    trainer().run()
    assert saved == [0, 0, 0]
    saved.clear()
    # The time is asked for three times a step, so a step takes 75 seconds.
    now = itertools.count(step=25.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(now)))
    trainer(replace(QUICK, epochs=1, checkpoint_minutes=2)).run()
    assert len(saved) > 3
    assert saved == [*range(2, saved[-2] + 1, 2), 0]
