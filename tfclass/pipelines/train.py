"""Table to bundle."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tfclass.bundle.card import model_card
from tfclass.bundle.description import read_description
from tfclass.bundle.save import BUNDLE_FOLDER, save_bundle
from tfclass.channels.calibration_fit import check_calibration
from tfclass.config import TrainConfig, to_mapping
from tfclass.data.cells import columns_digest
from tfclass.data.split import assign_splits, check_classes, select_split, split_policy
from tfclass.data.table import LabelledProteins, read_table
from tfclass.environment import describe, prepare
from tfclass.errors import ConfigError
from tfclass.io.folders import check_replaceable
from tfclass.models.factory import build
from tfclass.models.front import KmerEmbedding
from tfclass.models.network import Classifier
from tfclass.pipelines.calibrate import as_bundle
from tfclass.pipelines.descriptions import command_of, describe_training, model_name
from tfclass.pipelines.run_folder import (
    alone_in,
    bundle_folder,
    has_checkpoint,
    initial_model,
    make_run_folder,
    run_folder,
    write_record,
)
from tfclass.sequences.alphabet import Alphabet
from tfclass.tracking.experiment import group_of
from tfclass.tracking.log import Run, tracked
from tfclass.tracking.record import Facts, Scores, dataset
from tfclass.training.checkpoint import Progress
from tfclass.training.distributed import Processes
from tfclass.training.init_from import WarmStart, load_matching_weights
from tfclass.training.losses import check_annotations
from tfclass.training.memory import check_batches, memory_limit_named
from tfclass.training.skipgram import pretrain_kmers
from tfclass.training.trainer import Callbacks, Trainer


class Trained(NamedTuple):
    """The result of a training.

    Attributes
    ----------
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


def train_and_package(
    config: TrainConfig,
    callbacks: Callbacks | None = None,
    parent: str = "",
    processes: Processes | None = None,
) -> Trained:
    """Train a network on a labelled table and save it as a bundle.

    The test split is not looked at. Everything is logged to MLflow unless tracking is off.

    Parameters
    ----------
    config : TrainConfig
        With `resume`, the run folder is that one, and the rest must be as it was. Without a checkpoint in it, training
        starts at the beginning.
    parent : str, optional
        Id of the MLflow run to show this one under.
    processes : Processes, optional
        That train together: each calls this. The first one makes the folder, the bundle and the MLflow run; in the
        others the result has no `validation`.

    Raises
    ------
    TfclassError
        The corpus, the configuration, the checkpoint or an output is at fault.
    Interrupted
        Training was stopped; it can be resumed from ``run_dir``.
    """
    with memory_limit_named(config.training.max_residues):
        return _train_and_package(config, callbacks or Callbacks(), parent, processes or Processes())


def _train_and_package(config: TrainConfig, callbacks: Callbacks, parent: str, processes: Processes) -> Trained:
    device = processes.device(prepare(config.runtime))
    alphabet = Alphabet()
    proteins, parts = _read(config, alphabet, device, processes)
    model = build(config.model, alphabet, len(proteins.classes)).to(device)
    resume = has_checkpoint(config)
    name = config.training.init_from
    start = load_matching_weights(name, model, alphabet) if name and not resume else None
    fingerprint = _fingerprint(config, proteins)
    if len(set(processes.gather(fingerprint))) > 1:
        found = f"{config.corpus.path}: found another table or other options in another process"
        raise ConfigError(f"{found}; expected the same in all of them")
    with ExitStack() as stack:
        run, seconds = None, 0.0
        if processes.is_first:
            facts = _facts(config, proteins, parts, model, device, processes)
            run = stack.enter_context(_recorded(config, start, facts, parent))
            seconds = 0.0 if resume else pretrain(model, config, parts["train"], start, callbacks)
        trainer = Trainer(
            model,
            parts["train"],
            parts["valid"],
            config.training,
            alphabet=alphabet,
            seed=config.runtime.seed,
            folder=run_folder(config),
            fingerprint=fingerprint,
            callbacks=_logging(callbacks, run) if run else callbacks,
            pretraining_seconds=processes.gather(seconds)[0],
            processes=processes,
        )
        progress = trainer.run(resume=resume)
        processes.end()
        trained = Trained(bundle_folder(config), progress.history, {})
        return trained if run is None else _package(config, run, trainer, progress, proteins, trained)


def _read(
    config: TrainConfig, alphabet: Alphabet, device: torch.device, processes: Processes
) -> tuple[LabelledProteins, dict[str, LabelledProteins]]:
    """Read the table and its splits; what can be refused is refused now, not after hours of training."""
    path, max_residues = config.corpus.path, config.training.max_residues
    proteins = read_table(config.corpus, alphabet, config.model.families, domains=config.model.domains)
    proteins = assign_splits(proteins, config.split, path)
    parts = {name: select_split(proteins, name, path) for name in ("train", "valid")}
    for name, part in parts.items():
        check_classes(part, name, path)
    check_annotations(parts["train"], config.model, path)
    check_calibration(config.training.calibration, len(proteins.classes))
    lengths = parts["train"].lengths
    check_batches(config.model, max_residues, len(lengths) * int(lengths.max()), device, processes.size)
    processes.check_batches(lengths, max_residues)
    return proteins, parts


@contextmanager
def _recorded(config: TrainConfig, start: WarmStart | None, facts: Facts, parent: str) -> Iterator[Run]:
    """Keep the run folder, its record and the MLflow run while the block trains."""
    check_replaceable(bundle_folder(config), BUNDLE_FOLDER)
    folder, resumed = make_run_folder(config), bool(config.resume)
    with alone_in(folder):
        if not resumed:
            # MLflow may take its time to answer; an interruption from here on can be resumed.
            write_record(config, start)
        facts.params |= {f"init_from_{key}": value for key, value in initial_model(folder).items()}
        title = f"{model_name(config)} {datetime.now():%H:%M:%S}"
        with tracked(config.tracking, folder, title, facts, parent=parent, resume=resumed, watch=True) as run:
            yield run


def _package(
    config: TrainConfig, run: Run, trainer: Trainer, progress: Progress, proteins: LabelledProteins, trained: Trained
) -> Trained:
    initial = initial_model(trainer.folder)
    origin = {"mlflow_run_id": run.run_id, **({"init_from": initial} if initial else {})}
    bundle, scores = as_bundle(config, trainer, progress, proteins, origin)
    save_bundle(bundle, trained.bundle, model_card(bundle))
    trained = trained._replace(validation=scores)
    _log_end(config, run, trained, progress, validation_digest(trainer.validation))
    return trained._replace(registered=run.record.registered)


def pretrain(
    model: Classifier, config: TrainConfig, part: LabelledProteins, start: WarmStart | None, callbacks: Callbacks
) -> float:
    """Learn the first vectors of k-mers, unless `start` brought some; return the seconds that it took."""
    embedding = model.embedding
    is_copied = start is not None and "embedding.weight" in start.copied
    if config.model.embedding != "skipgram" or is_copied or not isinstance(embedding, KmerEmbedding):
        return 0.0
    return pretrain_kmers(embedding, part.tokens, config.training, config.runtime.seed, callbacks)


def _tags(config: TrainConfig, proteins: LabelledProteins, device: torch.device) -> dict[str, str]:
    names = {"job": "train", "corpus": config.corpus.name, "network": config.network or config.model.encoder}
    names["model"] = model_name(config)
    return names | {"split": split_policy(proteins, config.split), "device": device.type}


def _fingerprint(config: TrainConfig, proteins: LabelledProteins) -> str:
    training = {key: value for key, value in to_mapping(config.training).items() if key != "checkpoint_minutes"}
    parts = [to_mapping(config.model), training, to_mapping(config.split), config.runtime.seed]
    parts += [proteins.digest, proteins.classes]
    parts += [proteins.annotations.digest] if proteins.annotations else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def validation_digest(part: LabelledProteins) -> str:
    """Digest of the proteins that a score is of; scores with the same one can be compared."""
    proteins = columns_digest(part.frame.sort_values("id"), ["id", "sequence", "label"])
    return hashlib.sha256("\n".join([proteins, *part.classes]).encode()).hexdigest()


def _facts(
    config: TrainConfig,
    proteins: LabelledProteins,
    parts: dict[str, LabelledProteins],
    model: Classifier,
    device: torch.device,
    processes: Processes,
) -> Facts:
    """Return what MLflow shows of a training from its start on."""
    # Places are no properties of the training, and an address may hold a password.
    places = ("tracking", "run_dir", "bundle", "resume")
    params: dict[str, Any] = {"n_weights": sum(p.numel() for p in model.parameters()), "n_processes": processes.size}
    datasets, contexts = [], {"train": "training", "valid": "validation"}
    for name, part in parts.items():
        params |= {f"n_{name}": len(part.labels), f"residues_{name}": int(part.lengths.sum())}
        # MLflow takes data sets of one name and digest for one, and the digest is the whole table's.
        about = {"source": config.corpus.path, "name": f"{config.corpus.name} {name}", "digest": part.digest}
        datasets.append(dataset(part.frame, context=contexts[name], **about))
    manifest = parts["train"].manifest
    return Facts(
        tags=_tags(config, proteins, device),
        config={key: value for key, value in to_mapping(config).items() if key not in places},
        params=params,
        documents={"environment.json": describe(device)} | ({"manifest.json": manifest} if manifest else {}),
        datasets=datasets,
    )


def _log_end(config: TrainConfig, run: Run, trained: Trained, progress: Progress, validation: str) -> None:
    best = {"best_epoch": progress.best_epoch + 1, "best_valid_ap": progress.best_score}
    bundle = read_description(trained.bundle)
    scores = {f"{group_of('valid')}/{name}": value for name, value in trained.validation.items()}
    run.log(
        Facts(
            scores=[Scores(best), Scores(scores, model=bundle.sha256)],
            bundle=str(trained.bundle),
            validation_sha256=validation,
            note=describe_training(bundle.provenance, command_of(config)),
        )
    )


def _logging(callbacks: Callbacks, run: Run) -> Callbacks:
    def on_epoch(entry: dict[str, float]) -> None:
        # The page of a run shows groups in alphabetical order: these curves come before the final scores.
        values = {f"epoch/{key}": value for key, value in entry.items() if key != "epoch"}
        run.log_step(values, step=int(entry["epoch"]) + 1)
        callbacks.on_epoch(entry)

    return callbacks._replace(on_epoch=on_epoch)
