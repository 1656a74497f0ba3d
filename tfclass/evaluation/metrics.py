"""Scores of a classifier, with intervals that respect homology.

Sequences of one cluster are not independent, so the bootstrap resamples whole clusters. A resample is a weight per
protein, which every metric here accepts; scikit-learn does the ranking metrics, and the rest follows from weighted
counts.

References
----------
.. [1] B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, 10.1201/9780429246593.
.. [2] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Estimate(NamedTuple):
    """A metric and its interval; `low` and `high` are NaN when no resample defined it."""

    value: float
    low: float
    high: float


class Scored(NamedTuple):
    """What is scored.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        Calibrated; rows sum to 1.
    labels_N : ndarray of int64, shape (N,)
    threshold : float or None
        Of the last class in a binary task; None in a multi-class one, where the likeliest class is called.
    """

    probability_NC: Floats
    labels_N: Ints
    threshold: float | None

    @property
    def calls_N(self) -> Ints:
        """The class called for each protein, shape (N,)."""
        if self.threshold is None:
            return self.probability_NC.argmax(axis=1)
        return (self.probability_NC[:, 1] >= self.threshold).astype(np.int64)


def average_precision(scores_NC: Floats, labels_N: Ints, weights_N: Floats | None = None) -> float:
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
    return _per_class(sk.average_precision_score, scores_NC, labels_N, weights_N)


def auroc(scores_NC: Floats, labels_N: Ints, weights_N: Floats | None = None) -> float:
    """Area under the ROC curve; parameters and NaN as for `average_precision`."""
    return _per_class(sk.roc_auc_score, scores_NC, labels_N, weights_N)


def _per_class(metric: Callable[..., float], scores_NC: Floats, labels_N: Ints, weights_N: Floats | None) -> float:
    n_classes = scores_NC.shape[1]
    weights_N = np.ones(len(labels_N)) if weights_N is None else weights_N
    counted = labels_N[weights_N > 0]
    columns = {1: scores_NC[:, 1]} if n_classes == 2 else dict(enumerate(scores_NC.T))
    values = [
        metric(labels_N == c, column, sample_weight=weights_N)
        for c, column in columns.items()
        if 0 < (counted == c).sum() < len(counted)
    ]
    return float(np.mean(values)) if values else float("nan")


def expected_calibration_error(scored: Scored, n_bins: int, weights_N: Floats | None = None) -> float:
    """Weighted mean gap between stated and observed frequency over equal-width bins [2]_.

    Of the positive class in a binary task, of the called class in a multi-class one.

    Parameters
    ----------
    scored : Scored
    n_bins : int
    weights_N : ndarray of float64, shape (N,), optional

    Returns
    -------
    float
        Between 0 and 1.
    """
    stated_N, happened_N = stated_and_happened(scored)
    weights_N = np.ones(len(stated_N)) if weights_N is None else weights_N
    bins_N = calibration_bins(stated_N, n_bins)
    gap = np.bincount(bins_N, weights_N * (stated_N - happened_N), n_bins)
    return float(np.abs(gap).sum() / weights_N.sum())


def calibration_bins(stated_N: Floats, n_bins: int) -> Ints:
    """Give the number of the equal-width bin of each probability, shape (N,); 1 falls into the last bin."""
    return np.minimum((stated_N * n_bins).astype(np.int64), n_bins - 1)


def stated_and_happened(scored: Scored) -> tuple[Floats, Floats]:
    """Give the probability stated for each protein and whether it came true (0 or 1), both of shape (N,)."""
    if scored.probability_NC.shape[1] == 2:
        return scored.probability_NC[:, 1], (scored.labels_N == 1).astype(float)
    return scored.probability_NC.max(axis=1), (scored.calls_N == scored.labels_N).astype(float)


def all_metrics(scored: Scored, n_bins: int, weights_N: Floats | None = None) -> dict[str, float]:
    """Compute every metric of the report.

    Parameters
    ----------
    scored : Scored
    n_bins : int
        Of the calibration error.
    weights_N : ndarray of float64, shape (N,), optional

    Returns
    -------
    dict of str to float
        ``average_precision, auroc, mcc, f1, precision, recall, brier, ece``; the middle ones are macro means in a
        multi-class task. NaN where undefined; precision, recall and F1 are so in a binary task without a positive.
    """
    labels_N, calls_N = scored.labels_N, scored.calls_N
    n_classes = scored.probability_NC.shape[1]
    weights_N = np.ones(len(labels_N)) if weights_N is None else weights_N
    pairs_N = labels_N * n_classes + calls_N
    confusion_CC = np.bincount(pairs_N, weights_N, n_classes**2).astype(float).reshape(n_classes, n_classes)
    precision, recall, f1 = _precision_recall_f1(confusion_CC)
    errors_NC = scored.probability_NC - np.eye(n_classes)[labels_N]
    # In a binary task both columns carry the same squared error, and Brier's score is that of one.
    brier_N = (errors_NC**2).sum(axis=1) / (2 if n_classes == 2 else 1)
    return {
        "average_precision": average_precision(scored.probability_NC, labels_N, weights_N),
        "auroc": auroc(scored.probability_NC, labels_N, weights_N),
        "mcc": matthews_correlation(confusion_CC),
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "brier": float(np.average(brier_N, weights=weights_N)),
        "ece": expected_calibration_error(scored, n_bins, weights_N),
    }


def matthews_correlation(confusion_CC: Floats) -> float:
    """Matthews' correlation coefficient from a confusion matrix of any number of classes.

    Parameters
    ----------
    confusion_CC : ndarray of float64, shape (C, C)
        Rows are true, columns called.

    Returns
    -------
    float
        0 when all calls or all labels are one class, as scikit-learn defines it.
    """
    true_C, called_C = confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)
    n = confusion_CC.sum()
    covariance = np.trace(confusion_CC) * n - true_C @ called_C
    spread = (n**2 - called_C @ called_C) * (n**2 - true_C @ true_C)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def _precision_recall_f1(confusion_CC: Floats) -> tuple[float, float, float]:
    hits_C, true_C, called_C = np.diag(confusion_CC), confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)
    counted = (true_C + called_C) > 0
    if len(confusion_CC) == 2:
        if not true_C[1]:
            # There was nothing to find, which is no failure to find it.
            return float("nan"), float("nan"), float("nan")
        counted = np.array([False, True])
    with np.errstate(invalid="ignore", divide="ignore"):
        precision_C = np.where(called_C > 0, hits_C / called_C, 0.0)
        recall_C = np.where(true_C > 0, hits_C / true_C, 0.0)
        f1_C = np.where(counted & (true_C + called_C > 0), 2 * hits_C / (true_C + called_C), 0.0)
    return tuple(float(values_C[counted].mean()) for values_C in (precision_C, recall_C, f1_C))  # type: ignore[return-value]


def cluster_bootstrap(
    scored: Scored,
    clusters_N: npt.NDArray[np.str_],
    *,
    n_bins: int,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Estimate]:
    """Every metric with its percentile interval over resampled clusters [1]_.

    Parameters
    ----------
    scored : Scored
    clusters_N : ndarray of str, shape (N,)
        Homology cluster of each protein; the unit that is resampled.
    n_bins : int
        Of the calibration error.
    n_resamples : int
    confidence : float
        Coverage of the interval, such as 0.95.
    seed : int

    Returns
    -------
    dict of str to Estimate
        The keys of `all_metrics`.
    """
    names, membership_N = np.unique(clusters_N, return_inverse=True)
    rng = np.random.default_rng(seed)
    uniform = np.full(len(names), 1 / len(names))
    draws = [
        all_metrics(scored, n_bins, rng.multinomial(len(names), uniform)[membership_N].astype(float))
        for _ in range(n_resamples)
    ]
    tail = 100 * (1 - confidence) / 2
    estimates = {}
    for name, value in all_metrics(scored, n_bins).items():
        defined = [draw[name] for draw in draws if np.isfinite(draw[name])]
        low, high = np.percentile(defined, [tail, 100 - tail]) if defined else (np.nan, np.nan)
        estimates[name] = Estimate(value, float(low), float(high))
    return estimates
