"""Every network on one corpus with the same budget, and one table."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfclass.bundle.bundle import Bundle, load_bundle
from tfclass.config import EvaluateConfig, EvaluationConfig, TrainConfig, ZooConfig, to_mapping
from tfclass.data.neighbours import check_neighbour, starts_with
from tfclass.data.table import read_table
from tfclass.errors import ConfigError, ReportError
from tfclass.evaluation.reading import read_content
from tfclass.io.files import make_folder, whole_file
from tfclass.models.factory import check_size
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.pipelines.run_folder import read_record, save_record
from tfclass.pipelines.train import train_and_package
from tfclass.sequences.alphabet import Alphabet
from tfclass.tracking.tracker import tracked
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.trainer import Hooks

TABLE = "zoo.tsv"


def run_zoo(config: ZooConfig, hooks_of: Callable[[str], Hooks] = lambda _: Hooks()) -> pd.DataFrame:
    """Train and evaluate every network of the configuration, one after the other.

    What is finished in ``run_dir`` is not done again, and what was interrupted goes on. In MLflow one run is the parent
    of all trainings.

    Parameters
    ----------
    hooks_of : callable, optional
        Name of a network -> hooks of its training.

    Returns
    -------
    DataFrame
        One row for each network, best validation average precision first: ``network, weights, epochs,
        train_residues_per_second, predict_residues_per_second, valid_ap, prevalence``, and value, ``_low`` and
        ``_high`` of ``test_ap`` and ``test_mcc``. The same is in ``zoo.tsv``.

    Raises
    ------
    TfclassError
        As `train_and_package` and `evaluate_bundle`; or ``run_dir`` holds a network trained with other options.
    Interrupted
        A training was stopped; calling again goes on.
    """
    folder = Path(config.run_dir)
    make_folder(folder)
    check_neighbour(folder / TABLE, starts_with("network", "weights", "epochs"), "run_dir")
    previous = read_record(folder, "zoo").get("mlflow_run_id", "")
    digest = read_table(config.corpus, Alphabet()).digest
    for name in config.models:
        train = _train_config(config, name, folder / name)
        check_size(train.model, Alphabet(), 2)
        _check_same(folder / name, train, digest)
    title = f"zoo {config.corpus.name}"
    tags = {"job": "zoo", "corpus": config.corpus.name, "split": config.split.policy}
    with tracked(config.tracking, title, tags, resume=previous, journal=folder) as tracker:
        parent = tracker.run_id
        # An address of MLflow may hold a password.
        asked = {key: value for key, value in to_mapping(config).items() if key != "tracking"}
        if not parent or parent != previous:
            tracker.facts("config.yaml", asked)
        save_record(folder, {"mlflow_run_id": parent, "config": asked})
    # MLflow takes one running run at a time; the parent is opened again for the table.
    rows = [_row(config, name, folder / name, hooks_of(name), parent) for name in config.models]
    table = pd.DataFrame(rows).sort_values("valid_ap", ascending=False, ignore_index=True)
    with whole_file(folder / TABLE) as stream:
        stream.write(table.to_csv(sep="\t", index=False, float_format="%.6g").encode())
    with tracked(config.tracking, title, tags, resume=parent, journal=folder) as tracker:
        tracker.facts("zoo.json", {"networks": table.to_dict("records")})
        for row in rows:
            tracker.metrics({f"{row['network']}/{key}": row[key] for key in ("valid_ap", "test_ap", "test_mcc")})
    return table


def _train_config(config: ZooConfig, name: str, folder: Path) -> TrainConfig:
    return TrainConfig(
        corpus=config.corpus,
        split=config.split,
        model=config.models[name],
        training=config.training,
        evaluation=config.evaluation,
        # Models of a comparison are not meant for use; registering them would crowd out those that are.
        tracking=replace(config.tracking, register=""),
        runtime=config.runtime,
        name=f"{config.corpus.name}-{name}",
        network=name,
        run_dir=str(folder),
        bundle=str(folder / "bundle"),
    )


def _check_same(folder: Path, config: TrainConfig, digest: str) -> None:
    record = read_record(folder)
    if not record:
        return
    action = "choose another run_dir, or remove this folder"
    bundle = folder / "bundle"
    if bundle.exists() and load_bundle(bundle).provenance.get("corpus", {}).get("sha256") != digest:
        raise ConfigError("run_dir", f"{folder}, trained on another table", "the same", action, key="corpus")
    before, now = record["config"], _plain(config)
    for key in ("split", "model", "training", "runtime"):
        if before.get(key) != now[key]:
            raise ConfigError("run_dir", f"{folder}, trained with other {key} options", "the same", action, key=key)


def _plain(config: TrainConfig | EvaluationConfig) -> dict[str, Any]:
    # JSON knows no tuples.
    return json.loads(json.dumps(to_mapping(config)))


def _row(config: ZooConfig, name: str, folder: Path, hooks: Hooks, parent: str) -> dict[str, Any]:
    bundle_folder, report_folder = folder / "bundle", folder / "report"
    train = _train_config(config, name, folder)
    if not bundle_folder.exists():
        resume = str(folder) if (folder / CHECKPOINT).exists() else ""
        train_and_package(replace(train, resume=resume), hooks, parent=parent)
    bundle = load_bundle(bundle_folder)
    if not _is_reported(report_folder, config, bundle):
        evaluate_bundle(
            EvaluateConfig(
                corpus=config.corpus,
                split=config.split,
                evaluation=config.evaluation,
                tracking=config.tracking,
                runtime=config.runtime,
                bundle=str(bundle_folder),
                report=str(report_folder),
            )
        )
    trained, report = bundle.provenance, read_content(report_folder, str(report_folder))
    return {
        "network": name,
        "weights": sum(p.numel() for p in bundle.model.parameters()),
        "epochs": trained["train_residues"] / trained["residues_train"],
        "train_residues_per_second": trained["train_residues"] / max(trained["train_seconds"], 1e-9),
        "valid_ap": trained["validation"]["average_precision"],
        **_measured(report),
    }


def _measured(report: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says of a report."""
    return {
        "predict_residues_per_second": report["residues_per_second"],
        "prevalence": report["prevalence"],
        **_with_interval("test_ap", report["metrics"]["average_precision"]),
        **_with_interval("test_mcc", report["metrics"].get("mcc", dict.fromkeys(("value", "low", "high")))),
    }


def _is_reported(report_folder: Path, config: ZooConfig, bundle: Bundle) -> bool:
    """Tell whether there is a report of this bundle with these options."""
    try:
        report = read_content(report_folder, str(report_folder))
        same = report["configuration"]["evaluation"] == _plain(config.evaluation)
        return same and report["bundle"]["sha256"] == bundle.digest and bool(_measured(report))
    except (ReportError, LookupError, TypeError, AttributeError):
        # There is none, or not one that was written here: the model is evaluated again.
        return False


def _with_interval(name: str, estimate: dict[str, float | None]) -> dict[str, float]:
    # A split of one class has no such metric.
    given = (np.nan if value is None else value for value in map(estimate.get, ("value", "low", "high")))
    return dict(zip((name, f"{name}_low", f"{name}_high"), given, strict=True))
