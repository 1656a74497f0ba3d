"""The origin of a trained network, as its bundle tells it, and the proteins that must not be scored therefore."""

from datetime import datetime, timezone
from typing import Any

import numpy as np

from tfclass import __version__
from tfclass.bundle.bundle import Bundle
from tfclass.config import SplitConfig, TrainConfig, from_mapping, to_mapping
from tfclass.data.demo import is_generated
from tfclass.data.split import assign_splits, split_policy
from tfclass.data.table import LabelledProteins
from tfclass.errors import TableError
from tfclass.pipelines.descriptions import split_overrides
from tfclass.training.checkpoint import Progress
from tfclass.training.trainer import Trainer


def training_provenance(
    config: TrainConfig, trainer: Trainer, progress: Progress, proteins: LabelledProteins, scores: dict[str, float]
) -> dict[str, Any]:
    """Describe a finished training on a whole table, with its validation scores, by JSON values only."""
    corpus: dict[str, Any] = {"name": config.corpus.name, "sha256": proteins.digest}
    corpus["generated"] = is_generated(proteins.frame)
    corpus["split"] = split_policy(proteins, config.split)
    corpus["split_options"] = to_mapping(config.split)
    if proteins.annotations:
        corpus["annotations_sha256"] = proteins.annotations.digest
    return {
        "tfclass_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "network": config.network or config.model.encoder,
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
        "validation": {name: float(value) if np.isfinite(value) else None for name, value in scores.items()},
        "training": to_mapping(config.training) | {"seed": config.runtime.seed},
    }


def remembered_split(bundle: Bundle, table: LabelledProteins, split: SplitConfig) -> SplitConfig:
    """Return the split of the training, where this is its table and has no column ``split``; else the given one."""
    own = _split_of(bundle, table)
    return split if own is None or split.policy != "column" or "split" in table.frame else own


def check_unseen(
    bundle: Bundle, table: LabelledProteins, part: LabelledProteins, name: str, split: SplitConfig, path: str
) -> None:
    """Refuse proteins that the model learned from, where its own table is split in another way.

    Parameters
    ----------
    bundle : Bundle
        One that does not tell how its table was split is believed.
    table : LabelledProteins
        As it was read.
    part : LabelledProteins
        The split to score.
    name : str
        Of that split. Proteins of the model's own split of this name may be scored.
    split : SplitConfig
        How the table was split now.
    path : str
        Of the table, for messages.

    Raises
    ------
    TableError
    """
    own = _split_of(bundle, table)
    if own is None or own == split:
        return
    own_frame = assign_splits(table, own, path).frame
    elsewhere = [each for each in ("train", "valid") if each != name]
    learned = part.frame["id"].isin(own_frame.loc[own_frame["split"].isin(elsewhere), "id"])
    if learned.any():
        found = f"{learned.sum()} of {len(learned)} proteins that {bundle.name} was trained or validated on"
        options = " ".join(split_overrides(own)) or "split=column"
        action = f"deal them out as its training did: {options}"
        raise TableError(f"{path}, split {name!r}: found {found}; expected none; {action}")


def _split_of(bundle: Bundle, table: LabelledProteins) -> SplitConfig | None:
    """Return how the training split this table; None for another table, or where the bundle does not tell."""
    corpus = bundle.provenance.get("corpus", {})
    if corpus.get("split_options") is None or corpus.get("sha256") != table.digest:
        return None
    return from_mapping(SplitConfig, corpus["split_options"])


def _counts(proteins: LabelledProteins) -> list[int]:
    return np.bincount(proteins.labels, minlength=len(proteins.classes)).tolist()
