"""How a model's logits become probabilities, and probabilities calls.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
.. [2] C. Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from scipy.special import softmax

from tfclass.errors import ConfigError

_RULE = re.compile(r"(fdr|recall)=(.+)")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Calibration:
    r"""Temperature scaling: :math:`p = \mathrm{softmax}((z - \log w) / T)` [1]_.

    Attributes
    ----------
    temperature : float
        T; above 1 the network was too sure of itself.
    log_weight_C : tuple of float, length C
        Logarithm of the class weights used in training, which shift the logits by as much [2]_; zeros without.
    """

    temperature: float
    log_weight_C: tuple[float, ...]

    def probability(self, logits_NC: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn logits into probabilities.

        Parameters
        ----------
        logits_NC : ndarray of float64, shape (N, C)

        Returns
        -------
        ndarray of float64, shape (N, C)
            Rows sum to 1.
        """
        return softmax((logits_NC - np.array(self.log_weight_C)) / self.temperature, axis=1)


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
