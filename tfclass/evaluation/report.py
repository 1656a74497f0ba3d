"""The report of an evaluation: ``report.json``, ``predictions.tsv`` and the figures, in one folder."""

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfclass import __version__
from tfclass.bundle.bundle import Bundle
from tfclass.config import EvaluateConfig
from tfclass.corpus.table import LabelledProteins
from tfclass.evaluation.baselines import composition_regression
from tfclass.evaluation.calibration import max_mcc_threshold
from tfclass.evaluation.figures import evaluation_figures
from tfclass.evaluation.metrics import Estimate, Scored, cluster_bootstrap
from tfclass.files import whole_folder

SCHEMA_VERSION = 1
CONTENT = "report.json"


@dataclass(frozen=True)
class Report:
    """What is written, and recorded in MLflow.

    Attributes
    ----------
    content : dict
        JSON values; ``docs/report.md`` describes the schema. An undefined number is null.
    predictions : DataFrame
        ``id, label, call, probability, cluster`` of every protein scored.
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
        corpus: LabelledProteins,
        test: LabelledProteins,
        scored: Scored,
        train: LabelledProteins | None,
        environment: dict[str, Any],
    ) -> "Report":
        """Score, compare with the baseline, draw.

        Parameters
        ----------
        config : EvaluateConfig
        bundle : Bundle
        corpus : LabelledProteins
            The whole table, for its digest.
        test : LabelledProteins
            The proteins scored.
        scored : Scored
        train : LabelledProteins or None
            What the baseline is fitted on; None leaves it out.
        environment : dict
        """
        metrics = _estimate(config, scored, test)
        counts = np.bincount(test.labels, minlength=len(test.classes)).tolist()
        content = {
            "schema_version": SCHEMA_VERSION,
            "tfclass_version": __version__,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "bundle": {"name": bundle.name, "sha256": bundle.digest, "threshold": bundle.threshold},
            "corpus": {
                "name": config.corpus.name,
                "path": config.corpus.path,
                "sha256": corpus.digest,
                "same_as_in_training": corpus.digest == bundle.provenance.get("corpus", {}).get("sha256"),
                "split_policy": config.split.policy,
                "split": config.evaluation.split,
            },
            "n_proteins": len(test.labels),
            "n_clusters": int(test.frame["cluster"].nunique()),
            "class_counts": dict(zip(test.classes, counts, strict=True)),
            "prevalence": counts[-1] / len(test.labels) if len(counts) == 2 else None,
            "confidence": config.evaluation.confidence,
            "n_bootstrap": config.evaluation.n_bootstrap,
            "metrics": _as_json(metrics),
            "baselines": _baselines(config, test, train),
            "environment": environment,
        }
        figures = evaluation_figures(scored, test.classes, metrics, config.evaluation.n_calibration_bins)
        return cls(content, _predictions(test, scored), figures)

    def numbers(self) -> dict[str, float]:
        """Flatten the metrics, their intervals and the baselines' for tracking; undefined ones are left out."""
        flat: dict[str, float] = {"n_proteins": self.content["n_proteins"]}
        if self.content["prevalence"] is not None:
            flat["prevalence"] = self.content["prevalence"]
        split = self.content["corpus"]["split"]
        groups = {f"{split}_": self.content["metrics"]}
        groups |= {f"{split}_{name}_": b["metrics"] for name, b in self.content["baselines"].items() if "metrics" in b}
        for prefix, metrics in groups.items():
            for name, estimate in metrics.items():
                for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                    if estimate[key] is not None:
                        flat[f"{prefix}{name}{suffix}"] = estimate[key]
        return flat


def write_report(report: Report, folder: Path) -> None:
    """Write the folder whole or not at all; a report already there is replaced.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with whole_folder(folder, CONTENT) as building:
        text = json.dumps(report.content, indent=1, allow_nan=False)
        (building / CONTENT).write_text(text + "\n", encoding="utf-8")
        report.predictions.to_csv(building / "predictions.tsv", sep="\t", index=False, float_format="%.6f")
        (building / "figures").mkdir()
        for name, figure in report.figures.items():
            figure.savefig(building / "figures" / f"{name}.png")


def _estimate(config: EvaluateConfig, scored: Scored, test: LabelledProteins) -> dict[str, Estimate]:
    return cluster_bootstrap(
        scored,
        test.frame["cluster"].to_numpy(dtype=str),
        n_bins=config.evaluation.n_calibration_bins,
        n_resamples=config.evaluation.n_bootstrap,
        confidence=config.evaluation.confidence,
        seed=config.evaluation.seed,
    )


def _as_json(metrics: dict[str, Estimate]) -> dict[str, dict[str, float | None]]:
    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {name: {key: number(value) for key, value in e._asdict().items()} for name, e in metrics.items()}


def _baselines(config: EvaluateConfig, test: LabelledProteins, train: LabelledProteins | None) -> dict[str, Any]:
    name = "composition_regression"
    if not config.evaluation.baselines:
        return {name: {"left_out": "evaluation.baselines is false"}}
    if train is None or len(np.unique(train.labels)) < 2:
        return {name: {"left_out": "the table has no train split with two classes to fit it on"}}
    probability_NC = composition_regression(train, test)
    # Like the model's, the threshold may not be chosen on the proteins that are scored.
    threshold = None
    if len(test.classes) == 2:
        threshold = max_mcc_threshold(composition_regression(train, train)[:, 1], train.labels == 1)
    scored = Scored(probability_NC, test.labels, threshold)
    return {name: {"metrics": _as_json(_estimate(config, scored, test)), "threshold": threshold}}


def _predictions(test: LabelledProteins, scored: Scored) -> pd.DataFrame:
    calls_N = scored.calls_N
    binary = scored.probability_NC.shape[1] == 2
    shown_N = scored.probability_NC[:, 1] if binary else scored.probability_NC[np.arange(len(calls_N)), calls_N]
    return pd.DataFrame(
        {
            "id": test.frame["id"].to_numpy(),
            "label": test.frame["label"].to_numpy(),
            "call": [test.classes[i] for i in calls_N],
            "probability": shown_N,
            "cluster": test.frame["cluster"].to_numpy(),
        }
    )
