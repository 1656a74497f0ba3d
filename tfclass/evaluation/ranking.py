"""Ranking metrics of one order of the proteins under many weightings at once.

Sorting is the costly part, and a resample of a bootstrap changes only the weights. So the order is computed once, and
the rest is cumulative sums over the ranks, for all resamples side by side. Proteins with equal scores share one
threshold, as in scikit-learn; a protein of weight 0 changes nothing.

References
----------
.. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006),
   10.1016/j.patrec.2005.10.010.
"""

import numpy as np

from tfclass.typing import BoolArray, FloatArray

# A rate such as 5 of 100 must not exceed a limit of 5 % by the last bit of a product.
_ROUNDING = 1 + 1e-12


class Ranking:
    """Proteins in the order of their scores, the best first.

    Attributes
    ----------
    scores_K : ndarray of float64, shape (K,)
        The distinct scores, falling; each is a possible threshold.
    """

    def __init__(self, scores_N: FloatArray, positive_N: BoolArray) -> None:
        self._order_N = np.argsort(-scores_N, kind="stable")
        sorted_N = scores_N[self._order_N]
        self._last_K = np.flatnonzero(np.append(sorted_N[1:] != sorted_N[:-1], True))
        self._positive_N = positive_N[self._order_N]
        self.scores_K = sorted_N[self._last_K]

    def at_weights(self, weights_NR: FloatArray) -> "ThresholdCurve":
        """Count the predicted positives at each threshold.

        Parameters
        ----------
        weights_NR : ndarray of float64, shape (N, R)
            Weight of each protein, in the order in which the proteins were given, in each of R weightings.
        """
        sorted_NR = weights_NR[self._order_N]
        predicted_NR = np.cumsum(sorted_NR, axis=0)
        sorted_NR[~self._positive_N] = 0.0
        tp_NR = np.cumsum(sorted_NR, axis=0)
        if len(self._last_K) < len(self._order_N):
            predicted_NR, tp_NR = predicted_NR[self._last_K], tp_NR[self._last_K]
        return ThresholdCurve(predicted_NR, tp_NR)


class ThresholdCurve:
    """Predicted positives at every threshold, the highest first, in R weightings.

    Attributes
    ----------
    predicted_KR, tp_KR : ndarray of float64, shape (K, R)
        Weight of the predicted positives at each of K thresholds, and of the true ones among them; the last threshold
        predicts every protein positive.
    """

    def __init__(self, predicted_KR: FloatArray, tp_KR: FloatArray) -> None:
        self.predicted_KR, self.tp_KR = predicted_KR, tp_KR
        self._new_tp_KR = np.diff(tp_KR, axis=0, prepend=0.0)

    def average_precision(self) -> FloatArray:
        r"""Return :math:`\sum_k (r_k - r_{k-1}) p_k` of precision p and recall r, shape (R,); NaN with one class."""
        predicted_KR = np.maximum(self.predicted_KR, np.finfo(float).tiny)
        sums_R = np.einsum("kr,kr->r", self._new_tp_KR, self.tp_KR / predicted_KR)
        return self._where_both_classes(sums_R, self.tp_KR[-1])

    def auroc(self) -> FloatArray:
        """Return the area under the ROC curve by trapezoids [1]_, shape (R,); NaN with one class."""
        positives_R, fp_KR = self.tp_KR[-1], self.predicted_KR - self.tp_KR
        # A positive ranks above every negative that its threshold excludes, and ties with those of equal score.
        below_KR = 2 * fp_KR[-1] - fp_KR
        below_KR[1:] -= fp_KR[:-1]
        sums_R = np.einsum("kr,kr->r", self._new_tp_KR, below_KR) / 2
        return self._where_both_classes(sums_R, positives_R * fp_KR[-1])

    def recall_at(self, fdr: float) -> FloatArray:
        """Return the greatest recall at a false discovery rate of at most `fdr`, shape (R,).

        0 where every threshold has a higher rate; NaN without a positive.
        """
        fits_KR = self.predicted_KR - self.tp_KR <= fdr * _ROUNDING * self.predicted_KR
        best_R = np.where(fits_KR, self.tp_KR, 0.0).max(axis=0)
        with np.errstate(invalid="ignore"):
            return np.where(self.tp_KR[-1] > 0, best_R / self.tp_KR[-1], np.nan)

    def _where_both_classes(self, sums_R: FloatArray, norm_R: FloatArray) -> FloatArray:
        positives_R = self.tp_KR[-1]
        defined_R = (positives_R > 0) & (self.predicted_KR[-1] - positives_R > 0)
        return np.where(defined_R, sums_R / np.where(defined_R, norm_R, 1.0), np.nan)
