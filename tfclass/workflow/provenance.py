"""Where a trained network came from, as its bundle tells it."""

from datetime import datetime, timezone
from typing import Any

import numpy as np

from tfclass import __version__
from tfclass.config import TrainConfig, to_mapping
from tfclass.corpus.split import split_policy
from tfclass.corpus.table import LabelledProteins
from tfclass.training.checkpoint import Progress
from tfclass.training.loop import Trainer


def training_provenance(
    config: TrainConfig, trainer: Trainer, progress: Progress, proteins: LabelledProteins, scores: dict[str, float]
) -> dict[str, Any]:
    """Describe a finished training.

    Parameters
    ----------
    config : TrainConfig
    trainer : Trainer
    progress : Progress
    proteins : LabelledProteins
        The whole table.
    scores : dict of str to float
        On the validation split.

    Returns
    -------
    dict
        JSON values only.
    """
    corpus = {"name": config.corpus.name, "sha256": proteins.digest, "split": split_policy(proteins, config.split)}
    if proteins.annotations:
        corpus["annotations_sha256"] = proteins.annotations.digest
    return {
        "tfclass_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "corpus": corpus,
        "n_train": len(trainer.training.labels),
        "n_valid": len(trainer.validation.labels),
        "residues_train": int(trainer.training.lengths.sum()),
        "train_residues": int(sum(entry["train_residues"] for entry in progress.history)),
        "train_seconds": round(progress.seconds_in_all, 3),
        "class_counts_train": dict(zip(proteins.classes, _counts(trainer.training), strict=True)),
        "class_counts_valid": dict(zip(proteins.classes, _counts(trainer.validation), strict=True)),
        "best_epoch": progress.best_epoch + 1,
        "epochs_run": len(progress.history),
        "validation": {name: _json_number(value) for name, value in scores.items()},
        "training": to_mapping(config.training) | {"seed": config.runtime.seed},
    }


def _counts(proteins: LabelledProteins) -> list[int]:
    return np.bincount(proteins.labels, minlength=len(proteins.classes)).tolist()


def _json_number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
