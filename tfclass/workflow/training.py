"""Table to bundle."""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tfclass import __version__
from tfclass.bundle.bundle import DESCRIPTION, Bundle, save_bundle
from tfclass.bundle.card import model_card
from tfclass.config import TrainConfig, to_mapping
from tfclass.corpus.split import assign_splits, select_split
from tfclass.corpus.table import LabelledProteins, read_table
from tfclass.environment import describe, prepare
from tfclass.errors import CheckpointError, TableError
from tfclass.evaluation.calibration import check_calibration, choose_calibration
from tfclass.evaluation.cuts import max_mcc_threshold, operating_points
from tfclass.evaluation.metrics import Scored, all_metrics
from tfclass.files import check_replaceable, make_folder, whole_file
from tfclass.networks.classifier import Classifier
from tfclass.networks.scoring import logits_of
from tfclass.networks.zoo import build
from tfclass.sequence.vocabulary import Vocabulary
from tfclass.tracking.tracker import Tracker, tracked
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.checkpoint import Progress
from tfclass.training.loop import Hooks, Trainer, class_weights
from tfclass.training.skipgram import pretrain_words

RUN_FILE = "run.json"


class Trained(NamedTuple):
    """What `train_and_package` made.

    Attributes
    ----------
    bundle : Path
    history : list of dict of str to float
        One entry per epoch.
    validation : dict of str to float
        Metrics on the validation split, at the fitted calibration and threshold.
    registered : str
        What became of the bundle in MLflow's model registry, in words; empty when it was not registered.
    """

    bundle: Path
    history: list[dict[str, float]]
    validation: dict[str, float]
    registered: str = ""


def train_and_package(config: TrainConfig, hooks: Hooks | None = None, parent: str = "") -> Trained:
    """Train a network on a labelled table and save it as a bundle.

    The test split is not looked at. Everything is recorded in MLflow unless tracking is off.

    Parameters
    ----------
    config : TrainConfig
        With `resume`, the run folder is that one, and the rest must be as it was.
    hooks : Hooks, optional
    parent : str, optional
        Id of the MLflow run to show this one under.

    Returns
    -------
    Trained

    Raises
    ------
    TfclassError
        The corpus, the configuration, the checkpoint or an output is at fault.
    Interrupted
        Training was stopped; ``run_dir`` has a checkpoint to resume from.
    """
    hooks = hooks or Hooks()
    device = prepare(config.runtime)
    vocabulary = Vocabulary()
    proteins = assign_splits(read_table(config.corpus, vocabulary), config.split, config.corpus.path)
    parts = {name: select_split(proteins, name, config.corpus.path) for name in ("train", "valid")}
    for name, part in parts.items():
        _check_classes(part, name, config.corpus.path)
    model = build(config.model, vocabulary, len(proteins.classes)).to(device)
    # What can be refused is refused now, not after hours of training.
    check_calibration(config.training.calibration, len(proteins.classes))
    check_replaceable(_bundle_folder(config), DESCRIPTION)
    run_dir = _run_dir(config)
    tags = {
        "job": "train",
        "corpus": config.corpus.name,
        "model": config.model.name,
        "split": config.split.policy,
        "device": device.type,
    }
    previous = _previous_run_id(run_dir)
    with tracked(
        config.tracking, _run_name(config), tags, resume=previous, parent=parent, journal=run_dir, watch=True
    ) as tracker:
        _record_start(config, tracker, parts, model, device, run_dir, resumed=bool(config.resume))
        trainer = Trainer(
            model,
            parts["train"],
            parts["valid"],
            config.training,
            vocabulary=vocabulary,
            seed=config.runtime.seed,
            folder=run_dir,
            fingerprint=_fingerprint(config, proteins),
            hooks=_recording(hooks, tracker),
        )
        if config.model.embedding == "skipgram" and not config.resume:
            pretrain_words(model.embedding, parts["train"].tokens, config.training.skipgram, config.runtime.seed)  # type: ignore[arg-type]
        progress = trainer.run(resume=bool(config.resume))
        trained = _package(config, trainer, progress, proteins, tracker)
        tracker.metrics({f"valid_final_{name}": value for name, value in trained.validation.items()})
        tracker.metrics({"best_epoch": progress.best_epoch + 1, "best_valid_ap": progress.best_score})
        tracker.model(trained.bundle, _validation_digest(parts["valid"]))
    return trained._replace(registered=tracker.said)


def _check_classes(part: LabelledProteins, name: str, path: str) -> None:
    present = np.unique(part.labels)
    if len(present) < 2:
        where = f"{path}, column 'label', split {name!r}"
        found = f"one class only ({part.classes[int(present[0])]!r})"
        raise TableError(where, found, "at least two", path=path, column="label")


def _run_dir(config: TrainConfig) -> Path:
    folder = Path(config.resume or config.run_dir)
    make_folder(folder)
    if not config.resume and (folder / CHECKPOINT).exists():
        action = f"resume it with resume={folder}, or choose another run_dir"
        raise CheckpointError(
            str(folder), "a training that was here before", "an empty folder", action, path=str(folder)
        )
    return folder


def _bundle_folder(config: TrainConfig) -> Path:
    return Path(config.bundle or Path(config.resume or config.run_dir) / "bundle")


def _run_name(config: TrainConfig) -> str:
    return f"{_name(config)} {datetime.now():%H:%M:%S}"


def _name(config: TrainConfig) -> str:
    return config.name or f"{config.corpus.name}-{config.model.name}"


def _fingerprint(config: TrainConfig, proteins: LabelledProteins) -> str:
    training = {key: value for key, value in to_mapping(config.training).items() if key != "checkpoint_minutes"}
    parts = [to_mapping(config.model), training, to_mapping(config.split), config.runtime.seed]
    parts += [proteins.digest, proteins.classes]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _validation_digest(part: LabelledProteins) -> str:
    """Digest of the proteins that a score is of; scores with the same one can be compared."""
    ids = sorted(part.frame["id"].astype(str))
    return hashlib.sha256("\n".join([part.digest, *part.classes, *ids]).encode()).hexdigest()


def _previous_run_id(run_dir: Path) -> str:
    path = run_dir / RUN_FILE
    return str(json.loads(path.read_text(encoding="utf-8")).get("mlflow_run_id", "")) if path.exists() else ""


def _record_start(
    config: TrainConfig,
    tracker: Tracker,
    parts: dict[str, LabelledProteins],
    model: Classifier,
    device: torch.device,
    run_dir: Path,
    *,
    resumed: bool,
) -> None:
    if resumed:
        return
    # Resuming may happen from another folder.
    saved = to_mapping(config)
    saved["bundle"] = str(_bundle_folder(config).resolve())
    saved["corpus"]["path"] = str(Path(config.corpus.path).resolve())
    content = {"mlflow_run_id": tracker.run_id, "config": saved}
    with whole_file(run_dir / RUN_FILE) as stream:
        stream.write(json.dumps(content, indent=1).encode())
    # Places are no properties of the training, and an address may hold a password.
    places = ("tracking", "run_dir", "bundle", "resume")
    tracker.configuration({key: value for key, value in to_mapping(config).items() if key not in places})
    tracker.facts("environment.json", describe(device))
    if manifest := parts["train"].manifest:
        tracker.facts("manifest.json", manifest)
    contexts = {"train": "training", "valid": "validation"}
    for name, part in parts.items():
        # MLflow takes data sets of one name and digest for one, and the digest is the whole table's.
        data_name = f"{config.corpus.name} {name}"
        tracker.dataset(
            part.frame, source=config.corpus.path, name=data_name, context=contexts[name], digest=part.digest
        )
        tracker.parameters({f"n_{name}": len(part.labels), f"residues_{name}": int(part.lengths.sum())})
    tracker.parameters({"n_weights": sum(p.numel() for p in model.parameters())})


def _recording(hooks: Hooks, tracker: Tracker) -> Hooks:
    def on_epoch(entry: dict[str, float]) -> None:
        values = {key: value for key, value in entry.items() if key != "epoch"}
        tracker.metrics(values, step=int(entry["epoch"]) + 1)
        hooks.on_epoch(entry)

    return hooks._replace(on_epoch=on_epoch)


def _package(
    config: TrainConfig, trainer: Trainer, progress: Progress, proteins: LabelledProteins, tracker: Tracker
) -> Trained:
    validation = trainer.validation
    logits_NC = logits_of(trainer.model, validation.tokens, config.training.max_residues)
    weight_C = class_weights(trainer.training, config.training).numpy().astype(float)
    clusters_N = validation.frame["cluster"].to_numpy(dtype=str)
    choice = choose_calibration(logits_NC, validation.labels, clusters_N, weight_C, config.training.calibration)
    probability_NC = choice.calibration.probability(logits_NC)
    binary = len(proteins.classes) == 2
    positive_N = validation.labels == 1
    threshold = max_mcc_threshold(probability_NC[:, 1], positive_N) if binary else None
    scores = all_metrics(Scored(probability_NC, validation.labels, threshold), config.evaluation.n_calibration_bins)
    provenance: dict[str, Any] = {
        "tfclass_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "corpus": {"name": config.corpus.name, "sha256": proteins.digest, "split": config.split.policy},
        "n_train": len(trainer.training.labels),
        "n_valid": len(validation.labels),
        "residues_train": int(trainer.training.lengths.sum()),
        "train_residues": int(sum(entry["train_residues"] for entry in progress.history)),
        "train_seconds": round(progress.seconds_in_all, 3),
        "class_counts_train": dict(zip(proteins.classes, _counts(trainer.training), strict=True)),
        "class_counts_valid": dict(zip(proteins.classes, _counts(validation), strict=True)),
        "calibration": choice.as_json(),
        "best_epoch": progress.best_epoch + 1,
        "epochs_run": len(progress.history),
        "validation": {name: _json_number(value) for name, value in scores.items()},
        "training": to_mapping(config.training) | {"seed": config.runtime.seed},
        "mlflow_run_id": tracker.run_id,
    }
    bundle = Bundle(
        _name(config),
        trainer.model,
        config.model,
        trainer.vocabulary,
        proteins.classes,
        choice.calibration,
        threshold,
        provenance,
        operating_points(probability_NC[:, 1], positive_N) if binary else (),
    )
    folder = _bundle_folder(config)
    save_bundle(bundle, folder, model_card(bundle))
    return Trained(folder, progress.history, scores)


def _counts(proteins: LabelledProteins) -> list[int]:
    return np.bincount(proteins.labels, minlength=len(proteins.classes)).tolist()


def _json_number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
