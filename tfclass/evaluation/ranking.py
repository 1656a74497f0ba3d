"""Ranking metrics of one order of the proteins under many weightings at once.

Sorting is the costly part, and a resample of a bootstrap changes only the weights. So the order is found once, and the
rest is cumulative sums over the ranks, for all resamples side by side. Proteins with equal scores share one cut, as in
scikit-learn; a protein of weight 0 changes nothing.

References
----------
.. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006),
   10.1016/j.patrec.2005.10.010.
"""

import numpy as np

from tfclass.typing import BoolArray, FloatArray

# A share such as 5 of 100 must not fail a limit of 5 % by the last bit of a product.
_ROUNDING = 1 + 1e-12


class Ranking:
    """Proteins in the order of their scores, the best first.

    Parameters
    ----------
    scores_N : ndarray of float64, shape (N,)
    positive_N : ndarray of bool, shape (N,)
    """

    def __init__(self, scores_N: FloatArray, positive_N: BoolArray) -> None:
        self.order_N = np.argsort(-scores_N, kind="stable")
        sorted_N = scores_N[self.order_N]
        self._ends_K = np.flatnonzero(np.append(sorted_N[1:] != sorted_N[:-1], True))
        self._positive_N = positive_N[self.order_N]

    def under(self, weights_NR: FloatArray) -> "Cuts":
        """Count what each cut calls and finds.

        Parameters
        ----------
        weights_NR : ndarray of float64, shape (N, R)
            Weight of each protein, in the order in which the proteins were given, in each of R weightings.
        """
        sorted_NR = weights_NR[self.order_N]
        called_NR = np.cumsum(sorted_NR, axis=0)
        sorted_NR[~self._positive_N] = 0.0
        hits_NR = np.cumsum(sorted_NR, axis=0)
        if len(self._ends_K) < len(self.order_N):
            called_NR, hits_NR = called_NR[self._ends_K], hits_NR[self._ends_K]
        return Cuts(called_NR, hits_NR)


class Cuts:
    """What every possible cut calls, the strictest first, in R weightings.

    Parameters
    ----------
    called_KR, hits_KR : ndarray of float64, shape (K, R)
        Weight of the proteins called by each of K cuts, and of the positive ones among them; the last calls all.
    """

    def __init__(self, called_KR: FloatArray, hits_KR: FloatArray) -> None:
        self._called_KR, self._hits_KR = called_KR, hits_KR
        self._positives_R = hits_KR[-1]
        self._negatives_R = called_KR[-1] - hits_KR[-1]
        self._found_KR = np.diff(hits_KR, axis=0, prepend=0.0)

    def average_precision(self) -> FloatArray:
        r"""Give :math:`\sum_k (r_k - r_{k-1}) p_k` with precision p and recall r, shape (R,); NaN with one class."""
        called_KR = np.maximum(self._called_KR, np.finfo(float).tiny)
        sums_R = np.einsum("kr,kr->r", self._found_KR, self._hits_KR / called_KR)
        return self._where_both(sums_R, self._positives_R)

    def auroc(self) -> FloatArray:
        """Give the area under the ROC curve by trapezoids [1]_, shape (R,); NaN with one class."""
        # A positive outranks every negative that its cut leaves uncalled, and draws with those of its own cut.
        missed_KR = self._called_KR - self._hits_KR
        below_KR = 2 * self._negatives_R - missed_KR
        below_KR[1:] -= missed_KR[:-1]
        sums_R = np.einsum("kr,kr->r", self._found_KR, below_KR) / 2
        return self._where_both(sums_R, self._positives_R * self._negatives_R)

    def recall_at(self, fdr: float) -> FloatArray:
        """Give the greatest recall of a cut with at most `fdr` false discoveries, shape (R,).

        0 where every cut has more; NaN without a positive.
        """
        fits_KR = self._called_KR - self._hits_KR <= fdr * _ROUNDING * self._called_KR
        best_R = np.where(fits_KR, self._hits_KR, 0.0).max(axis=0)
        with np.errstate(invalid="ignore"):
            return np.where(self._positives_R > 0, best_R / self._positives_R, np.nan)

    def _where_both(self, sums_R: FloatArray, norm_R: FloatArray) -> FloatArray:
        defined_R = (self._positives_R > 0) & (self._negatives_R > 0)
        return np.where(defined_R, sums_R / np.where(defined_R, norm_R, 1.0), np.nan)
