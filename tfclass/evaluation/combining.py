"""Fitting how channels of evidence are read together, on the validation split."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from tfclass.bundle.evidence import Combiner, Floats, Reading, features
from tfclass.evaluation.cuts import max_mcc_threshold, operating_points


def fit_combiner(reading: Reading, network_N: Floats, margin_N: Floats, positive_N: npt.NDArray[np.bool_]) -> Combiner:
    """Fit a reading of the evidence: scikit-learn's logistic regression, with its ridge of C = 1.

    Parameters
    ----------
    reading : {'profile', 'combined'}
    network_N, margin_N : ndarray of float64, shape (N,)
        As in `Combiner.probability`, of validation proteins.
    positive_N : ndarray of bool, shape (N,)
        Some true, some false.

    Returns
    -------
    Combiner
        With the threshold of the greatest MCC, and other operating points.
    """
    features_NK = features(reading, network_N, margin_N)
    fitted = LogisticRegression(max_iter=10_000).fit(features_NK, positive_N)
    weights = tuple(float(w) for w in fitted.coef_[0])
    unset = Combiner(reading, float(fitted.intercept_[0]), weights, 0.5, float(positive_N.mean()))
    probability_N = unset.probability(network_N, margin_N)
    return Combiner(
        unset.reading,
        unset.intercept,
        unset.weights,
        max_mcc_threshold(probability_N, positive_N),
        unset.prevalence,
        operating_points(probability_N, positive_N),
    )
