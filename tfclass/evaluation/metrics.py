"""Metrics of a classifier: one table with the title, formula and condition of each.

All follow scikit-learn's definitions; an undefined one is NaN, and `undefined_reasons` says why.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from tfclass.config import EvaluationConfig
from tfclass.evaluation.bootstrap import Resampled, resample
from tfclass.evaluation.ranking import Ranking
from tfclass.evaluation.scored import Scored, WeightedScores, matthews_correlation, mean_of_defined
from tfclass.typing import FloatArray, IntArray

_ANY, _BINARY, _MULTICLASS = (2, inf), (2, 2), (3, inf)


class Metric(NamedTuple):
    """A metric of the report.

    Attributes
    ----------
    meaning : str
        Explanation for readers of the report.
    formula : callable
        Computes it in R weightings, shape (R,).
    needs : str
        It is undefined without this; see `_unmet`.
    classes : tuple of float
        Least and greatest number of classes that it is for.
    """

    title: str
    meaning: str
    formula: Callable[[WeightedScores], FloatArray]
    needs: str = "nothing"
    classes: tuple[float, float] = _ANY


def _mcc(s: WeightedScores) -> FloatArray:
    several_R = (s.true_CR > 0).sum(axis=0) > 1
    return np.where(several_R, matthews_correlation(s.confusion_CCR), np.nan)


def _f1_weighted(s: WeightedScores) -> FloatArray:
    return (np.nan_to_num(s.f1_CR) * s.true_CR).sum(axis=0) / s.true_CR.sum(axis=0)


def _balanced_accuracy(s: WeightedScores) -> FloatArray:
    return s.recall_CR.mean(axis=0) if s.scored.n_classes == 2 else mean_of_defined(s.recall_CR)


_AT_FDR = "greatest recall at such a false discovery rate, the threshold chosen on these proteins"
# In a multi-class task a value is the mean over the classes, if its meaning does not say otherwise.
METRICS = {
    "average_precision": Metric(
        "average precision",
        "area under precision and recall; chance is the prevalence",
        lambda s: s.ap_and_auroc[0],
        "several classes",
    ),
    "auroc": Metric("AUROC", "area under the ROC curve; chance is 0.5", lambda s: s.ap_and_auroc[1], "several classes"),
    "recall_at_fdr_1": Metric("recall at 1 % FDR", _AT_FDR, lambda s: s.curve.recall_at(0.01), "positives", _BINARY),
    "recall_at_fdr_5": Metric("recall at 5 % FDR", _AT_FDR, lambda s: s.curve.recall_at(0.05), "positives", _BINARY),
    "mcc": Metric("MCC", "Matthews correlation of predictions and labels; chance is 0", _mcc, "several classes"),
    "f1": Metric("F1", "harmonic mean of precision and recall", lambda s: s.of_classes(s.f1_CR), "positives"),
    "f1_weighted": Metric("F1, weighted", "mean over the classes by their size", _f1_weighted, classes=_MULTICLASS),
    "precision": Metric(
        "precision",
        "share of the predicted positives that are true",
        lambda s: s.of_classes(s.precision_CR),
        "predictions",
    ),
    "recall": Metric(
        "recall", "share of the positives that are predicted so", lambda s: s.of_classes(s.recall_CR), "positives"
    ),
    "specificity": Metric(
        "specificity", "share of the negatives that are predicted so", lambda s: s.recall_CR[0], "negatives", _BINARY
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy", "mean of the classes' recalls", _balanced_accuracy, "both classes"
    ),
    "top_3_accuracy": Metric(
        "top-3 accuracy",
        "the true class is among the three likeliest",
        lambda s: s.mean(s.scored.in_top_3_N),
        classes=(4, inf),
    ),
    "brier": Metric(
        "Brier score",
        "mean squared error of the probability; lower is better",
        lambda s: s.mean(s.scored.brier_N),
        "probabilities",
    ),
    "log_loss": Metric(
        "log loss",
        "mean of −ln of the true class's probability; lower is better",
        lambda s: s.mean(s.scored.log_loss_N),
        "probabilities",
    ),
    "ece": Metric(
        "ECE",
        "mean gap of stated probability and observed frequency; lower is better",
        lambda s: s.calibration_error(),
        "probabilities",
    ),
}


def metrics_of(n_classes: int) -> dict[str, Metric]:
    """Return the metrics of a task by name, in the order in which to show them."""
    return {name: metric for name, metric in METRICS.items() if metric.classes[0] <= n_classes <= metric.classes[1]}


def undefined_reasons(scored: Scored) -> dict[str, str]:
    """Return the reason by metric, for just those metrics that `all_metrics` returns as NaN."""
    unmet = _unmet(scored)
    return {name: unmet[m.needs] for name, m in metrics_of(scored.n_classes).items() if m.needs in unmet}


def _unmet(scored: Scored) -> dict[str, str]:
    present = np.unique(scored.labels_N).tolist()
    unmet: dict[str, str] = {"several classes": "proteins of one class only"} if len(present) < 2 else {}
    if scored.n_classes == 2:
        for label, need, reason in ((0, "negatives", "no negative protein"), (1, "positives", "no positive protein")):
            if label not in present:
                unmet |= {"several classes": reason, "both classes": reason, need: reason}
        if not scored.predicted_N.any():
            unmet["predictions"] = "no protein is predicted positive"
    return unmet | ({} if scored.are_probabilities else {"probabilities": "the scores are no probabilities"})


def metrics_at(scored: Scored, n_bins: int, weights_NR: FloatArray) -> dict[str, FloatArray]:
    """Compute the metrics of `metrics_of` in each of R weightings of at least one protein.

    Parameters
    ----------
    scored : Scored
        At least one protein.
    n_bins : int
        Of the calibration error.
    weights_NR : ndarray of float64, shape (N, R)
        Of the proteins in each weighting.

    Returns
    -------
    dict of str to ndarray of float64, shape (R,)
        NaN where undefined.
    """
    weighted, nan_R = WeightedScores(scored, weights_NR, n_bins), np.full(weights_NR.shape[1], np.nan)
    return {
        name: nan_R
        if metric.needs in ("" if scored.are_probabilities else "probabilities")
        else metric.formula(weighted)
        for name, metric in metrics_of(scored.n_classes).items()
    }


def all_metrics(scored: Scored, n_bins: int, weights_N: FloatArray | None = None) -> dict[str, float]:
    """Compute the metrics of `metrics_at` in one weighting, of 1 for each protein by default."""
    weights_N = np.ones(len(scored.labels_N)) if weights_N is None else weights_N
    return {name: float(value_R[0]) for name, value_R in metrics_at(scored, n_bins, weights_N[:, None]).items()}


def resampled_metrics(scored: Scored, clusters_N: npt.NDArray[np.str_], config: EvaluationConfig) -> Resampled:
    """Compute every metric on at least one protein and on resamples of the clusters; see `resample`."""

    def compute(weights_NR: FloatArray) -> dict[str, FloatArray]:
        return metrics_at(scored, config.n_calibration_bins, weights_NR)

    return resample(compute, clusters_N, config, undefined_reasons(scored))


def average_precision(scores_NC: FloatArray, labels_N: IntArray, weights_N: FloatArray | None = None) -> float:
    """Compute the average precision of the last of two classes, or the mean over the classes present of several.

    Parameters
    ----------
    scores_NC : ndarray of float64, shape (N, C)
        Probabilities, or other numbers that rank the proteins of each class.

    Returns
    -------
    float
        NaN where no class with a weight has both a member and a non-member.
    """
    weights_N = np.ones(len(labels_N)) if weights_N is None else weights_N
    return float(WeightedScores(Scored(scores_NC, labels_N, None), weights_N[:, None]).ap_and_auroc[0][0])


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class against all others; None where undefined, with the reason in `undefined` by metric.

    Attributes
    ----------
    support, predicted : int
        Proteins of the class, and proteins predicted as it.
    """

    name: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    undefined: dict[str, str]


def scores_by_class(scored: Scored, classes: Sequence[str]) -> list[ClassScores]:
    """Score each class against all others, in the order of `classes`."""
    weights_N1 = np.ones((len(scored.labels_N), 1))
    scores = WeightedScores(scored, weights_N1)
    rows = []
    for c, name in enumerate(classes):
        ranking = Ranking(scored.probability_NC[:, c], scored.labels_N == c)
        ap = ranking.at_weights(weights_N1).average_precision()
        values = (scores.precision_CR[c], scores.recall_CR[c], scores.f1_CR[c], ap)
        precision, recall, f1, ap = (None if np.isnan(value[0]) else float(value[0]) for value in values)
        support, predicted = int(scores.true_CR[c, 0]), int(scores.predicted_CR[c, 0])
        undefined = {} if predicted else {"precision": "never predicted"}
        if not support:
            undefined |= dict.fromkeys(("recall", "f1", "average_precision"), "no protein of this class")
        if support == len(scored.labels_N):
            undefined |= {"average_precision": "no protein of another class"}
        rows.append(ClassScores(name, support, predicted, precision, recall, f1, ap, undefined))
    return rows
