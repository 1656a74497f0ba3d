"""The report of an evaluation: ``report.html``, ``report.json``, ``predictions.tsv`` and the figures, in one folder."""

import json
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
from tfclass.config import Channel, EvaluateConfig, to_mapping
from tfclass.data.demo import is_generated
from tfclass.data.split import SPLITS, split_policy
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.baselines import Baseline, Homologues, LeftOut
from tfclass.evaluation.breakdown import break_down
from tfclass.evaluation.calls import ClassScores, per_class
from tfclass.evaluation.comparisons import contest, resampled, scored_baseline, spoken, verdicts
from tfclass.evaluation.figures import evaluation_figures, png, svg
from tfclass.evaluation.mistakes import worst_mistakes
from tfclass.evaluation.page import render_page
from tfclass.evaluation.plain import plain_estimates, plain_number
from tfclass.evaluation.proximity import Nearest, leakage_audit
from tfclass.evaluation.scored import Scored, why_undefined
from tfclass.evaluation.threshold_table import threshold_rules
from tfclass.io.folders import FolderKind, whole_folder
from tfclass.tracking.journal import FOLDER as JOURNAL

SCHEMA_VERSION = 2
CONTENT, PAGE, PREDICTIONS = "report.json", "report.html", "predictions.tsv"
_FIGURES = ("precision_recall", "roc", "calibration", "confusion", "scores")


def _written(content: dict[str, Any]) -> list[str]:
    slices = content["slices"] if isinstance(content["slices"], dict) else ()
    figures = [*_FIGURES, *(f"by_{key}" for key in slices)]
    return [PAGE, PREDICTIONS, JOURNAL, *(f"figures/{name}.png" for name in figures)]


REPORT_FOLDER = FolderKind(CONTENT, ("schema_version", "bundle", "metrics", "slices"), _written)


class Rivals(NamedTuple):
    """What the model is held against.

    Attributes
    ----------
    train : LabelledProteins or None
        The table's training split.
    homologues : Homologues
        Of the scored proteins, among the training proteins.
    """

    train: LabelledProteins | None
    homologues: Homologues
    baselines: dict[str, Baseline | LeftOut]


@dataclass(frozen=True)
class Report:
    """What is written, and recorded in MLflow.

    Attributes
    ----------
    content : dict
        JSON values; ``docs/report.md`` describes the schema. An undefined number is null.
    predictions : DataFrame
        ``id, label, call, probability, cluster, length, nearest, identity`` of every protein scored, and in a
        multi-class task ``p:CLASS`` for each class.
    figures : dict of str to Figure
        By file name without suffix.
    """

    content: dict[str, Any]
    predictions: pd.DataFrame
    figures: dict[str, Figure]

    @classmethod
    def make(
        cls,
        config: EvaluateConfig,
        bundle: Bundle,
        channel: Channel,
        decision_rule: DecisionRule,
        corpus: LabelledProteins,
        test: LabelledProteins,
        scored: Scored,
        rivals: Rivals,
        environment: dict[str, Any],
    ) -> "Report":
        """Score, compare with the baselines, break down, draw.

        Parameters
        ----------
        channel : {'network', 'profile', 'homology', 'combined'}
            The evidence that scored.
        decision_rule : DecisionRule
            Of that channel.
        corpus : LabelledProteins
            The whole table.
        test : LabelledProteins
            The proteins scored.
        """
        clusters_N = test.frame["cluster"].to_numpy(dtype=str)
        own = resampled(scored, clusters_N, config.evaluation)
        estimates = own.estimates(config.evaluation.confidence)
        metrics = plain_estimates(estimates, why_undefined(scored))
        baselines = contest(own, rivals.baselines, test.labels, clusters_N, config.evaluation)
        ran = {n: scored_baseline(b, test.labels) for n, b in rivals.baselines.items() if isinstance(b, Baseline)}
        closest = Nearest.among(rivals.train, rivals.homologues, len(test.labels))
        slices = break_down(test, scored, closest, config.evaluation, ran.get("top_hit"))
        content = {
            "schema_version": SCHEMA_VERSION,
            "tfclass_version": __version__,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "bundle": _model(bundle, channel, decision_rule),
            **_what_was_scored(config, bundle, corpus, test),
            "confidence": config.evaluation.confidence,
            "n_bootstrap": config.evaluation.n_bootstrap,
            "verdicts": verdicts(bundle.name, metrics, baselines),
            "metrics": metrics,
            "baselines": baselines,
            "classes": [_plain_class(scores) for scores in per_class(scored, test.classes)],
            "slices": slices,
            "thresholds": threshold_rules(decision_rule, scored),
            "mistakes": worst_mistakes(test, scored, closest),
            "leakage": leakage_audit(test, closest),
            "configuration": _plain_configuration(config),
            "environment": environment,
        }
        figures = evaluation_figures(
            scored,
            test.classes,
            metrics,
            config.evaluation.n_calibration_bins,
            rivals={spoken(name): rival for name, rival in ran.items()},
            slices=slices,
        )
        return cls(content, _predictions(test, scored, closest), figures)

    def numbers(self) -> dict[str, float]:
        """Return the metrics for tracking, by name; undefined ones are left out.

        Of each baseline only the metrics that the verdicts rest on, and the lead over it in them. All others, and
        every interval, are in ``report.json``.
        """
        found = dict(self.content["metrics"])
        for name, baseline in self.content["baselines"].items():
            for metric, lead in baseline.get("difference", {}).items():
                found |= {f"{name}/{metric}": baseline["metrics"][metric], f"{name}/lead_in_{metric}": lead}
        return {name: estimate["value"] for name, estimate in found.items() if estimate["value"] is not None}


def write_report(report: Report, folder: Path) -> None:
    """Write the folder whole or not at all; a report already there is replaced.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with whole_folder(folder, REPORT_FOLDER) as building:
        text = json.dumps(report.content, indent=1, allow_nan=False)
        (building / CONTENT).write_text(text + "\n", encoding="utf-8")
        # In full: from rounded probabilities other scores would follow than those in the report.
        report.predictions.to_csv(building / PREDICTIONS, sep="\t", index=False)
        (building / "figures").mkdir()
        for name, figure in report.figures.items():
            (building / "figures" / f"{name}.png").write_bytes(png(figure))
        page = render_page(report.content, {name: svg(figure) for name, figure in report.figures.items()})
        (building / PAGE).write_text(page, encoding="utf-8", errors="replace")


def _model(bundle: Bundle, channel: Channel, decision_rule: DecisionRule) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "network": bundle.network,
        "sha256": bundle.digest,
        "evidence": channel,
        "threshold": decision_rule.threshold,
        "created": bundle.provenance.get("created"),
        "mlflow_run_id": bundle.provenance.get("mlflow_run_id"),
    }


def _what_was_scored(
    config: EvaluateConfig, bundle: Bundle, corpus: LabelledProteins, test: LabelledProteins
) -> dict[str, Any]:
    trained_on = bundle.provenance.get("corpus", {})
    counts = _counts(test)
    return {
        "corpus": {
            "name": config.corpus.name,
            "path": config.corpus.path,
            "sha256": corpus.digest,
            "same_as_in_training": corpus.digest == trained_on.get("sha256"),
            "split_policy": split_policy(corpus, config.split),
            "split": config.evaluation.split,
            "splits": _splits(corpus),
            "note": _mismatch(trained_on_generated=bundle.trained_on_generated, generated=is_generated(corpus.frame)),
        },
        "n_proteins": len(test.labels),
        "n_clusters": int(test.frame["cluster"].nunique()),
        "class_counts": counts,
        "prevalence": counts[test.classes[1]] / len(test.labels) if len(counts) == 2 else None,
    }


def _mismatch(*, trained_on_generated: bool, generated: bool) -> str | None:
    """Say what a score does not mean, where only one of model and corpus is of generated proteins; else None."""
    if trained_on_generated == generated:
        return None
    if generated:
        return "Note: the demo corpus is generated: this score says nothing about real proteins."
    return "Note: the model was trained on generated proteins: this score says nothing about models of real proteins."


def _plain_configuration(config: EvaluateConfig) -> dict[str, Any]:
    # JSON knows no tuples.
    return json.loads(json.dumps({key: value for key, value in to_mapping(config).items() if key != "tracking"}))


def _splits(corpus: LabelledProteins) -> dict[str, dict[str, Any]]:
    if "split" not in corpus.frame:
        return {}
    found = {}
    for name in sorted(set(corpus.frame["split"]), key=_split_order):
        part = corpus.select((corpus.frame["split"] == name).to_numpy())
        found[name] = {
            "n_proteins": len(part.labels),
            "n_clusters": int(part.frame["cluster"].nunique()),
            "residues": int(part.lengths.sum()),
            "class_counts": _counts(part),
        }
    return found


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _counts(proteins: LabelledProteins) -> dict[str, int]:
    counts = np.bincount(proteins.labels, minlength=len(proteins.classes)).tolist()
    return dict(zip(proteins.classes, counts, strict=True))


def _plain_class(scores: ClassScores) -> dict[str, Any]:
    return {key: plain_number(v) if isinstance(v, float) else v for key, v in scores._asdict().items()}


def _predictions(test: LabelledProteins, scored: Scored, closest: Nearest) -> pd.DataFrame:
    calls_N = scored.calls_N
    binary = scored.n_classes == 2
    frame = pd.DataFrame(
        {
            "id": test.frame["id"].to_numpy(),
            "label": test.frame["label"].to_numpy(),
            "call": [test.classes[i] for i in calls_N],
            "probability": scored.probability_NC[np.arange(len(calls_N)), 1 if binary else calls_N],
            "cluster": test.frame["cluster"].to_numpy(),
            "length": test.lengths,
            "nearest": closest.ids_N,
            "identity": closest.identity_N,
        }
    )
    if not binary:
        frame = frame.assign(**{f"p:{name}": scored.probability_NC[:, c] for c, name in enumerate(test.classes)})
    return frame
