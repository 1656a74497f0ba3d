"""Scores of proteins beside their true labels, and what metrics are computed from, under many weightings at once.

A resample of a bootstrap is a weighting.

References
----------
.. [1] J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Computational
   Biology and Chemistry 28 (2004), 10.1016/j.compbiolchem.2004.09.006.
.. [2] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from tfclass.channels.thresholds import DecisionRule
from tfclass.evaluation.ranking import Ranking, ThresholdCurve
from tfclass.typing import BoolArray, FloatArray, IntArray

_TOP = 3


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of N proteins and their labels.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        Calibrated, rows sum to 1; or any numbers that rank the proteins of each class, if `are_probabilities` is false.
    labels_N : ndarray of int64, shape (N,)
    threshold : float or None
        Of the positive class in a binary task; None in a multi-class one, where the likeliest class is predicted.
    are_probabilities : bool
        False leaves out Brier score, log loss and calibration error, which have no meaning then.
    """

    probability_NC: FloatArray
    labels_N: IntArray
    threshold: float | None
    are_probabilities: bool = True

    @property
    def n_classes(self) -> int:
        """C."""
        return self.probability_NC.shape[1]

    @cached_property
    def predicted_N(self) -> IntArray:
        """The predicted class of each protein, shape (N,); from a probability as `DecisionRule` shows it."""
        rule = DecisionRule(self.threshold)
        return rule.predict(rule.shown(self.probability_NC) if self.are_probabilities else self.probability_NC)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Of the positive class in a binary task; of each class in a multi-class one."""
        columns = [1] if self.n_classes == 2 else range(self.n_classes)
        return [Ranking(self.probability_NC[:, c], self.labels_N == c) for c in columns]

    @cached_property
    def confusion_PN(self) -> csr_array:
        """Matrix of 1 where protein n is of pair p of a true and a predicted class, shape (C * C, N)."""
        pairs_N = self.labels_N * self.n_classes + self.predicted_N
        return sums_by_group(pairs_N, np.ones(len(pairs_N)), self.n_classes**2)

    @property
    def confusion_CC(self) -> IntArray:
        """Number of proteins by true class (rows) and predicted class (columns), shape (C, C)."""
        return self.confusion_PN.sum(axis=1).astype(np.int64).reshape(self.n_classes, self.n_classes)

    @cached_property
    def brier_N(self) -> FloatArray:
        """Squared error of each protein, shape (N,)."""
        errors_NC = self.probability_NC - np.eye(self.n_classes)[self.labels_N]
        # In a binary task both columns have the same squared error, and the Brier score is that of one.
        return (errors_NC**2).sum(axis=1) / (2 if self.n_classes == 2 else 1)

    @cached_property
    def log_loss_N(self) -> FloatArray:
        """Log loss of each protein, shape (N,)."""
        true_N = self.probability_NC[np.arange(len(self.labels_N)), self.labels_N]
        # A certain error would cost infinitely much; scikit-learn clips in the same way.
        epsilon = np.finfo(float).eps
        return -np.log(np.clip(true_N, epsilon, 1 - epsilon))

    @cached_property
    def in_top_3_N(self) -> FloatArray:
        """1 where the true class is among the three likeliest, else 0, shape (N,)."""
        # Of equally likely classes the later one comes first, as in scikit-learn.
        order_NC = np.argsort(self.probability_NC, axis=1, kind="stable")
        return (order_NC[:, -_TOP:] == self.labels_N[:, None]).any(axis=1).astype(float)

    @cached_property
    def confidence_and_outcome(self) -> tuple[FloatArray, FloatArray]:
        """Stated probability of each protein and whether it came true (0 or 1), both of shape (N,).

        Of the positive class in a binary task, of the predicted class in a multi-class one.
        """
        if self.n_classes == 2:
            return self.probability_NC[:, 1], (self.labels_N == 1).astype(float)
        return self.probability_NC.max(axis=1), (self.predicted_N == self.labels_N).astype(float)

    def select(self, rows: BoolArray | IntArray) -> "Scored":
        """Return the proteins of these rows."""
        return replace(self, probability_NC=self.probability_NC[rows], labels_N=self.labels_N[rows])


class WeightedScores:
    """The quantities that metrics are computed from, in each of R weightings of the proteins.

    Attributes
    ----------
    confusion_CCR : ndarray of float64, shape (C, C, R)
        Weights by true class (first axis) and predicted class.
    true_CR, predicted_CR, precision_CR, recall_CR, f1_CR : ndarray of float64, shape (C, R)
        Of each class: its weight, the weight predicted as it, and the scores; NaN where undefined.
    """

    def __init__(self, scored: Scored, weights_NR: FloatArray, n_bins: int = 1) -> None:
        self.scored, self.weights_NR, self.n_bins = scored, weights_NR, n_bins
        n_classes = scored.n_classes
        self.confusion_CCR = (scored.confusion_PN @ weights_NR).reshape(n_classes, n_classes, weights_NR.shape[1])
        self.true_CR, self.predicted_CR = self.confusion_CCR.sum(axis=1), self.confusion_CCR.sum(axis=0)
        tp_CR = np.einsum("ccr->cr", self.confusion_CCR)
        self.precision_CR, self.recall_CR = _ratio(tp_CR, self.predicted_CR), _ratio(tp_CR, self.true_CR)
        # Without a positive there is nothing to find, which is no failure to find it.
        self.f1_CR = np.where(self.true_CR > 0, _ratio(2 * tp_CR, self.true_CR + self.predicted_CR), np.nan)

    @cached_property
    def curve(self) -> ThresholdCurve:
        """Of the positive class in a binary task."""
        return self.scored.rankings[0].at_weights(self.weights_NR)

    @cached_property
    def ap_and_auroc(self) -> FloatArray:
        """Average precision and AUROC, each the mean over the classes for which it is defined, shape (2, R)."""
        # One class at a time, for the curves of many would fill the memory.
        binary = self.scored.n_classes == 2
        curves = [self.curve] if binary else (ranking.at_weights(self.weights_NR) for ranking in self.scored.rankings)
        values_C2R = np.array([(curve.average_precision(), curve.auroc()) for curve in curves])
        return mean_of_defined(values_C2R)

    def of_classes(self, values_CR: FloatArray) -> FloatArray:
        """Return the value of the positive class, or the mean over the classes in a multi-class task, shape (R,).

        As in scikit-learn, the mean is over the classes that are true or predicted somewhere, an undefined value is 0.
        """
        if self.scored.n_classes == 2:
            return values_CR[1]
        return np.nan_to_num(values_CR).sum(axis=0) / (self.true_CR + self.predicted_CR > 0).sum(axis=0)

    def mean(self, values_N: FloatArray) -> FloatArray:
        """Return the weighted mean over the proteins, shape (R,)."""
        return (values_N @ self.weights_NR) / self.weights_NR.sum(axis=0)

    def calibration_error(self) -> FloatArray:
        """Compute the mean gap of stated probability and observed frequency over equal-width bins [2]_, shape (R,)."""
        confidence_N, outcome_N = self.scored.confidence_and_outcome
        gaps_BN = sums_by_group(calibration_bins(confidence_N, self.n_bins), confidence_N - outcome_N, self.n_bins)
        return np.abs(gaps_BN @ self.weights_NR).sum(axis=0) / self.weights_NR.sum(axis=0)


def matthews_correlation(confusion_CC: FloatArray) -> FloatArray:
    """Compute the Matthews correlation coefficient of confusion matrices of any number of classes [1]_.

    Parameters
    ----------
    confusion_CC : ndarray of float64, shape (C, C) or (C, C, R)
        Rows are true classes, columns predicted ones.

    Returns
    -------
    ndarray of float64, shape () or (R,)
        0 when all predictions or all labels are of one class, as in scikit-learn.
    """
    true_C, predicted_C = confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)
    n = confusion_CC.sum(axis=(0, 1))
    covariance = np.einsum("cc...->...", confusion_CC) * n - (true_C * predicted_C).sum(axis=0)
    spread = (n**2 - (predicted_C**2).sum(axis=0)) * (n**2 - (true_C**2).sum(axis=0))
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)


def mean_of_defined(values_CR: FloatArray) -> FloatArray:
    """Return the mean over the first axis of the values that are not NaN; NaN without any."""
    return _ratio(np.nansum(values_CR, axis=0), np.isfinite(values_CR).sum(axis=0))


def calibration_bins(confidence_N: FloatArray, n_bins: int) -> IntArray:
    """Return the number of the equal-width bin of each probability, shape (N,); 1 falls into the last bin."""
    return np.minimum((confidence_N * n_bins).astype(np.int64), n_bins - 1)


def sums_by_group(groups_N: IntArray, values_N: FloatArray, n_groups: int) -> csr_array:
    """Return the matrix, shape (G, N), that sums a protein's value times its weight in its group."""
    return csr_array((values_N, (groups_N, np.arange(len(groups_N)))), shape=(n_groups, len(groups_N)))


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
