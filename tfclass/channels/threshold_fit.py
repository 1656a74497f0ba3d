"""Fit of the threshold and of operating points on the validation split; both belong to the model from then on.

References
----------
.. [1] B. Matthews, Biochimica et Biophysica Acta 405 (1975), 10.1016/0005-2795(75)90109-9.
.. [2] N. Natarajan, O. Koyejo, P. Ravikumar, I. Dhillon, Optimal decision-theoretic classification using
   non-decomposable performance measures (2015), 10.48550/arXiv.1505.01802.
"""

import numpy as np

from tfclass.channels.thresholds import OperatingPoint
from tfclass.typing import BoolArray, FloatArray


def max_mcc_threshold(probability_N: FloatArray, positive_N: BoolArray) -> float:
    """Find the threshold of the greatest Matthews correlation [1]_.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class.
    positive_N : ndarray of bool, shape (N,)
        True for the proteins of the positive class.

    Returns
    -------
    float
        Halfway between two neighbouring probabilities, so that a rounding error changes no prediction; the lowest of
        equally good ones. A protein is predicted positive if its probability is at least this.

    Examples
    --------
    >>> max_mcc_threshold(np.array([0.1, 0.4, 0.8]), np.array([False, False, True]))
    0.6
    """
    candidates = _Candidates(probability_N, positive_N)
    return candidates.threshold(candidates.max_mcc())


def expected_mcc_threshold(probability_N: FloatArray) -> float:
    """Find the threshold whose expected confusion matrix has the greatest Matthews correlation [2]_.

    Each protein counts as a positive with its probability and as a negative with the rest, so the few proteins near
    the threshold whose labels happen to be unusual do not move it.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class, calibrated.

    Returns
    -------
    float
        See `max_mcc_threshold`.

    Examples
    --------
    >>> expected_mcc_threshold(np.array([0.1, 0.4, 0.8]))
    0.6
    """
    candidates = _Candidates(probability_N, probability_N)
    return candidates.threshold(candidates.max_mcc())


def operating_points(probability_N: FloatArray) -> tuple[OperatingPoint, ...]:
    """List the thresholds worth choosing, with the rates that are expected of them; see `expected_mcc_threshold`.

    One is left out if it differs little from the one before: 5 % of the false discovery rate and 0.005 of recall.
    `expected_mcc_threshold` and the highest always stay.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class, calibrated.

    Returns
    -------
    tuple of OperatingPoint
        Threshold rising; false discovery rate and recall falling. None where no protein can be a positive.

    Examples
    --------
    >>> points = operating_points(np.array([0.1, 0.4, 0.8]))
    >>> [(point.threshold, round(point.fdr, 3), round(point.recall, 3)) for point in points]
    [(0.05, 0.567, 1.0), (0.25, 0.4, 0.923), (0.6, 0.2, 0.615)]
    """
    candidates = _Candidates(probability_N, probability_N)
    if not candidates.tp_K[-1]:
        return ()
    fdr_K = (candidates.predicted_K - candidates.tp_K) / candidates.predicted_K
    recall_K = candidates.tp_K / candidates.tp_K[-1]
    must_stay, kept = {0, candidates.max_mcc()}, [len(fdr_K) - 1]
    for index in reversed(range(len(fdr_K) - 1)):
        differs = fdr_K[index] <= 0.95 * fdr_K[kept[-1]] or recall_K[index] <= recall_K[kept[-1]] - 0.005
        if differs or index in must_stay:
            kept.append(index)
    return tuple(OperatingPoint(candidates.threshold(k), float(fdr_K[k]), float(recall_K[k])) for k in kept)


class _Candidates:
    """Candidate thresholds: between different probabilities, and below them all; highest first.

    Parameters
    ----------
    positive_N : ndarray of bool or float64, shape (N,)
        True for a positive, or how much of one each protein counts as.

    Attributes
    ----------
    predicted_K, tp_K : ndarray of float64, shape (K,)
        Predicted positives at each threshold, and the true positives among them.
    """

    def __init__(self, probability_N: FloatArray, positive_N: BoolArray | FloatArray) -> None:
        order = np.argsort(-probability_N, kind="stable")
        self._sorted_N = probability_N[order]
        self._following_N = np.append(self._sorted_N[1:], 0.0)
        changes_N = self._sorted_N != self._following_N
        changes_N[-1] = True
        self._rows_K = np.flatnonzero(changes_N)
        self.predicted_K = self._rows_K + 1.0
        self.tp_K = np.cumsum(positive_N[order], dtype=float)[self._rows_K]

    def max_mcc(self) -> int:
        """Return the index of the greatest Matthews correlation; of the lowest threshold among equally good ones."""
        n, positives = self.predicted_K[-1], self.tp_K[-1]
        spread_K = self.predicted_K * (n - self.predicted_K) * positives * (n - positives)
        with np.errstate(invalid="ignore", divide="ignore"):
            mcc_K = np.where(spread_K > 0, (self.tp_K * n - self.predicted_K * positives) / np.sqrt(spread_K), 0.0)
        return len(mcc_K) - 1 - int(np.argmax(mcc_K[::-1]))

    def threshold(self, index: int) -> float:
        row = self._rows_K[index]
        return _between(float(self._following_N[row]), float(self._sorted_N[row]))


def _between(low: float, high: float) -> float:
    # As short as can be read, but never so short that it leaves the gap: confident scores lie close together.
    middle = (low + high) / 2
    shorter = [*(round(middle, digits) for digits in range(6, 18)), middle]
    return next((value for value in shorter if low < value < high), high)
