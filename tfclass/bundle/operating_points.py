"""Which probability calls a protein: the rules, and what the cuts did on validation."""

import re
from typing import NamedTuple

import numpy as np

from tfclass.bundle.calibration import Floats, at_prevalence
from tfclass.errors import ConfigError

_RULE = re.compile(r"(fdr|recall)=(.+)")


class OperatingPoint(NamedTuple):
    """What a threshold did on the validation split.

    Attributes
    ----------
    threshold : float
    fdr : float
        False discovery rate: share of negatives among the proteins called.
    recall : float
        Share of the positives that were called.
    """

    threshold: float
    fdr: float
    recall: float

    def at_prevalence(self, trained_prevalence: float, prevalence: float) -> "OperatingPoint":
        """Say what the same cut does where positives are rarer or commoner.

        The recall stays, the odds of a false discovery grow as those of a positive fall, and the threshold moves with
        the probabilities, so that the same proteins are called.
        """
        threshold = at_prevalence(np.array([self.threshold]), trained_prevalence, prevalence)[0]
        # The false share itself, from the side of the negatives: by way of the true one it would lose its last digits.
        fdr = at_prevalence(np.array([self.fdr]), 1 - trained_prevalence, 1 - prevalence)[0]
        return OperatingPoint(float(threshold), float(fdr), self.recall)


class Calling(NamedTuple):
    """How probabilities become calls.

    Attributes
    ----------
    threshold : float or None
        Least probability of the positive class that is called, unless another is asked for; None in a multi-class task.
    operating_points : tuple of OperatingPoint
        What other thresholds did on validation.
    prevalence : float or None
        Share of the positive class that the probabilities are right for; None when unknown or multi-class.
    """

    threshold: float | None
    operating_points: tuple[OperatingPoint, ...] = ()
    prevalence: float | None = None

    def choose(self, rule: str | float | None) -> float | None:
        """Give the threshold of a rule, or the own one without a rule; see `choose_threshold`.

        Raises
        ------
        ConfigError
            As `choose_threshold`; or a rule in a multi-class task.
        """
        if rule is None:
            return self.threshold
        if self.threshold is None:
            raise ConfigError("threshold", str(rule), "none: the likeliest of several classes is called")
        return choose_threshold(rule, self.threshold, self.operating_points)

    def at_prevalence(self, prevalence: float) -> "Calling":
        """Give what calls proteins among which positives are rarer or commoner.

        Parameters
        ----------
        prevalence : float
            Share of positives among the proteins to be judged.

        Returns
        -------
        Calling
            Its own threshold is the one with the greatest Matthews correlation there, if there are operating points.

        Raises
        ------
        ConfigError
            The prevalence is not between 0 and 1, the own one is not known, or there are several classes.
        """
        known, threshold = self._known_prevalence()
        if prevalence == known:
            return self
        points = tuple(point.at_prevalence(known, prevalence) for point in self.operating_points)
        shifted = float(at_prevalence(np.array([threshold]), known, prevalence)[0])
        return Calling(max_mcc_point(points, prevalence).threshold if points else shifted, points, prevalence)

    def probability_at(self, probability_NC: Floats, prevalence: float) -> Floats:
        """Move probabilities, shape (N, 2), as `at_prevalence` moves the threshold."""
        known, _ = self._known_prevalence()
        positive_N = at_prevalence(probability_NC[:, 1], known, prevalence)
        return np.stack([1 - positive_N, positive_N], axis=1)

    def _known_prevalence(self) -> tuple[float, float]:
        if self.threshold is None:
            raise ConfigError("prevalence", "a model of several classes", "one of two classes", key="prevalence")
        if self.prevalence is None:
            found = "a model that does not record the prevalence it was calibrated at"
            raise ConfigError("prevalence", found, action="train it again", key="prevalence")
        return self.prevalence, self.threshold


def max_mcc_point(points: tuple[OperatingPoint, ...], prevalence: float) -> OperatingPoint:
    """Find the point with the greatest Matthews correlation.

    Parameters
    ----------
    points : tuple of OperatingPoint
        At least one, as they are at `prevalence`.
    prevalence : float

    Returns
    -------
    OperatingPoint
        The one with the lowest threshold when several are equally good.

    Examples
    --------
    >>> points = (OperatingPoint(0.2, 0.3, 1.0), OperatingPoint(0.6, 0.1, 0.8))
    >>> max_mcc_point(points, 0.3).threshold, max_mcc_point(points, 0.05).threshold
    (0.6, 0.6)
    """

    def mcc(point: OperatingPoint) -> float:
        hits = point.recall * prevalence
        called = hits / (1 - point.fdr) if point.fdr < 1 else 1.0
        spread = called * (1 - called) * prevalence * (1 - prevalence)
        return (hits - called * prevalence) / np.sqrt(spread) if spread > 0 else 0.0

    return max(points, key=lambda point: (mcc(point), -point.threshold))


def choose_threshold(rule: str | float, max_mcc: float, points: tuple[OperatingPoint, ...]) -> float:
    """Turn a rule into a threshold.

    Parameters
    ----------
    rule : str or float
        A probability; ``max-mcc``; ``fdr=X``, the lowest threshold with a false discovery rate of at most X on
        validation; ``recall=X``, the highest with a recall of at least X there.
    max_mcc : float
        The model's own threshold.
    points : tuple of OperatingPoint
        Threshold rising.

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        No such rule, a value outside 0 to 1, or a rate that the model did not reach on validation.

    Examples
    --------
    >>> points = (OperatingPoint(0.2, 0.3, 1.0), OperatingPoint(0.6, 0.1, 0.8))
    >>> choose_threshold("fdr=0.2", 0.5, points), choose_threshold("recall=0.9", 0.5, points)
    (0.6, 0.2)
    """
    if rule == "max-mcc":
        return max_mcc
    match = _RULE.fullmatch(str(rule))
    try:
        value = float(match[2] if match else rule)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        expected = "a probability between 0 and 1, max-mcc, fdr=X or recall=X"
        raise ConfigError("threshold", repr(str(rule)), expected, key="threshold", value=rule)
    if match is None:
        return value
    if not points:
        action = "train it again, or give a number"
        raise ConfigError("threshold", f"{rule} for a model without operating points", action=action, key="threshold")
    if match[1] == "fdr":
        fitting = [point for point in points if point.fdr <= value][:1]
    else:
        fitting = [point for point in points if point.recall >= value][-1:]
    if not fitting:
        best = min(point.fdr for point in points)
        raise ConfigError("threshold", str(rule), f"at least fdr={best:.3g}, the model's best", key="threshold")
    return fitting[0].threshold
