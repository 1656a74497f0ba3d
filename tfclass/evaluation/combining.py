"""Fitting how channels of evidence are read together, on the validation split."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from tfclass.bundle.evidence import READINGS, Combiner, Found, Reading, features
from tfclass.evaluation.cuts import max_mcc_threshold, operating_points


def fit_combiner(reading: Reading, found: Found, positive_N: npt.NDArray[np.bool_]) -> Combiner:
    """Fit a reading of the evidence: scikit-learn's logistic regression, with its ridge of C = 1.

    Parameters
    ----------
    reading : {'profile', 'homology', 'combined'}
    found : Found
        Of validation proteins; ``combined`` reads all that is there.
    positive_N : ndarray of bool, shape (N,)
        Some true, some false.

    Returns
    -------
    Combiner
        With the threshold of the greatest MCC, and other operating points.
    """
    fitted = LogisticRegression(max_iter=10_000).fit(features(found.read_by(reading)), positive_N)
    weights = tuple(float(w) for w in fitted.coef_[0])
    unset = Combiner(reading, float(fitted.intercept_[0]), weights, 0.5, float(positive_N.mean()))
    probability_N = unset.probability(found)
    return replace(
        unset,
        threshold=max_mcc_threshold(probability_N, positive_N),
        operating_points=operating_points(probability_N, positive_N),
    )


def fit_combiners(found: Found, positive_N: npt.NDArray[np.bool_]) -> dict[Reading, Combiner]:
    """Fit every reading that there is something for; see `fit_combiner`."""
    there: list[Reading] = [name for name in READINGS if name == "combined" or getattr(found, name) is not None]
    return {reading: fit_combiner(reading, found, positive_N) for reading in there}
