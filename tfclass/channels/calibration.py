"""From logits to probabilities, and from one prevalence to another.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
.. [2] C. Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
.. [3] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.
.. [4] B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002,
   10.1145/775047.775151.
.. [5] M. Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14
   (2002), 10.1162/089976602753284446.
"""

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from tfclass.errors import ConfigError
from tfclass.limits import MAX_CLASSES, MAX_KNOTS
from tfclass.typing import FloatArray

Method = Literal["none", "temperature", "platt", "isotonic"]

# Large enough for any logit, small enough that no arithmetic on a few of them overflows.
Moderate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Inside = Annotated[float, Field(gt=0.0, lt=1.0)]

# Of the estimate of a prevalence: weight of the prior, most steps, and the relative change at which it ends.
_PRIOR_PROTEINS = 10.0
_MAX_STEPS = 1000
_CONVERGED = 1e-7


class Knot(NamedTuple):
    """A knot of the isotonic curve: the margin of the logits and the probability there."""

    margin: Moderate
    probability: Inside


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Calibration:
    r"""From logits to probabilities: :math:`p = \mathrm{softmax}((z - \log w) / T + b)`, or a curve through knots.

    Attributes
    ----------
    temperature : float
        T; above 1 the network was too sure of itself [1]_. 1 with the methods ``none`` and ``isotonic``.
    log_weight_C : tuple of float, length C
        Logarithm of the class weights used in training, which shift the logits by as much [2]_; zeros without.
    method : {'temperature', 'none', 'platt', 'isotonic'}
        Platt's scaling [3]_ and isotonic regression [4]_ are for two classes.
    bias : float
        b of the positive class, in logits; other than 0 in Platt's scaling alone.
    knots : tuple of Knot
        Of the isotonic curve: margin rising, probability never falling. The margin is the positive class's logit less
        the other's, class weights taken out; between knots the probability is interpolated, beyond them it is constant.
    prevalence : float or None
        Share of the positive class among the proteins that it was fitted on; None when unknown or multi-class.
    """

    temperature: Annotated[float, Field(gt=1e-6, le=1e6, allow_inf_nan=False)]
    log_weight_C: Annotated[tuple[Moderate, ...], Field(max_length=MAX_CLASSES)]
    method: Method = "temperature"
    bias: Moderate = 0.0
    knots: Annotated[tuple[Knot, ...], Field(max_length=MAX_KNOTS)] = ()
    prevalence: Inside | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Calibration":
        if self.method in ("platt", "isotonic") and len(self.log_weight_C) != 2:
            raise ValueError(f"{self.method} calibration is for two classes")
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("knots belong to isotonic calibration")
        if any(a.margin >= b.margin or a.probability > b.probability for a, b in pairwise(self.knots)):
            raise ValueError("knots must rise")
        return self

    def probability(self, logits_NC: FloatArray) -> FloatArray:
        """Turn logits into probabilities.

        Parameters
        ----------
        logits_NC : ndarray of float64, shape (N, C)
            Output of the network.

        Returns
        -------
        ndarray of float64, shape (N, C)
            Rows sum to 1.
        """
        scaled_NC = (logits_NC - np.array(self.log_weight_C)) / self.temperature
        if self.knots:
            margins, probabilities = zip(*self.knots, strict=True)
            return _both(np.interp(scaled_NC[:, 1] - scaled_NC[:, 0], margins, probabilities))
        if self.bias:
            scaled_NC[:, 1] += self.bias
        return softmax(scaled_NC)

    def in_words(self) -> str:
        """Describe the calibration for a model card."""
        words = {
            "none": "none",
            "temperature": f"temperature {self.temperature:.3f}",
            "platt": f"Platt's scaling (temperature {self.temperature:.3f}, bias {self.bias:+.3f})",
            "isotonic": f"isotonic curve of {len(self.knots)} knots",
        }
        return words[self.method]


def at_prevalence(probability_N: FloatArray, trained_prevalence: float, prevalence: float) -> FloatArray:
    r"""Correct probabilities for another share of positives [5]_.

    Where positives look like the positives of the training, and negatives like its negatives, only rarer or commoner,
    Bayes' rule multiplies the odds by :math:`\frac{\pi'}{1 - \pi'} \frac{1 - \pi}{\pi}`. The ranking stays.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class, calibrated at `trained_prevalence`; 0 and 1 stay what they are.
    trained_prevalence, prevalence : float
        π and π', between 0 and 1.

    Returns
    -------
    ndarray of float64, shape (N,)

    Raises
    ------
    ConfigError
        A prevalence is not between 0 and 1.

    Examples
    --------
    >>> at_prevalence(np.array([0.5, 0.9]), 0.5, 0.1).round(3).tolist()
    [0.1, 0.5]
    """
    factor = _odds(prevalence) / _odds(trained_prevalence)
    return factor * probability_N / (factor * probability_N + (1 - probability_N))


def estimate_prevalence(
    probability_N: FloatArray, trained_prevalence: float, count_N: FloatArray | None = None
) -> float:
    r"""Estimate the share of positives among unlabelled proteins by expectation maximisation [5]_.

    Each step moves the probabilities to the last estimate π and takes their mean as the next one. A prior as heavy as
    `_PRIOR_PROTEINS` proteins at the trained prevalence keeps a handful of proteins from deciding alone:
    :math:`\pi \leftarrow (\sum_n p_n(\pi) + 10 \pi_0) / (N + 10)`.

    Parameters
    ----------
    probability_N : ndarray of float64, shape (N,)
        Of the positive class, calibrated at `trained_prevalence`.
    trained_prevalence : float
        π₀, between 0 and 1.
    count_N : ndarray of float64, shape (N,), optional
        How many proteins have each of the probabilities; one by default.

    Returns
    -------
    float
        Between 0 and 1; the trained prevalence without a protein.
    """
    prevalence, count_N = trained_prevalence, np.ones(len(probability_N)) if count_N is None else count_N
    for _ in range(_MAX_STEPS):
        total = float((at_prevalence(probability_N, trained_prevalence, prevalence) * count_N).sum())
        new = (total + _PRIOR_PROTEINS * trained_prevalence) / (float(count_N.sum()) + _PRIOR_PROTEINS)
        if abs(new - prevalence) < _CONVERGED * prevalence:
            return new
        prevalence = new
    return prevalence


def _both(probability_N: FloatArray) -> FloatArray:
    return np.stack([1 - probability_N, probability_N], axis=1)


def _odds(prevalence: float) -> float:
    if not 0.0 < prevalence < 1.0:
        raise ConfigError(f"prevalence: found {prevalence!r}; expected a share between 0 and 1, such as 0.06 for 6 %")
    return prevalence / (1 - prevalence)


def expit(x: npt.ArrayLike) -> FloatArray:
    """Compute 1 / (1 + exp(-x)) of each element, without SciPy, which takes half a second to load."""
    return torch.special.expit(_tensor(x)).numpy()


def logit(p: npt.ArrayLike) -> FloatArray:
    """Compute log(p / (1 - p)) of each element: -inf at 0, inf at 1."""
    return torch.special.logit(_tensor(p)).numpy()


def softmax(x_NC: FloatArray) -> FloatArray:
    """Compute the softmax of each row; NaN in a row that holds NaN or positive infinity."""
    with np.errstate(invalid="ignore"):
        exponential_NC = np.exp(x_NC - x_NC.max(axis=1, keepdims=True))
        return exponential_NC / exponential_NC.sum(axis=1, keepdims=True)


def _tensor(values: npt.ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
