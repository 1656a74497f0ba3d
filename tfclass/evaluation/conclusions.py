"""Comparison of a model with the baselines, on the same proteins and the same resamples of them."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from tfclass.config import EvaluationConfig
from tfclass.evaluation.baselines import Baseline
from tfclass.evaluation.bootstrap import Estimate, Resampled
from tfclass.evaluation.formats import difference_in_words, three
from tfclass.evaluation.metrics import METRICS, resampled_metrics
from tfclass.evaluation.scored import Scored

# The metrics that a model is compared with a baseline by: of the ranking, and of the predictions.
DECISIVE = ("average_precision", "mcc")
Outcome = Literal["loses", "behind", "undecided", "ahead", "wins"]
# Beginning with the worst.
_VERBS: dict[Outcome, str] = {
    "loses": "loses to",
    "behind": "is behind",
    "undecided": "cannot be compared with",
    "ahead": "is not clearly better than",
    "wins": "beats",
}


@dataclass(frozen=True)
class BaselineScores:
    """Scores of a baseline; `difference` is model less baseline, of the metrics of `DECISIVE`."""

    title: str
    note: str
    threshold: float | None
    metrics: dict[str, Estimate]
    difference: dict[str, Estimate]


@dataclass(frozen=True)
class Conclusion:
    """The outcome of the comparison with a baseline, and a sentence that says so."""

    baseline: str
    outcome: Outcome
    text: str


def compare_with_baseline(
    model: Resampled, baseline: Baseline, scored: Scored, clusters_N: npt.NDArray[np.str_], config: EvaluationConfig
) -> BaselineScores:
    """Score a baseline and subtract it from the model, which has met the same proteins, clusters and configuration."""
    own = resampled_metrics(scored, clusters_N, config)
    difference = model.minus(own)
    decisive = {name: difference[name] for name in DECISIVE}
    return BaselineScores(baseline.title, baseline.note, baseline.threshold, own.estimates(), decisive)


def conclude(model: str, metrics: dict[str, Estimate], baselines: dict[str, BaselineScores]) -> list[Conclusion]:
    """Compare a model with each baseline in words, the worst outcome first.

    The model ``loses`` when it is behind in a metric of `DECISIVE` by more than chance explains (the interval ends
    below 0), is ``behind`` when it may be chance, ``wins`` when it is ahead in all by more than chance explains, is
    ``ahead`` when it may be chance, and ``undecided`` where none of the metrics is defined.
    """
    found = []
    for name, baseline in baselines.items():
        known = {key: d for key, d in baseline.difference.items() if d.value is not None}
        details = "; ".join(
            f"{METRICS[key].title} {three(metrics[key].value)} against {three(baseline.metrics[key].value)}, "
            f"difference {difference_in_words(difference)}"
            for key, difference in known.items()
        )
        outcome = _outcome(list(known.values()))
        details = details or next(iter(baseline.difference.values())).reason
        found.append(Conclusion(name, outcome, f"{model} {_VERBS[outcome]} {baseline.title}: {details}."))
    order = list(_VERBS)
    return sorted(found, key=lambda conclusion: order.index(conclusion.outcome))


def _outcome(differences: list[Estimate]) -> Outcome:
    if not differences:
        return "undecided"
    if any((d.high or 0.0) < 0 for d in differences):
        return "loses"
    if any((d.value or 0.0) < 0 for d in differences):
        return "behind"
    return "wins" if all((d.low or 0.0) > 0 for d in differences) else "ahead"
