"""Decision rules: from probabilities to predicted classes, by a threshold and a rule for choosing it.

A threshold is a number, or follows a rule: ``max-mcc`` (the model's own), ``recall=X`` (on validation), or ``fdr=X``:
the lowest threshold at which the expected false discovery rate *of the proteins to be judged* is at most X.
"""

import re
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tfclass.channels.calibration import at_prevalence, estimate_prevalence
from tfclass.errors import ConfigError
from tfclass.limits import MAX_OPERATING_POINTS
from tfclass.typing import FloatArray, IntArray

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
_RULE = re.compile(r"(fdr|recall)=(.+)")
# Probabilities are shown, and compared with a threshold, with so many decimals, or more where the threshold is low.
_DECIMALS = 6
# With more, the rounded numbers are not exact in floating point; probabilities are then compared in full.
_MAX_DECIMALS = 15
# What the rule max-mcc chooses, in words.
OWN_THRESHOLD = "greatest expected Matthews correlation on validation"


class OperatingPoint(NamedTuple):
    """Rates of a threshold, as the calibrated probabilities of the validation split let expect them.

    Attributes
    ----------
    fdr : float
        False discovery rate: share of negatives among the predicted positives.
    recall : float
        Share of the positives that are predicted.
    """

    threshold: Probability
    fdr: Probability
    recall: Probability

    def at_prevalence(self, trained_prevalence: float, prevalence: float) -> "OperatingPoint":
        """Compute what the same threshold does where positives are rarer or commoner.

        The recall stays, the odds of a false discovery grow as those of a positive fall, and the threshold moves with
        the probabilities, so that the same proteins are predicted.
        """
        threshold = at_prevalence(np.array([self.threshold]), trained_prevalence, prevalence)[0]
        # The false share itself, from the side of the negatives: by way of the true one it would lose its last digits.
        fdr = at_prevalence(np.array([self.fdr]), 1 - trained_prevalence, 1 - prevalence)[0]
        return OperatingPoint(float(threshold), float(fdr), self.recall)

    def mcc(self, prevalence: float) -> float:
        """Compute the Matthews correlation where this is the prevalence; 0 where all proteins or none are predicted."""
        predicted = prevalence * self.recall / (1 - self.fdr) if self.fdr < 1 else 0.0
        spread = predicted * (1 - predicted) * prevalence * (1 - prevalence)
        return prevalence * (self.recall - predicted) / spread**0.5 if spread > 0 else 0.0


OperatingPoints = Annotated[tuple[OperatingPoint, ...], Field(max_length=MAX_OPERATING_POINTS)]


class Rule(NamedTuple):
    """Choice of a threshold.

    Attributes
    ----------
    kind : {'max-mcc', 'fdr', 'recall', 'number'}
    value : float
        The rate or the probability; 0 with ``max-mcc``.
    """

    kind: Literal["max-mcc", "fdr", "recall", "number"]
    value: float = 0.0


class DecisionRule(NamedTuple):
    """A threshold and the probabilities that are compared with it; the only place that compares them.

    Attributes
    ----------
    threshold : float or None
        Least probability of a predicted positive; None in a multi-class task, where the likeliest class is predicted.
    operating_points : tuple of OperatingPoint
        Of other thresholds; threshold rising.
    prevalence : float or None
        Share of the positive class for which threshold and probabilities hold; None when unknown or multi-class.
    calibrated_at : float or None
        Prevalence for which the probabilities were calibrated, where they must be moved to `prevalence`; else None.
    """

    threshold: float | None
    operating_points: tuple[OperatingPoint, ...] = ()
    prevalence: float | None = None
    calibrated_at: float | None = None

    @property
    def moved_to(self) -> float | None:
        """Prevalence to which probabilities are moved; None where they stay as they are calibrated."""
        return None if self.calibrated_at is None else self.prevalence

    def shown(self, probability_NC: FloatArray) -> FloatArray:
        """Return calibrated probabilities as they are shown: at `prevalence`, and rounded as `decimals_for` says.

        Parameters
        ----------
        probability_NC : ndarray of float64, shape (N, C)
            Calibrated probabilities.
        """
        if self.calibrated_at is not None and self.prevalence is not None:
            positive_N = at_prevalence(probability_NC[:, 1], self.calibrated_at, self.prevalence)
            probability_NC = np.stack([1 - positive_N, positive_N], axis=1)
        decimals = decimals_for(self.threshold)
        return probability_NC if decimals > _MAX_DECIMALS else probability_NC.round(decimals)

    def predict(self, shown_NC: FloatArray) -> IntArray:
        """Return the predicted class of each protein from the probabilities that are shown, shape (N,)."""
        if self.threshold is None:
            return shown_NC.argmax(axis=1)
        return (shown_NC[:, 1] >= self.threshold).astype(np.int64)

    def choose(
        self,
        rule: str | float | None = None,
        prevalence: float | Literal["auto"] | None = None,
        probability_N: FloatArray | None = None,
    ) -> "DecisionRule":
        """Return the decision rule with another threshold, for another prevalence.

        Parameters
        ----------
        rule : str, float or None
            See `parse_rule`; ``fdr=X`` takes the lowest threshold at which the mean of 1 - p over the predicted
            positives is at most X, or 1 where there is none.
        prevalence : float, 'auto' or None
            Of the proteins to be predicted; ``auto`` estimates it from them (`estimate_prevalence`), and so does
            ``fdr=X`` without a prevalence unless the model records none of its own.
        probability_N : ndarray of float64, shape (N,), optional
            Calibrated, of the positive class of all proteins to be predicted; needed where `depends_on_input`.

        Raises
        ------
        ConfigError
            See `parse_rule` and `at_prevalence`; a rule in a multi-class task, a recall that the model did not reach
            on validation, or no `probability_N` where it is needed.
        """
        kind, value = parse_rule("max-mcc" if rule is None else rule)
        if rule is not None and self.threshold is None:
            raise ConfigError(f"threshold {rule}: a model of several classes predicts the likeliest and has none")
        if probability_N is None and depends_on_input(rule, prevalence):
            raise ConfigError(f"threshold {rule}: this rule needs the probabilities of the input")
        if prevalence == "auto" or (kind == "fdr" and prevalence is None and self.prevalence is not None):
            known, _ = self._known_prevalence()
            prevalence = round(estimate_prevalence(probability_N, known), _DECIMALS)  # type: ignore[arg-type]
        moved = self if prevalence is None else self.at_prevalence(prevalence)
        if kind == "fdr":
            return moved._replace(threshold=moved._fdr_threshold(probability_N, value))  # type: ignore[arg-type]
        if kind == "recall":
            return moved._replace(threshold=moved._recall_threshold(value))
        return moved if kind == "max-mcc" else moved._replace(threshold=value)

    def at_prevalence(self, prevalence: float) -> "DecisionRule":
        """Return the decision rule for proteins among which positives are rarer or commoner.

        The threshold becomes that of the operating point with the greatest expected Matthews correlation there; without
        operating points it moves with the probabilities. With a lower prevalence it never predicts more proteins.

        Parameters
        ----------
        prevalence : float
            Share of positives among the proteins to be predicted.

        Raises
        ------
        ConfigError
            The prevalence is not between 0 and 1, the own one is not known, or there are several classes.
        """
        known, threshold = self._known_prevalence()
        origin = self.calibrated_at or known
        if prevalence == known:
            return self._replace(calibrated_at=origin)
        points = tuple(point.at_prevalence(known, prevalence) for point in self.operating_points)
        moved = float(at_prevalence(np.array([threshold]), known, prevalence)[0])
        # Of equally good ones the lowest, which comes first.
        best = max(points, key=lambda point: point.mcc(prevalence)).threshold if points else moved
        return DecisionRule(_rounded(best), points, prevalence, origin)

    def _recall_threshold(self, recall: float) -> float:
        if not self.operating_points:
            raise ConfigError(f"threshold recall={recall:g}: the model has no operating points; give a number")
        fitting = [point for point in self.operating_points if point.recall >= recall][-1:]
        if not fitting:
            best = max(point.recall for point in self.operating_points)
            raise ConfigError(f"threshold recall={recall:g}: the model reaches at most recall={best:.3g} on validation")
        return _rounded(fitting[0].threshold)

    def _fdr_threshold(self, probability_N: FloatArray, fdr: float) -> float:
        shown_N = self._replace(threshold=None).shown(np.stack([1 - probability_N, probability_N], axis=1))[:, 1]
        value_K, count_K = np.unique(-shown_N, return_counts=True)
        expected_K = np.cumsum((1 + value_K) * count_K) / np.cumsum(count_K)
        fitting = int(np.searchsorted(expected_K, fdr * (1 + 1e-12), side="right"))
        return float(-value_K[fitting - 1]) if fitting else 1.0

    def _known_prevalence(self) -> tuple[float, float]:
        if self.threshold is None:
            raise ConfigError("prevalence: the model has several classes; it is for models of two classes")
        if self.prevalence is None:
            raise ConfigError(
                "prevalence: the model does not record the prevalence it was calibrated at; train it again"
            )
        return self.prevalence, self.threshold


def parse_rule(rule: str | float) -> Rule:
    """Read what a user says of a threshold.

    Parameters
    ----------
    rule : str or float
        A probability, ``max-mcc``, ``fdr=X`` or ``recall=X``.

    Raises
    ------
    ConfigError
        No such rule, or a value outside 0 to 1.

    Examples
    --------
    >>> parse_rule("fdr=0.05")
    Rule(kind='fdr', value=0.05)
    """
    if rule == "max-mcc":
        return Rule("max-mcc")
    match = _RULE.fullmatch(str(rule))
    try:
        value = float(match[2] if match else rule)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        expected = "a probability between 0 and 1, max-mcc, fdr=X or recall=X, such as fdr=0.05"
        raise ConfigError(f"threshold: found {str(rule)!r}; expected {expected}")
    return Rule(match[1] if match else "number", value)  # type: ignore[arg-type]


def depends_on_input(rule: str | float | None, prevalence: float | str | None) -> bool:
    """Return whether threshold and prevalence can only be chosen with the probabilities of all proteins at hand."""
    return prevalence == "auto" or (rule is not None and parse_rule(rule).kind == "fdr")


def decimals_for(threshold: float | None) -> int:
    """Count the decimals that tell a probability from a threshold: six, or more where that is below 0.01."""
    return max(_DECIMALS, 4 - int(np.floor(np.log10(threshold)))) if threshold else _DECIMALS


def _rounded(threshold: float) -> float:
    return round(threshold, decimals_for(threshold))
