"""Two or more reports on the same proteins: which model is better, by how much, and how surely.

References
----------
.. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
   Psychometrika 12 (1947), 10.1007/BF02295996.
.. [2] J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960),
   10.1177/001316446002000104.
"""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from tfclass import __version__
from tfclass.config import EvaluationConfig
from tfclass.errors import ReportError
from tfclass.evaluation.bootstrap import Resampled
from tfclass.evaluation.comparisons import resampled
from tfclass.evaluation.plain import plain_estimates
from tfclass.evaluation.reading import Run
from tfclass.evaluation.scored import why_undefined
from tfclass.typing import BoolArray, IntArray

SCHEMA_VERSION = 1
COMPARED = ("average_precision", "mcc", "f1")


class McNemar(NamedTuple):
    """Proteins that just one of two models calls rightly, and how likely so uneven a share of them is by chance."""

    first_only: int
    second_only: int
    p_value: float


def mcnemar(first_right_N: BoolArray, second_right_N: BoolArray) -> McNemar:
    """Test whether two models are right equally often, by the exact binomial form of McNemar's test [1]_.

    It takes the proteins for independent, which those of one cluster are not: the bootstrap's intervals are the more
    careful answer.

    Parameters
    ----------
    first_right_N, second_right_N : ndarray of bool, shape (N,)

    Returns
    -------
    McNemar
        Two-sided; the p-value is 1 where the models are right on the same proteins.

    Examples
    --------
    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [True]))
    McNemar(first_only=6, second_only=1, p_value=0.125)
    """
    first_only = int(np.sum(first_right_N & ~second_right_N))
    second_only = int(np.sum(second_right_N & ~first_right_N))
    discordant = first_only + second_only
    p_value = float(binomtest(first_only, discordant).pvalue) if discordant else 1.0
    return McNemar(first_only, second_only, p_value)


def cohen_kappa(first_N: IntArray, second_N: IntArray) -> float:
    """Agreement of two models' calls beyond chance [2]_.

    Parameters
    ----------
    first_N, second_N : ndarray of int64, shape (N,)
        The classes called.

    Returns
    -------
    float
        1 is full agreement, 0 that of chance; NaN where both call one and the same class throughout.
    """
    n_classes = int(max(first_N.max(), second_N.max())) + 1
    first_C, second_C = (np.bincount(calls_N, minlength=n_classes) / len(calls_N) for calls_N in (first_N, second_N))
    by_chance = float(first_C @ second_C)
    if by_chance == 1.0:
        return float("nan")
    return float((np.mean(first_N == second_N) - by_chance) / (1 - by_chance))


def compare(runs: Sequence[Run], config: EvaluationConfig) -> dict[str, Any]:
    """Hold every run against the first.

    Parameters
    ----------
    runs : sequence of Run
        At least two, from `read_run`.
    config : EvaluationConfig
        Its `n_bootstrap`, `confidence` and `seed`.

    Returns
    -------
    dict
        The content of ``compare.json``, see ``docs/report.md``. JSON values.

    Raises
    ------
    ReportError
        There is but one run, or two of them scored different proteins, or took them for different ones.
    """
    if len(runs) < 2:
        raise ReportError("compare", f"{len(runs)} run{'s' if len(runs) != 1 else ''}", "at least two")
    twice = next((run.name for i, run in enumerate(runs) if run.name in {other.name for other in runs[:i]}), None)
    if twice is not None:
        raise ReportError(twice, "the same run twice", "each run once")
    first = runs[0]
    runs = [first, *(run.in_the_order_of(first) for run in runs[1:])]
    draws = [resampled(run.scored, first.clusters_N, config) for run in runs]
    counts = np.bincount(first.scored.labels_N, minlength=len(first.classes)).tolist()
    return {
        "schema_version": SCHEMA_VERSION,
        "tfclass_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "n_proteins": len(first.ids),
        "n_clusters": len(np.unique(first.clusters_N)),
        "class_counts": dict(zip(first.classes, counts, strict=True)),
        "prevalence": counts[1] / len(first.ids) if len(counts) == 2 else None,
        "confidence": config.confidence,
        "n_bootstrap": config.n_bootstrap,
        "reference": first.name,
        "runs": [_one(run, own, config) for run, own in zip(runs, draws, strict=True)],
        "pairs": [_pair(first, draws[0], run, own, config) for run, own in zip(runs[1:], draws[1:], strict=True)],
    }


def _one(run: Run, own: Resampled, config: EvaluationConfig) -> dict[str, Any]:
    estimates = own.estimates(config.confidence)
    metrics = plain_estimates({name: estimates[name] for name in COMPARED}, why_undefined(run.scored))
    return {"name": run.name, "model": run.model, "threshold": run.scored.threshold, "metrics": metrics}


def _pair(first: Run, reference: Resampled, run: Run, own: Resampled, config: EvaluationConfig) -> dict[str, Any]:
    labels_N, first_calls_N, calls_N = first.scored.labels_N, first.scored.calls_N, run.scored.calls_N
    differences = own.less(reference, config.confidence)
    reasons = {**why_undefined(first.scored), **why_undefined(run.scored)}
    test = mcnemar(first_calls_N == labels_N, calls_N == labels_N)
    kappa = cohen_kappa(first_calls_N, calls_N)
    defined = {"value": kappa} if np.isfinite(kappa) else {"value": None, "reason": "both call one class throughout"}
    return {
        "run": run.name,
        "reference": first.name,
        "difference": plain_estimates({name: differences[name] for name in COMPARED}, reasons),
        "mcnemar": {"reference_only": test.first_only, "run_only": test.second_only, "p_value": test.p_value},
        "same_calls": int(np.sum(first_calls_N == calls_N)),
        "kappa": defined,
    }


def comparison_table(content: dict[str, Any]) -> pd.DataFrame:
    """Flatten a comparison: a row for each run, empty cells where the first has no difference to itself.

    Returns
    -------
    DataFrame
        ``run, model, n_proteins, prevalence``, every metric of `COMPARED` with ``_low`` and ``_high``, the same behind
        ``difference_``, ``reference_only_right, run_only_right, mcnemar_p, same_calls, kappa``.
    """
    pairs = {pair["run"]: pair for pair in content["pairs"]}
    rows = []
    for run in content["runs"]:
        row: dict[str, Any] = {"run": run["name"], "model": run["model"], "n_proteins": content["n_proteins"]}
        row |= {"prevalence": content["prevalence"]} | _flat("", run["metrics"])
        pair = pairs.get(run["name"])
        if pair:
            row |= _flat("difference_", pair["difference"])
            row |= {
                "reference_only_right": pair["mcnemar"]["reference_only"],
                "run_only_right": pair["mcnemar"]["run_only"],
                "mcnemar_p": pair["mcnemar"]["p_value"],
                "same_calls": pair["same_calls"],
                "kappa": pair["kappa"]["value"],
            }
        rows.append(row)
    counts = ("reference_only_right", "run_only_right", "same_calls")
    return pd.DataFrame(rows).astype(dict.fromkeys(counts, "Int64"))


def _flat(prefix: str, estimates: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    ends = (("value", ""), ("low", "_low"), ("high", "_high"))
    return {f"{prefix}{name}{suffix}": e[key] for name, e in estimates.items() for key, suffix in ends}
