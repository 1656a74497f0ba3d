"""The report of an evaluation: ``report.html``, ``report.json``, ``predictions.tsv`` and the figures, in one folder."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfclass import __version__
from tfclass.bundle.bundle import Bundle
from tfclass.channels.thresholds import DecisionRule
from tfclass.config import EvaluateConfig, to_mapping
from tfclass.data.demo import is_generated
from tfclass.data.split import SPLITS, split_policy
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.baselines import Baseline, Baselines
from tfclass.evaluation.conclusions import compare_with_baseline, conclude
from tfclass.evaluation.content import SCHEMA_VERSION, ReportContent, ScoredCorpus, ScoredModel, SplitSize, to_json
from tfclass.evaluation.figures import report_figures
from tfclass.evaluation.homologues import Homologues, LeftOut, Nearest, leakage_audit
from tfclass.evaluation.metrics import resampled_metrics, scores_by_class
from tfclass.evaluation.mistakes import worst_mistakes
from tfclass.evaluation.page import render_page
from tfclass.evaluation.scored import Scored
from tfclass.evaluation.subgroups import score_subgroups
from tfclass.evaluation.threshold_table import apply_rules
from tfclass.io.drawing import png, svg
from tfclass.io.folders import FolderKind, whole_folder

CONTENT, PAGE, PREDICTIONS, EXPLANATIONS = "report.json", "report.html", "predictions.tsv", "explain"
_FIGURES = ("precision_recall", "roc", "calibration", "confusion", "scores")


def _written(content: dict[str, Any]) -> list[str]:
    groupings = content["subgroups"] if isinstance(content["subgroups"], dict) else ()
    written = [PAGE, PREDICTIONS, *(f"figures/{name}.png" for name in [*_FIGURES, *(f"by_{key}" for key in groupings)])]
    configuration = content.get("configuration")
    evaluation = configuration.get("evaluation") if isinstance(configuration, dict) else None
    if isinstance(evaluation, dict) and evaluation.get("explain"):
        written.append(EXPLANATIONS)
    # The record for MLflow is of the report that it lies in.
    return [*written, "tracking.json"]


REPORT_FOLDER = FolderKind(CONTENT, ("schema_version", "bundle", "metrics", "subgroups"), _written)


class Evaluation(NamedTuple):
    """The inputs of a report.

    Attributes
    ----------
    channel, decision_rule
        The channel that was scored, and its rule.
    corpus, test, train : LabelledProteins
        The whole table, the proteins scored, and the training split where the table has one.
    homologues : Homologues
        Of `test`, among `train`.
    """

    config: EvaluateConfig
    bundle: Bundle
    channel: str
    decision_rule: DecisionRule
    corpus: LabelledProteins
    test: LabelledProteins
    scored: Scored
    train: LabelledProteins | None
    homologues: Homologues
    baselines: Baselines


@dataclass(frozen=True)
class Report:
    """The parts of a report: content, table of predictions, and figures by file name without suffix."""

    content: ReportContent
    predictions: pd.DataFrame
    figures: dict[str, Figure]


def make_report(
    evaluation: Evaluation, environment: dict[str, Any], *, command: str, residues_per_second: float, started: float
) -> Report:
    """Score, compare with the baselines, score the subgroups, draw; `started` is by `time.monotonic`."""
    bundle, test, scored, config = evaluation.bundle, evaluation.test, evaluation.scored, evaluation.config.evaluation
    clusters_N = test.frame["cluster"].to_numpy(dtype=str)
    own = resampled_metrics(scored, clusters_N, config)
    metrics = own.estimates()
    run = {name: baseline for name, baseline in evaluation.baselines.items() if isinstance(baseline, Baseline)}
    others = {name: baseline.scored(test.labels) for name, baseline in run.items()}
    compared = {name: compare_with_baseline(own, b, others[name], clusters_N, config) for name, b in run.items()}
    closest = Nearest.among(evaluation.train, evaluation.homologues, len(test.labels))
    subgroups = score_subgroups(test, scored, closest, config, others.get("top_hit"))
    figures = report_figures(scored, test.classes, metrics, config.n_calibration_bins, others, subgroups)
    counts = _counts(test)
    content = ReportContent(
        schema_version=SCHEMA_VERSION,
        tfclass_version=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        bundle=_model(evaluation),
        corpus=_corpus(evaluation),
        n_proteins=len(test.labels),
        n_clusters=int(test.frame["cluster"].nunique()),
        class_counts=counts,
        prevalence=counts[test.classes[1]] / len(test.labels) if len(counts) == 2 else None,
        confidence=config.confidence,
        n_bootstrap=config.n_bootstrap,
        conclusions=conclude(bundle.name, metrics, compared),
        metrics=metrics,
        baselines={n: b if isinstance(b, LeftOut) else compared[n] for n, b in evaluation.baselines.items()},
        classes=scores_by_class(scored, test.classes),
        subgroups=subgroups,
        thresholds=apply_rules(evaluation.decision_rule, scored),
        mistakes=worst_mistakes(test, scored, closest),
        leakage=leakage_audit(test, closest),
        configuration={key: value for key, value in to_mapping(evaluation.config).items() if key != "tracking"},
        environment=environment,
        command=command,
        residues_per_second=residues_per_second,
        seconds=round(time.monotonic() - started, 1),
    )
    return Report(content, _predictions(test, scored, closest), figures)


def write_report(report: Report, folder: Path, explain: Callable[[Path], None] | None = None) -> None:
    """Write the folder whole or not at all; a report already there is replaced.

    Parameters
    ----------
    explain : callable, optional
        Fills the folder of explanations.
    """
    with whole_folder(folder, REPORT_FOLDER) as building:
        text = json.dumps(to_json(report.content), indent=1, allow_nan=False)
        (building / CONTENT).write_text(text + "\n", encoding="utf-8")
        # In full: from rounded probabilities other scores would follow than those in the report.
        report.predictions.to_csv(building / PREDICTIONS, sep="\t", index=False)
        (building / "figures").mkdir()
        for name, figure in report.figures.items():
            (building / "figures" / f"{name}.png").write_bytes(png(figure))
        page = render_page(report.content, {name: svg(figure) for name, figure in report.figures.items()})
        (building / PAGE).write_text(page, encoding="utf-8", errors="replace")
        if explain is not None:
            (building / EXPLANATIONS).mkdir()
            explain(building / EXPLANATIONS)


def _model(evaluation: Evaluation) -> ScoredModel:
    bundle, threshold = evaluation.bundle, evaluation.decision_rule.threshold
    made, run_id = bundle.provenance.get("created"), bundle.provenance.get("mlflow_run_id")
    return ScoredModel(bundle.name, bundle.network, bundle.digest, evaluation.channel, threshold, made, run_id)


def _corpus(evaluation: Evaluation) -> ScoredCorpus:
    config, bundle, corpus = evaluation.config, evaluation.bundle, evaluation.corpus
    trained_on = bundle.provenance.get("corpus", {})
    return ScoredCorpus(
        name=config.corpus.name,
        path=config.corpus.path,
        sha256=corpus.digest,
        same_as_in_training=corpus.digest == trained_on.get("sha256"),
        split_policy=split_policy(corpus, config.split),
        split=config.evaluation.split,
        splits=_splits(corpus),
        note=_mismatch(trained_on_generated=bundle.trained_on_generated, generated=is_generated(corpus.frame)),
    )


def _mismatch(*, trained_on_generated: bool, generated: bool) -> str | None:
    """Return a note where only one of model and corpus is of generated proteins; else None."""
    if trained_on_generated == generated:
        return None
    if generated:
        return "Note: the demo corpus is generated: this score says nothing about real proteins."
    return "Note: the model was trained on generated proteins: this score says nothing about models of real proteins."


def _splits(corpus: LabelledProteins) -> dict[str, SplitSize]:
    found = {}
    names = corpus.frame["split"] if "split" in corpus.frame else pd.Series(dtype=str)
    for name in sorted(set(names), key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)):
        part = corpus.select((names == name).to_numpy())
        n_clusters = int(part.frame["cluster"].nunique())
        found[name] = SplitSize(len(part.labels), n_clusters, int(part.lengths.sum()), _counts(part))
    return found


def _counts(proteins: LabelledProteins) -> dict[str, int]:
    counts = np.bincount(proteins.labels, minlength=len(proteins.classes)).tolist()
    return dict(zip(proteins.classes, counts, strict=True))


def _predictions(test: LabelledProteins, scored: Scored, closest: Nearest) -> pd.DataFrame:
    predicted_N = scored.predicted_N
    binary = scored.n_classes == 2
    frame = pd.DataFrame(
        {
            "id": test.frame["id"].to_numpy(),
            "label": test.frame["label"].to_numpy(),
            "call": [test.classes[i] for i in predicted_N],
            "probability": scored.probability_NC[np.arange(len(predicted_N)), 1 if binary else predicted_N],
            "cluster": test.frame["cluster"].to_numpy(),
            "length": test.lengths,
            "nearest": closest.frame["id"].to_numpy(),
            "identity": closest.frame["identity"].to_numpy(),
        }
    )
    if not binary:
        frame = frame.assign(**{f"p:{name}": scored.probability_NC[:, c] for c, name in enumerate(test.classes)})
    return frame
