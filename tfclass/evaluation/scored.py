"""What is scored: probabilities or other scores, true labels and calls."""

from typing import NamedTuple

import numpy as np

from tfclass.channels.thresholds import DecisionRule
from tfclass.typing import BoolArray, FloatArray, IntArray


class Scored(NamedTuple):
    """What is scored.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        Calibrated, rows sum to 1; or any numbers that rank the proteins of each class, if `are_probabilities` is false.
    labels_N : ndarray of int64, shape (N,)
    threshold : float or None
        Of the last class in a binary task; None in a multi-class one, where the likeliest class is called.
    are_probabilities : bool
        False leaves out Brier's score, the log loss and the calibration error, which have no meaning then.
    """

    probability_NC: FloatArray
    labels_N: IntArray
    threshold: float | None
    are_probabilities: bool = True

    @classmethod
    def from_scores(cls, scores_N: FloatArray, labels_N: IntArray, threshold: float | None = None) -> "Scored":
        """Take one score per protein of a binary task, on any scale; higher speaks for the last class.

        Parameters
        ----------
        scores_N : ndarray of float64, shape (N,)
            Such as bits of the best positive hit less bits of the best negative one; infinite is allowed.
        labels_N : ndarray of int64, shape (N,)
        threshold : float, optional
            Least score that is called, on the scale of the scores; without one, what lies above 0 is called.

        Raises
        ------
        ValueError
            A score is NaN.
        """
        scores_N = np.asarray(scores_N, dtype=np.float64)
        if np.isnan(scores_N).any():
            raise ValueError("a score is NaN; give what was not found the lowest score instead")
        return cls(np.stack([-scores_N, scores_N], axis=1), labels_N, threshold, are_probabilities=False)

    @property
    def n_classes(self) -> int:
        """C."""
        return self.probability_NC.shape[1]

    @property
    def calls_N(self) -> IntArray:
        """The class predicted for each protein, shape (N,); of a probability as `DecisionRule` shows it."""
        rule = DecisionRule(self.threshold)
        return rule.predict(rule.shown(self.probability_NC) if self.are_probabilities else self.probability_NC)

    def select(self, rows: BoolArray) -> "Scored":
        """Keep the proteins where `rows`, of shape (N,), is true."""
        return self._replace(probability_NC=self.probability_NC[rows], labels_N=self.labels_N[rows])


def confusion(scored: Scored) -> IntArray:
    """Count proteins by true class (rows) and called class (columns), shape (C, C)."""
    n_classes = scored.n_classes
    pairs_N = scored.labels_N * n_classes + scored.calls_N
    return np.bincount(pairs_N, minlength=n_classes**2).reshape(n_classes, n_classes)


def calibration_bins(stated_N: FloatArray, n_bins: int) -> IntArray:
    """Give the number of the equal-width bin of each probability, shape (N,); 1 falls into the last bin."""
    return np.minimum((stated_N * n_bins).astype(np.int64), n_bins - 1)


def stated_and_happened(scored: Scored) -> tuple[FloatArray, FloatArray]:
    """Give the probability stated for each protein and whether it came true (0 or 1), both of shape (N,)."""
    if scored.n_classes == 2:
        return scored.probability_NC[:, 1], (scored.labels_N == 1).astype(float)
    return scored.probability_NC.max(axis=1), (scored.calls_N == scored.labels_N).astype(float)


def why_undefined(scored: Scored) -> dict[str, str]:
    """Say in words why a metric of `all_metrics` has no value.

    Returns
    -------
    dict of str to str
        Reason by metric, for just those metrics that `all_metrics` gives as NaN.
    """
    present = np.unique(scored.labels_N)
    reasons: dict[str, str] = {}
    if len(present) < 2:
        reasons |= dict.fromkeys(("average_precision", "auroc", "mcc"), "proteins of one class only")
    if scored.n_classes == 2:
        reasons |= _why_undefined_in_a_binary_task(scored, present.tolist())
    if not scored.are_probabilities:
        reasons |= dict.fromkeys(("brier", "log_loss", "ece"), "the scores are no probabilities")
    return reasons


def _why_undefined_in_a_binary_task(scored: Scored, present: list[int]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    ranking, finding = ("average_precision", "auroc", "mcc", "balanced_accuracy"), ("recall", "f1")
    if 0 not in present:
        reasons |= dict.fromkeys((*ranking, "specificity"), "no negative protein")
    if 1 not in present:
        at_fdr = ("recall_at_fdr_1", "recall_at_fdr_5")
        reasons |= dict.fromkeys((*ranking, *finding, *at_fdr), "no positive protein")
    if not scored.calls_N.any():
        reasons["precision"] = "no protein was called"
    return reasons
