"""The model against the baselines, on the same proteins and the same resamples of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfclass.config import EvaluationConfig
from tfclass.evaluation.baselines import Baseline, LeftOut
from tfclass.evaluation.bootstrap import Resampled
from tfclass.evaluation.metrics import Scored, resampled_metrics, why_undefined
from tfclass.evaluation.plain import plain_estimate, plain_estimates
from tfclass.typing import IntArray

# By these a model is held against a baseline: how it ranks, and how it calls.
DECISIVE = {"average_precision": "average precision", "mcc": "MCC"}
# What is said of an outcome, the worst first.
_VERBS = {
    "loses": "loses to",
    "behind": "is behind",
    "undecided": "cannot be compared with",
    "ahead": "is not clearly better than",
    "wins": "beats",
}


def spoken(name: str) -> str:
    """Give a baseline's name as words, for headings and legends."""
    return name.replace("_", " ").replace("kmer", "k-mer")


def scored_baseline(baseline: Baseline, labels_N: IntArray) -> Scored:
    """Put a baseline's answers beside the true labels."""
    return Scored(baseline.scores_NC, labels_N, baseline.threshold, baseline.is_probability)


def resampled(scored: Scored, clusters_N: npt.NDArray[np.str_], config: EvaluationConfig) -> Resampled:
    """Compute every metric on the proteins and on resamples of their clusters; the same for all who are compared."""
    return resampled_metrics(
        scored, clusters_N, n_bins=config.n_calibration_bins, n_resamples=config.n_bootstrap, seed=config.seed
    )


def contest(
    model: Resampled,
    baselines: Mapping[str, Baseline | LeftOut],
    labels_N: IntArray,
    clusters_N: npt.NDArray[np.str_],
    config: EvaluationConfig,
) -> dict[str, dict[str, Any]]:
    """Score each baseline and take it from the model's scores.

    Parameters
    ----------
    model : Resampled
        From `resampled`, with the same clusters and configuration.
    baselines : mapping of str to Baseline or LeftOut
    labels_N : ndarray of int64, shape (N,)
    clusters_N : ndarray of str, shape (N,)

    Returns
    -------
    dict of str to dict
        By name: ``title``, and ``left_out`` with the reason; or ``note``, ``threshold``, ``metrics`` and
        ``difference``, model less baseline, of the metrics of `DECISIVE`. JSON values.
    """
    return {
        name: {"title": baseline.title, "left_out": baseline.reason}
        if isinstance(baseline, LeftOut)
        else _against(model, baseline, scored_baseline(baseline, labels_N), clusters_N, config)
        for name, baseline in baselines.items()
    }


def _against(
    model: Resampled,
    baseline: Baseline,
    scored: Scored,
    clusters_N: npt.NDArray[np.str_],
    config: EvaluationConfig,
) -> dict[str, Any]:
    rival = resampled(scored, clusters_N, config)
    reasons = why_undefined(scored)
    differences = model.less(rival, config.confidence)
    return {
        "title": baseline.title,
        "note": baseline.note,
        "threshold": baseline.threshold,
        "metrics": plain_estimates(rival.estimates(config.confidence), reasons),
        "difference": {name: plain_estimate(differences[name], reasons.get(name, "")) for name in DECISIVE},
    }


def verdicts(name: str, metrics: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Say in words how the model does against each baseline that was run.

    Parameters
    ----------
    name : str
        Of the model.
    metrics : mapping
        Of the model, as in the report.
    baselines : mapping
        From `contest`.

    Returns
    -------
    list of dict of str to str
        ``baseline``, ``outcome`` and ``text``, the worst first. The model ``loses`` when it is behind in a metric of
        `DECISIVE` by more than chance explains (the interval ends below 0), is ``behind`` when it may be chance,
        ``wins`` when it is ahead in all by more than chance explains, is ``ahead`` when it may be chance, and
        ``undecided`` where none of the metrics is defined.
    """
    found = [_verdict(name, metrics, key, b) for key, b in baselines.items() if "difference" in b]
    order = list(_VERBS)
    return sorted(found, key=lambda verdict: order.index(verdict["outcome"]))


def _verdict(name: str, metrics: Mapping[str, Any], key: str, baseline: Mapping[str, Any]) -> dict[str, str]:
    known = {metric: d for metric, d in baseline["difference"].items() if d["value"] is not None}
    details = "; ".join(
        f"{DECISIVE[metric]} {metrics[metric]['value']:.3f} against {baseline['metrics'][metric]['value']:.3f}, "
        f"difference {difference_in_words(d)}"
        for metric, d in known.items()
    )
    if not known:
        details = next(iter(baseline["difference"].values()))["reason"]
    outcome = _outcome(list(known.values()))
    return {"baseline": key, "outcome": outcome, "text": f"{name} {_VERBS[outcome]} {baseline['title']}: {details}."}


def _outcome(differences: Sequence[Mapping[str, float | None]]) -> str:
    def beyond_chance(end: str, sign: int) -> list[bool]:
        return [(d[end] or 0.0) * sign > 0 for d in differences]

    if not differences:
        return "undecided"
    if any(beyond_chance("high", -1)):
        return "loses"
    if any(beyond_chance("value", -1)):
        return "behind"
    return "wins" if all(beyond_chance("low", 1)) else "ahead"


def difference_in_words(difference: Mapping[str, float | None]) -> str:
    """Write a difference with its interval.

    Examples
    --------
    >>> difference_in_words({"value": -0.02, "low": -0.03, "high": 0.01})
    '−0.020 [−0.030, +0.010], an interval that holds 0'
    """
    if difference["low"] is None or difference["high"] is None:
        return signed(difference["value"])
    holds_zero = ", an interval that holds 0" if difference["low"] <= 0 <= difference["high"] else ""
    return f"{signed(difference['value'])} [{signed(difference['low'])}, {signed(difference['high'])}]{holds_zero}"


def signed(value: float | None) -> str:
    """Write a number with its sign and three decimals; a dash for None."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")
