"""Fitting the calibration on the validation split, and choosing its kind there.

A curve with many bends fits the proteins it was drawn through better than any straight one, so the kinds are compared
by cross-validation. Relatives would tell each other's answers, so a cluster is never on both sides.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
.. [2] L. Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3, 10.1201/9781315139470.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import expit, log_softmax

from tfclass.channels.calibration import Calibration, Knot, Method
from tfclass.config import CalibrationConfig
from tfclass.errors import ConfigError
from tfclass.typing import FloatArray, IntArray

# Calibration cannot be judged beyond these; a fit that ends there says that validation is too small or too easy.
_TEMPERATURES = (0.05, 20.0)
_BIASES = (-20.0, 20.0)
# The simplest first.
_BINARY: tuple[Method, ...] = ("none", "temperature", "platt", "isotonic")
_MULTICLASS: tuple[Method, ...] = ("none", "temperature")


class Candidate(NamedTuple):
    """A kind of calibration that was tried.

    Attributes
    ----------
    log_loss : float
        On the proteins that it was fitted on.
    cross_validated : float or None
        On proteins of clusters that it was not fitted on; None where there are too few clusters.
    behind : float or None
        How far `cross_validated` is from the least one, in standard errors of that difference over clusters.
    """

    log_loss: float
    cross_validated: float | None
    behind: float | None


class Choice(NamedTuple):
    """A calibration and why it is this one.

    Attributes
    ----------
    calibration : Calibration
        Fitted on all proteins.
    candidates : dict of str to Candidate
        By method, the simplest first.
    """

    calibration: Calibration
    reason: str
    candidates: dict[str, Candidate]

    def as_json(self) -> dict[str, Any]:
        """Return the choice, its reason and the log losses for a bundle's provenance."""
        tried = {name: candidate._asdict() for name, candidate in self.candidates.items()}
        method, prevalence = self.calibration.method, self.calibration.prevalence
        return {"method": method, "reason": self.reason, "prevalence": prevalence, "candidates": tried}


def check_calibration(config: CalibrationConfig, n_classes: int) -> None:
    """Refuse a method that is not for so many classes.

    Raises
    ------
    ConfigError
        It is Platt's or isotonic, and there are more than two.
    """
    methods = _methods(n_classes)
    if config.method != "auto" and config.method not in methods:
        key, found = "training.calibration.method", f"{config.method} for {n_classes} classes"
        raise ConfigError(f"{key}: found {found}; expected auto, {' or '.join(methods)}")


def choose_calibration(
    logits_NC: FloatArray,
    labels_N: IntArray,
    clusters_N: npt.NDArray[np.str_],
    class_weight_C: FloatArray,
    config: CalibrationConfig,
) -> Choice:
    """Choose the kind of calibration and fit it.

    By log loss under cross-validation over clusters; of kinds that are not told apart by more than one standard error
    of their difference, the simplest [2]_. So the isotonic curve, which gives many proteins the same probability and
    thereby blurs the ranking, is taken only where it pays.

    Parameters
    ----------
    logits_NC : ndarray of float64, shape (N, C)
        Of the validation split.
    labels_N : ndarray of int64, shape (N,)
        True class of each protein.
    clusters_N : ndarray of str, shape (N,)
        Homology cluster of each protein.
    class_weight_C : ndarray of float64, shape (C,)
        Weights in the training loss.

    Raises
    ------
    ConfigError
        As in `check_calibration`.
    """
    n_classes = logits_NC.shape[1]
    check_calibration(config, n_classes)
    fits: dict[Method, Calibration] = {
        method: fit(method, logits_NC, labels_N, class_weight_C) for method in _methods(n_classes)
    }
    losses = {method: float(_losses(c, logits_NC, labels_N).mean()) for method, c in fits.items()}
    folds_N = _folds(labels_N, clusters_N, config)
    if folds_N is None:
        method: Method = "temperature" if config.method == "auto" else config.method
        reason = "too few clusters of each class for cross-validation"
        candidates = {name: Candidate(loss, None, None) for name, loss in losses.items()}
        return Choice(fits[method], reason if config.method == "auto" else "as configured", candidates)
    held_out = {m: _held_out_losses(m, logits_NC, labels_N, class_weight_C, folds_N) for m in fits}
    best = min(held_out, key=lambda method: held_out[method].mean())
    behind = {m: _standard_errors(losses_N - held_out[best], clusters_N) for m, losses_N in held_out.items()}
    candidates = {m: Candidate(losses[m], float(held_out[m].mean()), behind[m]) for m in fits}
    if config.method != "auto":
        return Choice(fits[config.method], "as configured", candidates)
    chosen: Method = next(method for method in fits if behind[method] <= 1)
    reason = f"the simplest within one standard error of the least cross-validated log loss ({best})"
    return Choice(fits[chosen], reason, candidates)


def fit(method: Method, logits_NC: FloatArray, labels_N: IntArray, class_weight_C: FloatArray) -> Calibration:
    """Fit one kind of calibration by log loss [1]_.

    Parameters
    ----------
    method : {'none', 'temperature', 'platt', 'isotonic'}
        The last two for two classes.
    logits_NC : ndarray of float64, shape (N, C)
        Output of the network.
    labels_N : ndarray of int64, shape (N,)
        True class of each protein.
    class_weight_C : ndarray of float64, shape (C,)
        Weights in the training loss.
    """
    log_weight_C = np.log(np.where(class_weight_C > 0, class_weight_C, 1.0))
    shifted_NC = logits_NC - log_weight_C
    weights, prevalence = tuple(log_weight_C.tolist()), _prevalence(labels_N, len(class_weight_C))
    if method == "temperature":
        return Calibration(_temperature(shifted_NC, labels_N), weights, prevalence=prevalence)
    if method == "none":
        return Calibration(1.0, weights, "none", prevalence=prevalence)
    margin_N, positive_N = shifted_NC[:, 1] - shifted_NC[:, 0], (labels_N == 1).astype(float)
    if method == "platt":
        temperature, bias = _platt(margin_N, positive_N)
        return Calibration(temperature, weights, "platt", bias=bias, prevalence=prevalence)
    return Calibration(1.0, weights, "isotonic", knots=_knots(margin_N, positive_N), prevalence=prevalence)


def _methods(n_classes: int) -> tuple[Method, ...]:
    return _BINARY if n_classes == 2 else _MULTICLASS


def _prevalence(labels_N: IntArray, n_classes: int) -> float | None:
    share = float((labels_N == 1).mean())
    return share if n_classes == 2 and 0 < share < 1 else None


def _temperature(shifted_NC: FloatArray, labels_N: IntArray) -> float:
    rows = np.arange(len(labels_N))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(shifted_NC / np.exp(log_temperature), axis=1)[rows, labels_N].mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(log_loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _platt(margin_N: FloatArray, positive_N: FloatArray) -> tuple[float, float]:
    """Find temperature and bias of the logistic curve with the least log loss."""

    def log_loss(slope_and_bias: FloatArray) -> tuple[float, FloatArray]:
        logit_N = slope_and_bias[0] * margin_N + slope_and_bias[1]
        error_N = expit(logit_N) - positive_N
        loss = float(np.mean(np.logaddexp(0.0, logit_N) - positive_N * logit_N))
        return loss, np.array([np.mean(error_N * margin_N), np.mean(error_N)])

    low, high = _TEMPERATURES
    bounds = [(1 / high, 1 / low), _BIASES]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(log_loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return float(1 / found.x[0]), float(found.x[1])


def _knots(margin_N: FloatArray, positive_N: FloatArray) -> tuple[Knot, ...]:
    """Find the rising step curve with the least squared error, which has the least log loss too; ends of each step."""
    margin_K, members_N, counts_K = np.unique(margin_N, return_inverse=True, return_counts=True)
    means_K = np.bincount(members_N, positive_N) / counts_K
    rising_K = isotonic_regression(means_K, weights=counts_K).x
    # N proteins without an exception are no proof that there is none: that is Laplace's rule of succession. A stated
    # 0 or 1 would cost infinitely much when it fails, and no other prevalence could move it.
    least = 1 / (len(margin_N) + 2)
    clipped_K = np.clip(rising_K, least, 1 - least)
    changes_K = np.flatnonzero(clipped_K[1:] != clipped_K[:-1])
    ends = np.unique(np.concatenate([[0], changes_K, changes_K + 1, [len(margin_K) - 1]]))
    return tuple(Knot(float(margin_K[i]), float(clipped_K[i])) for i in ends)


def _losses(calibration: Calibration, logits_NC: FloatArray, labels_N: IntArray) -> FloatArray:
    stated_N = calibration.probability(logits_NC)[np.arange(len(labels_N)), labels_N]
    return -np.log(np.maximum(stated_N, np.finfo(float).tiny))


def _held_out_losses(
    method: Method, logits_NC: FloatArray, labels_N: IntArray, class_weight_C: FloatArray, folds_N: IntArray
) -> FloatArray:
    losses_N = np.empty(len(labels_N))
    for fold in np.unique(folds_N):
        out_N = folds_N == fold
        calibration = fit(method, logits_NC[~out_N], labels_N[~out_N], class_weight_C)
        losses_N[out_N] = _losses(calibration, logits_NC[out_N], labels_N[out_N])
    return losses_N


def _folds(labels_N: IntArray, clusters_N: npt.NDArray[np.str_], config: CalibrationConfig) -> IntArray | None:
    """Deal whole clusters out to folds, class by class of their first member, shape (N,).

    None with fewer clusters than folds, and where the rest of some fold would lack one of two classes.
    """
    names, first, membership_N = np.unique(clusters_N, return_index=True, return_inverse=True)
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(names))
    order = order[np.argsort(labels_N[first][order], kind="stable")]
    folds_K = np.empty(len(names), dtype=np.int64)
    folds_K[order] = np.arange(len(names)) % config.folds
    folds_N = folds_K[membership_N]
    if len(names) < config.folds:
        return None
    rests = [np.unique(labels_N[folds_N != fold]) for fold in range(config.folds)]
    return folds_N if all(len(present) > 1 for present in rests) else None


def _standard_errors(difference_N: FloatArray, clusters_N: npt.NDArray[np.str_]) -> float:
    """Compute a mean difference in units of its standard error over clusters; 0 where there is no difference."""
    membership_N = np.unique(clusters_N, return_inverse=True)[1]
    sizes_K = np.bincount(membership_N)
    mean = float(difference_N.mean())
    excess_K = np.bincount(membership_N, difference_N) - mean * sizes_K
    error = np.sqrt(len(sizes_K) / (len(sizes_K) - 1) * np.sum(excess_K**2)) / len(difference_N)
    return mean / float(error) if error > 0 else 0.0
