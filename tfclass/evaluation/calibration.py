"""Fitting the temperature and the threshold, on the validation split; both belong to the model from then on.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
.. [2] B. Matthews, Biochimica et Biophysica Acta 405 (1975), 10.1016/0005-2795(75)90109-9.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tfclass.bundle.calibration import Calibration

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Calibration cannot be judged beyond these; a fit that ends there says that validation is too small or too easy.
_TEMPERATURES = (0.05, 20.0)


def fit_temperature(logits_NC: Floats, labels_N: Ints, class_weight_C: Floats) -> Calibration:
    """Find the temperature with the least log loss [1]_.

    Parameters
    ----------
    logits_NC : ndarray of float64, shape (N, C)
        Of the validation split.
    labels_N : ndarray of int64, shape (N,)
    class_weight_C : ndarray of float64, shape (C,)
        Weights in the training loss.

    Returns
    -------
    Calibration
    """
    log_weight_C = np.log(np.where(class_weight_C > 0, class_weight_C, 1.0))
    shifted_NC = logits_NC - log_weight_C
    rows = np.arange(len(labels_N))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(shifted_NC / np.exp(log_temperature), axis=1)[rows, labels_N].mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(log_loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return Calibration(float(np.exp(found.x)), tuple(log_weight_C.tolist()))


def max_mcc_threshold(probability_N: Floats, positive_N: npt.NDArray[np.bool_]) -> float:
    """Find the cut with the greatest Matthews correlation [2]_.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class.
    positive_N : ndarray of bool, shape (N,)

    Returns
    -------
    float
        Halfway between two neighbouring probabilities, so that a rounding error flips no call; the lowest when several
        cuts are equally good. A protein is called when its probability is at least this.

    Examples
    --------
    >>> max_mcc_threshold(np.array([0.1, 0.4, 0.8]), np.array([False, False, True]))
    0.6
    """
    order = np.argsort(-probability_N, kind="stable")
    sorted_N = probability_N[order]
    hits_N = np.cumsum(positive_N[order], dtype=float)
    called_N = np.arange(1, len(order) + 1, dtype=float)
    n, positives = float(len(order)), float(positive_N.sum())
    spread_N = called_N * (n - called_N) * positives * (n - positives)
    with np.errstate(invalid="ignore", divide="ignore"):
        mcc_N = np.where(spread_N > 0, (hits_N * n - called_N * positives) / np.sqrt(spread_N), 0.0)
    # A cut is only possible where the probability changes, and below them all.
    following_N = np.append(sorted_N[1:], 0.0)
    mcc_N[:-1][sorted_N[:-1] == following_N[:-1]] = -2.0
    best = len(mcc_N) - 1 - int(np.argmax(mcc_N[::-1]))
    return _between(float(following_N[best]), float(sorted_N[best]))


def _between(low: float, high: float) -> float:
    # As short as can be read, but never so short that it leaves the gap: confident scores lie close together.
    middle = (low + high) / 2
    candidates = [*(round(middle, digits) for digits in range(6, 18)), middle]
    return next((cut for cut in candidates if low < cut < high), high)
