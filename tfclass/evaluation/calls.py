"""Metrics of calls: what was called against what is true.

References
----------
.. [1] J. Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Computational
   Biology and Chemistry 28 (2004), 10.1016/j.compbiolchem.2004.09.006.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfclass.evaluation.ranking import Ranking
from tfclass.evaluation.scored import Scored, confusion
from tfclass.typing import FloatArray


class ClassScores(NamedTuple):
    """How one class fares; NaN where undefined, with the reason in `undefined` by metric.

    Attributes
    ----------
    support, called : int
        Proteins of the class, and proteins called so.
    """

    name: str
    support: int
    called: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    undefined: dict[str, str]


def matthews_correlation(confusion_CC: FloatArray) -> FloatArray:
    """Matthews' correlation coefficient from confusion matrices of any number of classes [1]_.

    Parameters
    ----------
    confusion_CC : ndarray of float64, shape (C, C) or (C, C, R)
        Rows are true, columns called.

    Returns
    -------
    ndarray of float64, shape () or (R,)
        0 when all calls or all labels are one class, as scikit-learn defines it.
    """
    true_C, called_C = confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)
    n = confusion_CC.sum(axis=(0, 1))
    covariance = np.einsum("cc...->...", confusion_CC) * n - (true_C * called_C).sum(axis=0)
    spread = (n**2 - (called_C**2).sum(axis=0)) * (n**2 - (true_C**2).sum(axis=0))
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)


def binary_calls(confusion_CCR: FloatArray) -> dict[str, FloatArray]:
    """Give the metrics of the last of two classes, each of shape (R,); NaN where undefined.

    Parameters
    ----------
    confusion_CCR : ndarray of float64, shape (2, 2, R)
    """
    (right_R, false_R), (missed_R, hits_R) = confusion_CCR
    negatives_R, positives_R = right_R + false_R, missed_R + hits_R
    recall_R, specificity_R = ratio(hits_R, positives_R), ratio(right_R, negatives_R)
    both_R = (negatives_R > 0) & (positives_R > 0)
    return {
        "mcc": np.where(both_R, matthews_correlation(confusion_CCR), np.nan),
        # Without a positive there was nothing to find, which is no failure to find it.
        "f1": np.where(positives_R > 0, ratio(2 * hits_R, 2 * hits_R + false_R + missed_R), np.nan),
        "precision": ratio(hits_R, hits_R + false_R),
        "recall": recall_R,
        "specificity": specificity_R,
        "balanced_accuracy": (recall_R + specificity_R) / 2,
    }


def multiclass_calls(confusion_CCR: FloatArray) -> dict[str, FloatArray]:
    """Give the means over the classes, each of shape (R,).

    As in scikit-learn, a class counts that is true or called somewhere, and its precision is 0 when it is never called.

    Parameters
    ----------
    confusion_CCR : ndarray of float64, shape (C, C, R)
    """
    true_CR, called_CR = confusion_CCR.sum(axis=1), confusion_CCR.sum(axis=0)
    hits_CR = np.einsum("ccr->cr", confusion_CCR)
    counted_R = (true_CR + called_CR > 0).sum(axis=0)
    precision_CR, recall_CR = (np.nan_to_num(ratio(hits_CR, of_CR)) for of_CR in (called_CR, true_CR))
    f1_CR = np.nan_to_num(ratio(2 * hits_CR, true_CR + called_CR))
    several_R = (true_CR > 0).sum(axis=0) > 1
    return {
        "mcc": np.where(several_R, matthews_correlation(confusion_CCR), np.nan),
        "f1": f1_CR.sum(axis=0) / counted_R,
        "f1_weighted": (f1_CR * true_CR).sum(axis=0) / true_CR.sum(axis=0),
        "precision": precision_CR.sum(axis=0) / counted_R,
        "recall": recall_CR.sum(axis=0) / counted_R,
        "balanced_accuracy": recall_CR.sum(axis=0) / (true_CR > 0).sum(axis=0),
    }


def per_class(scored: Scored, classes: Sequence[str]) -> list[ClassScores]:
    """Score each class against all others.

    Parameters
    ----------
    classes : sequence of str, length C

    Returns
    -------
    list of ClassScores
        In the order of `classes`.
    """
    counts_CC = confusion(scored).astype(float)
    support_C, called_C, hits_C = counts_CC.sum(axis=1), counts_CC.sum(axis=0), np.diag(counts_CC)
    precision_C, recall_C = ratio(hits_C, called_C), ratio(hits_C, support_C)
    f1_C = np.where(support_C > 0, ratio(2 * hits_C, support_C + called_C), np.nan)
    rows = []
    for c, name in enumerate(classes):
        cuts = Ranking(scored.probability_NC[:, c], scored.labels_N == c).under(np.ones((len(scored.labels_N), 1)))
        undefined = {} if called_C[c] else {"precision": "never called"}
        if not support_C[c]:
            undefined |= dict.fromkeys(("recall", "f1", "average_precision"), "no protein of this class")
        if support_C[c] == len(scored.labels_N):
            undefined |= {"average_precision": "no protein of another class"}
        row = ClassScores(
            name,
            support=int(support_C[c]),
            called=int(called_C[c]),
            precision=float(precision_C[c]),
            recall=float(recall_C[c]),
            f1=float(f1_C[c]),
            average_precision=float(cuts.average_precision()[0]),
            undefined=undefined,
        )
        rows.append(row)
    return rows


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Divide; NaN where there is nothing to divide by."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
