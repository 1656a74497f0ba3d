r"""The number of positives to expect in an input, from its calibrated probabilities, with an interval.

The number is the sum of the probabilities, and chance alone gives it the variance :math:`\sum_n p_n (1 - p_n)`. That
probabilities hold depends on the share of positives, which an input seldom has in common with the validation proteins.
So the sum is formed for two shares: that of validation, and the one that the input itself suggests
(`tfclass.channels.calibration.estimate_prevalence`). The interval reaches from the lower end of the one to the upper
end of the other. Errors of the model that have other causes are not in it.
"""

from math import isclose, log, sqrt
from typing import NamedTuple

import numpy as np

from tfclass.channels.calibration import at_prevalence, estimate_prevalence
from tfclass.channels.thresholds import DecisionRule

# Of a bin, in log-odds: the mean of its probabilities stands for each of them.
_WIDTH = 0.05
_LEAST = 1e-12
# Standard deviations of a normal distribution that 95 % of it are within.
_DEVIATIONS = 1.96


class Range(NamedTuple):
    """The least and the greatest of a number."""

    low: float
    high: float


class Assumption(NamedTuple):
    """Numbers to expect under an assumed share of positives in the input.

    Attributes
    ----------
    prevalence : float or None
        That share; None where the model does not record the one that its probabilities hold for.
    number : float
        Positives to expect.
    interval : Range
        Within which chance leaves 95 % of their numbers.
    false : float
        Negatives to expect among the predicted positives.
    missed : float
        Positives to expect among the others.
    """

    prevalence: float | None
    number: float
    interval: Range
    false: float
    missed: float


class Expected(NamedTuple):
    """The numbers to expect, over all assumptions; `number` is that of the probabilities as they are shown."""

    number: float
    interval: Range
    false: Range
    missed: Range
    assumptions: list[Assumption]


class ProbabilityCounts:
    """Count the probabilities of any number of proteins, in bounded memory.

    Parameters
    ----------
    rule : DecisionRule
        Of the model; its prevalence is the one of validation.
    """

    def __init__(self, rule: DecisionRule) -> None:
        self._rule = rule
        # By bin, and whether predicted positive: proteins, and the sum of their probabilities.
        self._bins: dict[tuple[int, bool], list[float]] = {}

    def add(self, probability: float, positive: bool) -> None:
        """Count a protein."""
        odds = (probability + _LEAST) / (1 - probability + _LEAST)
        found = self._bins.setdefault((round(log(odds) / _WIDTH), positive), [0.0, 0.0])
        found[0] += 1
        found[1] += probability

    def expected(self, shown_at: float | None) -> Expected:
        """Compute the numbers to expect.

        Parameters
        ----------
        shown_at : float or None
            Prevalence that the probabilities were moved to; None where they are as calibrated.
        """
        count_K, sum_K = np.array([*self._bins.values()], dtype=np.float64).reshape(-1, 2).T
        positive_K = np.array([positive for _, positive in self._bins], dtype=bool)
        probability_K, known = sum_K / count_K, self._rule.prevalence
        shown = known if shown_at is None else shown_at
        assumed = [shown]
        if known is not None and shown is not None and len(count_K):
            calibrated_K = at_prevalence(probability_K, shown, known)
            others = known, estimate_prevalence(calibrated_K, known, count_K)
            # Either may be the one that the probabilities were moved to, which is rounded.
            assumed += [share for share in others if not isclose(share, shown, rel_tol=1e-3)]
        found = []
        for prevalence in assumed:
            moved_K = probability_K
            if prevalence is not None and shown is not None:
                moved_K = at_prevalence(probability_K, shown, prevalence)
            number = float(count_K @ moved_K)
            margin = _DEVIATIONS * sqrt(float(count_K @ (moved_K * (1 - moved_K))))
            interval = Range(max(0.0, number - margin), min(float(count_K.sum()), number + margin))
            false, missed = float(count_K @ (positive_K * (1 - moved_K))), float(count_K @ (~positive_K * moved_K))
            found.append(Assumption(prevalence, number, interval, false, missed))
        ends = [end for each in found for end in each.interval]
        false, missed = ([getattr(each, name) for each in found] for name in ("false", "missed"))
        return Expected(
            found[0].number,
            Range(min(ends), max(ends)),
            Range(min(false), max(false)),
            Range(min(missed), max(missed)),
            found,
        )
