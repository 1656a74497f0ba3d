"""Fitting how channels of evidence are read together, on the validation split."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from tfclass.channels.stacking import READINGS, Combiner, Found, Reading, features, of_best
from tfclass.evaluation.threshold_fit import max_mcc_threshold, operating_points
from tfclass.search.hmmer import Evidence, Library
from tfclass.typing import BoolArray, FloatArray


def profile_terms(
    library: Library, evidence: Sequence[Evidence], positive_N: BoolArray, cluster_N: npt.NDArray[np.str_]
) -> FloatArray:
    """Describe what may set profiles apart from each other: their record in training, and their family.

    Parameters
    ----------
    library : Library
        Of K profiles.
    evidence : sequence of Evidence, length N
        What it says of the training proteins.
    positive_N : ndarray of bool, shape (N,)
    cluster_N : ndarray of str, shape (N,)
        Of homology; one counts as much as another, however many proteins it has.

    Returns
    -------
    ndarray of float64, shape (K, 1 + F)
        First log((T + 1/2) / (W + 1/2)), where T clusters of positives and W of others have the profile as their best
        at any margin; then 1 for its family among the F that the library names, and 0 for the others.
    """
    _, place_N, size = np.unique(cluster_N, return_inverse=True, return_counts=True)
    best_N = np.array([found.profile for found in evidence])
    count_CK = np.zeros((2, len(library.profiles)))
    fits_N = best_N >= 0
    np.add.at(count_CK, (positive_N[fits_N].astype(int), best_N[fits_N]), 1.0 / size[place_N[fits_N]])
    record_K = np.log((count_CK[1] + 0.5) / (count_CK[0] + 0.5))
    families = np.array([profile.family for profile in library.profiles])
    return np.column_stack([record_K, families[:, None] == np.unique(families)])


def fit_combiner(reading: Reading, found: Found, positive_N: BoolArray, terms_KJ: FloatArray | None = None) -> Combiner:
    """Fit a reading of the evidence: scikit-learn's logistic regression, with its ridge of C = 1.

    Parameters
    ----------
    reading : {'profile', 'homology', 'combined'}
    found : Found
        Of validation proteins; ``combined`` reads all that is there.
    positive_N : ndarray of bool, shape (N,)
        Some true, some false.
    terms_KJ : ndarray of float64, shape (K, J), optional
        From `profile_terms`: the offset of a profile is a weighted sum of them. Without, profiles are alike.

    Returns
    -------
    Combiner
        With the threshold of the greatest MCC, and other operating points.
    """
    read = found.read_by(reading)
    columns_NK = features(read)
    n = columns_NK.shape[1]
    if terms_KJ is None or read.profile is None:
        terms_KJ = np.zeros((0, 0))
    else:
        columns_NK = np.column_stack([columns_NK, of_best(terms_KJ, read.profile)])
    fitted = LogisticRegression(max_iter=10_000).fit(columns_NK, positive_N)
    weights = tuple(float(w) for w in fitted.coef_[0, :n])
    offsets = tuple(float(o) for o in terms_KJ @ fitted.coef_[0, n:])
    prevalence = float(positive_N.mean())
    unset = Combiner(reading, float(fitted.intercept_[0]), weights, 0.5, prevalence, offsets=offsets)
    probability_N = unset.probability(found)
    return replace(
        unset,
        threshold=max_mcc_threshold(probability_N, positive_N),
        operating_points=operating_points(probability_N, positive_N),
    )


def fit_combiners(found: Found, positive_N: BoolArray, terms_KJ: FloatArray | None = None) -> dict[Reading, Combiner]:
    """Fit every reading that there is something for; see `fit_combiner`."""
    there: list[Reading] = [name for name in READINGS if name == "combined" or getattr(found, name) is not None]
    return {reading: fit_combiner(reading, found, positive_N, terms_KJ) for reading in there}
