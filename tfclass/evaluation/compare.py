"""Comparison of two or more reports on the same proteins: differences with intervals, and tests.

References
----------
.. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
   Psychometrika 12 (1947), 10.1007/BF02295996.
.. [2] J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960),
   10.1177/001316446002000104.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from tfclass import __version__
from tfclass.config import EvaluationConfig
from tfclass.errors import ReportError
from tfclass.evaluation.bootstrap import Estimate, Resampled
from tfclass.evaluation.metrics import resampled_metrics
from tfclass.evaluation.report_reader import Run
from tfclass.typing import BoolArray, IntArray

SCHEMA_VERSION = 2
COMPARED = ("average_precision", "mcc", "f1")


@dataclass(frozen=True)
class McNemar:
    """Proteins that only one of two runs predicts correctly, and the p-value of McNemar's test."""

    reference_only: int
    run_only: int
    p_value: float


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa; None where undefined, with the reason."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class ComparedRun:
    """A run and its metrics."""

    name: str
    model: str
    threshold: float | None
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class Pair:
    """A run compared with the reference; `difference` is run less reference by metric."""

    run: str
    reference: str
    difference: dict[str, Estimate]
    mcnemar: McNemar
    same_predictions: int
    kappa: Kappa


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The content of ``compare.json``; ``docs/reference/report.md`` describes the schema."""

    schema_version: int
    tfclass_version: str
    created: str
    n_proteins: int
    n_clusters: int
    class_counts: dict[str, int]
    prevalence: float | None
    confidence: float
    n_bootstrap: int
    reference: str
    runs: list[ComparedRun]
    pairs: list[Pair]

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON values."""
        return TypeAdapter(Comparison).dump_python(self, mode="json", exclude_defaults=True)

    def table(self) -> pd.DataFrame:
        """Return the content of ``compare.tsv``: a row for each run, with empty cells for the reference."""
        pairs, rows = {pair.run: pair for pair in self.pairs}, []
        for run in self.runs:
            row: dict[str, Any] = {"run": run.name, "model": run.model, "n_proteins": self.n_proteins}
            row |= {"prevalence": self.prevalence} | _flat("", run.metrics)
            if pair := pairs.get(run.name):
                row |= _flat("difference_", pair.difference)
                row |= {"reference_only_right": pair.mcnemar.reference_only, "run_only_right": pair.mcnemar.run_only}
                row |= {"mcnemar_p": pair.mcnemar.p_value, "same_calls": pair.same_predictions}
                row |= {"kappa": pair.kappa.value}
            rows.append(row)
        counts = ("reference_only_right", "run_only_right", "same_calls")
        return pd.DataFrame(rows).astype(dict.fromkeys(counts, "Int64"))

    def numbers(self) -> dict[str, float]:
        """Return the differences of each run to the reference for tracking, by name; undefined ones are left out."""
        numbers: dict[str, float] = {}
        for place, pair in enumerate(self.pairs, start=1):
            values = {"mcnemar_p": pair.mcnemar.p_value, "kappa": pair.kappa.value}
            values |= {f"difference_in_{name}": estimate.value for name, estimate in pair.difference.items()}
            numbers |= {f"run_{place}/{name}": value for name, value in values.items() if value is not None}
        return numbers


def compare(runs: Sequence[Run], config: EvaluationConfig) -> Comparison:
    """Compare every run with the first.

    Raises
    ------
    ReportError
        There is only one run, or two of them scored different proteins or labels.
    """
    if len(runs) < 2:
        raise ReportError(f"compare: found {len(runs)} run{'s' if len(runs) != 1 else ''}; expected at least two")
    names = [run.name for run in runs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ReportError(f"{repeated}: found the same run twice; expected each run once")
    first = runs[0]
    runs = [first, *(run.in_the_order_of(first) for run in runs[1:])]
    resampled = [resampled_metrics(run.scored, first.clusters_N, config) for run in runs]
    counts = np.bincount(first.scored.labels_N, minlength=len(first.classes)).tolist()
    return Comparison(
        schema_version=SCHEMA_VERSION,
        tfclass_version=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        n_proteins=len(first.ids_N),
        n_clusters=len(np.unique(first.clusters_N)),
        class_counts=dict(zip(first.classes, counts, strict=True)),
        prevalence=counts[1] / len(first.ids_N) if len(counts) == 2 else None,
        confidence=config.confidence,
        n_bootstrap=config.n_bootstrap,
        reference=first.name,
        runs=[
            ComparedRun(run.name, run.model, run.scored.threshold, _compared(own.estimates()))
            for run, own in zip(runs, resampled, strict=True)
        ],
        pairs=[_pair(first, resampled[0], run, own) for run, own in zip(runs[1:], resampled[1:], strict=True)],
    )


def _pair(first: Run, reference: Resampled, run: Run, own: Resampled) -> Pair:
    labels_N, predicted_N, reference_N = run.scored.labels_N, run.scored.predicted_N, first.scored.predicted_N
    return Pair(
        run.name,
        first.name,
        _compared(own.minus(reference)),
        mcnemar(reference_N == labels_N, predicted_N == labels_N),
        int(np.sum(reference_N == predicted_N)),
        kappa(reference_N, predicted_N),
    )


def mcnemar(reference_correct_N: BoolArray, run_correct_N: BoolArray) -> McNemar:
    """Test whether two runs are correct equally often, by the exact binomial form of McNemar's test [1]_, two-sided.

    It assumes independent proteins, which those of one cluster are not: the bootstrap's intervals are more careful.

    Examples
    --------
    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [True]))
    McNemar(reference_only=6, run_only=1, p_value=0.125)
    """
    reference_only = int(np.sum(reference_correct_N & ~run_correct_N))
    run_only = int(np.sum(run_correct_N & ~reference_correct_N))
    discordant = reference_only + run_only
    p_value = float(binomtest(reference_only, discordant).pvalue) if discordant else 1.0
    return McNemar(reference_only, run_only, p_value)


def kappa(first_N: IntArray, second_N: IntArray) -> Kappa:
    """Compute the agreement of two runs' predictions beyond chance [2]_, from classes of shape (N,)."""
    if len(np.union1d(first_N, second_N)) == 1:
        return Kappa(None, "both predict one class throughout")
    return Kappa(float(cohen_kappa_score(first_N, second_N)))


def _compared(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {name: estimates[name] for name in COMPARED}


def _flat(prefix: str, estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for name, e in estimates.items():
        flat |= {f"{prefix}{name}": e.value, f"{prefix}{name}_low": e.low, f"{prefix}{name}_high": e.high}
    return flat
