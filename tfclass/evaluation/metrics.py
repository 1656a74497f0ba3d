"""Scores of a classifier.

Every metric takes a weight per protein, and many weightings at once: a resample of a bootstrap is a weighting. All
follow scikit-learn's definitions; what has no value is NaN, and `why_undefined` says why.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from tfclass.evaluation.bootstrap import Estimate, Resampled, resample
from tfclass.evaluation.calls import (
    ClassScores,
    binary_calls,
    matthews_correlation,
    multiclass_calls,
    per_class,
    ratio,
)
from tfclass.evaluation.ranking import Ranking
from tfclass.evaluation.scored import (
    Scored,
    calibration_bins,
    confusion,
    stated_and_happened,
    why_undefined,
)
from tfclass.typing import FloatArray, IntArray

__all__ = [
    "ClassScores",
    "Estimate",
    "Metrics",
    "Resampled",
    "Scored",
    "all_metrics",
    "auroc",
    "average_precision",
    "calibration_bins",
    "cluster_bootstrap",
    "confusion",
    "expected_calibration_error",
    "matthews_correlation",
    "per_class",
    "resampled_metrics",
    "stated_and_happened",
    "why_undefined",
]

# With at most this many classes, naming three of them is no feat.
_TOP = 3


class Metrics:
    """All metrics of one set of proteins, ready to be computed under any weights.

    Parameters
    ----------
    scored : Scored
        At least one protein.
    n_bins : int
        Of the calibration error.
    """

    def __init__(self, scored: Scored, n_bins: int) -> None:
        self._scored, self._n_bins = scored, n_bins
        n_classes = scored.n_classes
        self._rankings = _rankings(scored)
        self._among_top_N = _among_top(scored)
        pairs_N = scored.labels_N * n_classes + scored.calls_N
        self._confusion_PN = _membership(pairs_N, np.ones(len(pairs_N)), n_classes**2)
        if scored.are_probabilities:
            self._brier_N, self._log_loss_N = _brier(scored), _log_loss(scored)
            stated_N, happened_N = stated_and_happened(scored)
            self._gaps_BN = _membership(calibration_bins(stated_N, n_bins), stated_N - happened_N, n_bins)

    def under(self, weights_NR: FloatArray) -> dict[str, FloatArray]:
        """Compute every metric in each of R weightings.

        Parameters
        ----------
        weights_NR : ndarray of float64, shape (N, R)

        Returns
        -------
        dict of str to ndarray of float64, shape (R,)
            The keys of `all_metrics`; NaN where undefined.
        """
        n_classes, n_weightings = self._scored.n_classes, weights_NR.shape[1]
        confusion_CCR = (self._confusion_PN @ weights_NR).reshape(n_classes, n_classes, n_weightings)
        values = self._ranking(weights_NR)
        if n_classes == 2:
            values |= binary_calls(confusion_CCR)
        else:
            values |= multiclass_calls(confusion_CCR)
        if n_classes > _TOP:
            values["top_3_accuracy"] = _mean(self._among_top_N, weights_NR)
        return values | self._of_probabilities(weights_NR)

    def _ranking(self, weights_NR: FloatArray) -> dict[str, FloatArray]:
        if self._scored.n_classes == 2:
            cuts = self._rankings[0].under(weights_NR)
            values = {"average_precision": cuts.average_precision(), "auroc": cuts.auroc()}
            return values | {"recall_at_fdr_1": cuts.recall_at(0.01), "recall_at_fdr_5": cuts.recall_at(0.05)}
        # One class at a time, for the cuts of many would fill the memory.
        pairs_C2R = [(cuts.average_precision(), cuts.auroc()) for cuts in (r.under(weights_NR) for r in self._rankings)]
        precision_CR, area_CR = (np.stack(values) for values in zip(*pairs_C2R, strict=True))
        return {"average_precision": _mean_over_classes(precision_CR), "auroc": _mean_over_classes(area_CR)}

    def _of_probabilities(self, weights_NR: FloatArray) -> dict[str, FloatArray]:
        if not self._scored.are_probabilities:
            return dict.fromkeys(("brier", "log_loss", "ece"), np.full(weights_NR.shape[1], np.nan))
        return {
            "brier": _mean(self._brier_N, weights_NR),
            "log_loss": _mean(self._log_loss_N, weights_NR),
            "ece": np.abs(self._gaps_BN @ weights_NR).sum(axis=0) / weights_NR.sum(axis=0),
        }


def all_metrics(scored: Scored, n_bins: int, weights_N: FloatArray | None = None) -> dict[str, float]:
    """Compute every metric of the report.

    Parameters
    ----------
    n_bins : int
        Of the calibration error.
    weights_N : ndarray of float64, shape (N,), optional

    Returns
    -------
    dict of str to float
        In a binary task ``average_precision, auroc, recall_at_fdr_1, recall_at_fdr_5, mcc, f1, precision, recall,
        specificity, balanced_accuracy, brier, log_loss, ece``, of the last class. In a multi-class task
        ``average_precision, auroc, mcc, f1, f1_weighted, precision, recall, balanced_accuracy, top_3_accuracy, brier,
        log_loss, ece``: unweighted means over the classes that are there, but for ``f1_weighted``, which goes by their
        support; ``top_3_accuracy`` with four classes or more. NaN where undefined.
    """
    weights_N = np.ones(len(scored.labels_N)) if weights_N is None else weights_N
    return {name: float(value_R[0]) for name, value_R in Metrics(scored, n_bins).under(weights_N[:, None]).items()}


def resampled_metrics(
    scored: Scored, clusters_N: npt.NDArray[np.str_], *, n_bins: int, n_resamples: int, seed: int
) -> Resampled:
    """Compute every metric on the proteins and on resamples of their clusters; see `cluster_bootstrap`.

    What it gives can be subtracted from that of another model, which makes a paired comparison.
    """
    return resample(Metrics(scored, n_bins).under, clusters_N, n_resamples=n_resamples, seed=seed)


def cluster_bootstrap(
    scored: Scored,
    clusters_N: npt.NDArray[np.str_],
    *,
    n_bins: int,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Estimate]:
    """Every metric with its interval over resampled clusters; see `Resampled.estimates`.

    Parameters
    ----------
    clusters_N : ndarray of str, shape (N,)
        Homology cluster of each protein; the unit that is resampled.
    n_bins : int
        Of the calibration error.
    confidence : float
        Coverage of the interval, such as 0.95.

    Returns
    -------
    dict of str to Estimate
        The keys of `all_metrics`.
    """
    resampled = resampled_metrics(scored, clusters_N, n_bins=n_bins, n_resamples=n_resamples, seed=seed)
    return resampled.estimates(confidence)


def average_precision(scores_NC: FloatArray, labels_N: IntArray, weights_N: FloatArray | None = None) -> float:
    """Average precision of the last class in a binary task; the mean over the classes present in a multi-class one.

    Parameters
    ----------
    scores_NC : ndarray of float64, shape (N, C)
        Whatever ranks the proteins of a class: probabilities, or logarithms of them.
    labels_N : ndarray of int64, shape (N,)
    weights_N : ndarray of float64, shape (N,), optional

    Returns
    -------
    float
        NaN where no class that counts has both a member and a non-member.
    """
    return _ranking_metric("average_precision", scores_NC, labels_N, weights_N)


def auroc(scores_NC: FloatArray, labels_N: IntArray, weights_N: FloatArray | None = None) -> float:
    """Area under the ROC curve; parameters and NaN as for `average_precision`."""
    return _ranking_metric("auroc", scores_NC, labels_N, weights_N)


def expected_calibration_error(scored: Scored, n_bins: int, weights_N: FloatArray | None = None) -> float:
    """Weighted mean gap between stated and observed frequency over equal-width bins [1]_.

    Of the positive class in a binary task, of the called class in a multi-class one.

    Parameters
    ----------
    weights_N : ndarray of float64, shape (N,), optional

    Returns
    -------
    float
        Between 0 and 1.
    """
    return all_metrics(scored, n_bins, weights_N)["ece"]


def _rankings(scored: Scored) -> list[Ranking]:
    columns = [1] if scored.n_classes == 2 else range(scored.n_classes)
    return [Ranking(scored.probability_NC[:, c], scored.labels_N == c) for c in columns]


def _ranking_metric(name: str, scores_NC: FloatArray, labels_N: IntArray, weights_N: FloatArray | None) -> float:
    scored = Scored(scores_NC, labels_N, None, are_probabilities=False)
    weights_N = np.ones(len(labels_N)) if weights_N is None else weights_N
    return float(Metrics(scored, 1).under(weights_N[:, None])[name][0])


def _mean_over_classes(values_CR: FloatArray) -> FloatArray:
    """Mean of the values that are defined, shape (R,)."""
    return ratio(np.nansum(values_CR, axis=0), np.isfinite(values_CR).sum(axis=0))


def _brier(scored: Scored) -> FloatArray:
    errors_NC = scored.probability_NC - np.eye(scored.n_classes)[scored.labels_N]
    # In a binary task both columns carry the same squared error, and Brier's score is that of one.
    return (errors_NC**2).sum(axis=1) / (2 if scored.n_classes == 2 else 1)


def _log_loss(scored: Scored) -> FloatArray:
    stated_N = scored.probability_NC[np.arange(len(scored.labels_N)), scored.labels_N]
    # A false certainty would cost infinitely much; scikit-learn stops at the last bit as well.
    epsilon = np.finfo(float).eps
    return -np.log(np.clip(stated_N, epsilon, 1 - epsilon))


def _among_top(scored: Scored) -> FloatArray:
    # Of equal ones the later class comes first, as in scikit-learn.
    order_NC = np.argsort(scored.probability_NC, axis=1, kind="stable")
    return (order_NC[:, -_TOP:] == scored.labels_N[:, None]).any(axis=1).astype(float)


def _membership(groups_N: IntArray, values_N: FloatArray, n_groups: int) -> csr_array:
    """Make the sparse matrix, shape (G, N), that sums a protein's value times its weight in its group."""
    return csr_array((values_N, (groups_N, np.arange(len(groups_N)))), shape=(n_groups, len(groups_N)))


def _mean(values_N: FloatArray, weights_NR: FloatArray) -> FloatArray:
    return (values_N @ weights_NR) / weights_NR.sum(axis=0)
