"""Which probability calls a protein: the rules, and what the cuts did on validation."""

import re
from typing import NamedTuple

import numpy as np

from tfclass.bundle.calibration import at_prevalence
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
        threshold, right = at_prevalence(np.array([self.threshold, 1 - self.fdr]), trained_prevalence, prevalence)
        return OperatingPoint(float(threshold), float(1 - right), self.recall)


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
