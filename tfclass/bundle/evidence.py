r"""From channels of evidence to one probability.

Two channels tell of a protein: the network, whose calibrated log-odds are z, and the profiles, of which the best lies m
bits above the score from which it is believed (`tfclass.profiles.library.Evidence.margin`). Beside ``network`` itself
there are two readings, each a logistic regression: ``profile`` on the profiles alone, ``combined`` on both.

.. math:: \log \frac{p}{1 - p} = b + w_1 z + w_2 z h + w_3 h + w_4 u(-20, 0) + w_5 u(0, 10) + w_6 u(10, 40)

h is 1 where a profile fits at all and 0 elsewhere, and :math:`u(a, c) = \min(\max((m - a) / (c - a), 0), 1)`;
``profile`` leaves out the two terms of z. The margin enters bent because ten bits mean much near the threshold and
nothing far above it; z enters twice because a network that disagrees with a profile is right less often than one that
is on its own.
"""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.special import expit, logit

from tfclass.bundle.calibration import Finite, Inside
from tfclass.bundle.operating_points import OperatingPoint

Floats = npt.NDArray[np.float64]
Reading = Literal["profile", "combined"]
READINGS: tuple[Reading, ...] = ("profile", "combined")

# A network is not believed beyond these log-odds: there is no validation data to tell.
_MAX_LOG_ODDS = 8.0
_BENDS = ((-20.0, 0.0), (0.0, 10.0), (10.0, 40.0))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Combiner:
    """One reading of the evidence; see the module for the equation.

    Attributes
    ----------
    reading : {'profile', 'combined'}
    intercept : float
    weights : tuple of float
        In the order of `features`.
    threshold : float
        Least probability that is called.
    prevalence : float
        Share of the positive class among the proteins that it was fitted on.
    operating_points : tuple of OperatingPoint
        What other thresholds did on validation.
    """

    reading: Reading
    intercept: Finite
    weights: tuple[Finite, ...]
    threshold: Annotated[float, Field(ge=0.0, le=1.0)]
    prevalence: Inside
    operating_points: tuple[OperatingPoint, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> "Combiner":
        expected = {"profile": 4, "combined": 6}[self.reading]
        if len(self.weights) != expected:
            raise ValueError(f"{self.reading} evidence has {expected} weights")
        return self

    def probability(self, network_N: Floats, margin_N: Floats) -> Floats:
        """Give the probability of the positive class.

        Parameters
        ----------
        network_N : ndarray of float64, shape (N,)
            The network's calibrated probability; not looked at by ``profile``.
        margin_N : ndarray of float64, shape (N,)
            In bits; -inf where no profile fits.

        Returns
        -------
        ndarray of float64, shape (N,)
        """
        return expit(self.intercept + features(self.reading, network_N, margin_N) @ np.array(self.weights))


def features(reading: Reading, network_N: Floats, margin_N: Floats) -> Floats:
    """Give the terms of the equation; see `Combiner.probability`.

    Returns
    -------
    ndarray of float64, shape (N, 4) or (N, 6)

    Examples
    --------
    >>> features("combined", np.array([0.5, 0.5]), np.array([-np.inf, 5.0])).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.5, 0.0]]
    """
    fits_N = np.isfinite(margin_N).astype(float)
    bent = [np.clip((margin_N - low) / (high - low), 0.0, 1.0) for low, high in _BENDS]
    profile = [fits_N, *bent]
    if reading == "profile":
        return np.stack(profile, axis=1)
    with np.errstate(divide="ignore"):
        z_N = np.clip(logit(network_N), -_MAX_LOG_ODDS, _MAX_LOG_ODDS)
    return np.stack([z_N, z_N * fits_N, *profile], axis=1)
