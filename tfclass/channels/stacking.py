r"""From channels of evidence to one probability.

Three channels can tell of a protein, and each gives a block of terms:

``network``
    z, its calibrated log-odds, and z h once more, where h is 1 if any other channel that is asked found something and 0
    elsewhere: a network that disagrees with others is right less often than one that is on its own.
``profile``
    f, 1 where a profile fits at all and 0 elsewhere; and u(m, -20, 0), u(m, 0, 10), u(m, 10, 40) of the margin m, the
    bits by which the best profile lies above the score from which it is believed
    (`tfclass.search.hmmer.Evidence.margin`).
``homology``
    g, 1 where any homologue was found and 0 elsewhere; and u(d, 0, 50), u(d, 50, 200), u(-d, 0, 50), u(-d, 50, 200) of
    the lead d = P - Q: P bits has the best hit among the positive proteins of the reference, Q the best among the
    others, 0 where there is none (`tfclass.channels.homology`).

:math:`u(x, a, c) = \min(\max((x - a) / (c - a), 0), 1)` bends what it is given, because ten bits mean much near the
threshold and nothing far above it. Every reading of the evidence is a logistic regression on the blocks side by side:

.. math:: \log \frac{p}{1 - p} = b + \sum_k w_k x_k + o_j

Profiles differ in how much a fit of theirs tells, so the one that fits best, the j-th, adds an offset of its own
(`tfclass.evaluation.stacking_fit` fits it); where none fits, and in ``homology``, there is none.

``profile`` and ``homology`` read their own block alone; ``combined`` reads, in the order above, the network's and that
of every other channel that the bundle has.
"""

from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.special import expit, logit

from tfclass.channels.calibration import Inside, Moderate
from tfclass.channels.thresholds import OperatingPoints, Probability
from tfclass.limits import MAX_PROFILES
from tfclass.typing import FloatArray, IntArray

Reading = Literal["profile", "homology", "combined"]
READINGS: tuple[Reading, ...] = ("profile", "homology", "combined")

# A network is not believed beyond these log-odds: there is no validation data to tell.
_MAX_LOG_ODDS = 8.0
_MARGIN_BENDS = ((-20.0, 0.0), (0.0, 10.0), (10.0, 40.0))
_LEAD_BENDS = ((0.0, 50.0), (50.0, 200.0))
_TERMS = {"network": 2, "profile": 1 + len(_MARGIN_BENDS), "homology": 1 + 2 * len(_LEAD_BENDS)}


class Fits(NamedTuple):
    """What profiles say of N proteins.

    Attributes
    ----------
    margin : ndarray of float64, shape (N,)
        In bits; -inf where no profile fits.
    profile : ndarray of int64, shape (N,)
        The one that fits best: its place in the library; -1 where none fits.
    """

    margin: FloatArray
    profile: IntArray


class Found(NamedTuple):
    """What channels found of N proteins; None for a channel that was not asked.

    Attributes
    ----------
    network : ndarray of float64, shape (N,), or None
        Calibrated probability of the positive class.
    homology : ndarray of float64, shape (N, 2), or None
        Bits of the best hit of either class, the positive one last; 0 where there is none.
    """

    network: FloatArray | None = None
    profile: Fits | None = None
    homology: FloatArray | None = None

    def read_by(self, reading: Reading) -> "Found":
        """Keep what a reading looks at."""
        return self if reading == "combined" else Found(**{reading: getattr(self, reading)})


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Combiner:
    """One reading of the evidence; see the module for the equation.

    Attributes
    ----------
    reading : {'profile', 'homology', 'combined'}
    weights : tuple of float
        In the order of `features`.
    threshold : float
        Least probability that is called.
    prevalence : float
        Share of the positive class among the proteins that it was fitted on.
    operating_points : tuple of OperatingPoint
        What other thresholds did on validation.
    offsets : tuple of float
        By profile, in the order of the library; empty where all are alike.
    """

    reading: Reading
    intercept: Moderate
    weights: Annotated[tuple[Moderate, ...], Field(max_length=100)]
    threshold: Probability
    prevalence: Inside
    operating_points: OperatingPoints = ()
    offsets: Annotated[tuple[Moderate, ...], Field(max_length=MAX_PROFILES)] = ()

    def probability(self, found: Found) -> FloatArray:
        """Give the probability of the positive class, ndarray of float64, shape (N,)."""
        read = found.read_by(self.reading)
        log_odds_N = self.intercept + features(read) @ np.array(self.weights)
        if self.offsets and read.profile is not None:
            log_odds_N += of_best(np.array(self.offsets), read.profile)
        return expit(log_odds_N)


def n_terms(reading: Reading, channels: Collection[str]) -> int:
    """Count the terms of a reading in a bundle that has these channels."""
    return sum(_TERMS[channel] for channel in (channels if reading == "combined" else (reading,)))


def of_best(value_K: FloatArray, fits: Fits) -> FloatArray:
    """Give each protein the value of the profile that fits it best, shape (N, ...); 0 where none fits."""
    return np.concatenate([value_K, np.zeros_like(value_K[:1])])[fits.profile]


def features(found: Found) -> FloatArray:
    """Give the terms of the equation: the blocks of the channels that were asked, side by side.

    Returns
    -------
    ndarray of float64, shape (N, K)

    Examples
    --------
    >>> features(Found(np.array([0.5, 0.5]), Fits(np.array([-np.inf, 5.0]), np.array([-1, 0])))).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.5, 0.0]]
    """
    blocks = []
    if found.profile is not None:
        margin_N = found.profile.margin
        blocks.append(np.stack([np.isfinite(margin_N), *_bent(margin_N, _MARGIN_BENDS)], axis=1))
    if found.homology is not None:
        lead_N = found.homology[:, 1] - found.homology[:, 0]
        bent = [*_bent(lead_N, _LEAD_BENDS), *_bent(-lead_N, _LEAD_BENDS)]
        blocks.append(np.stack([found.homology.any(axis=1), *bent], axis=1))
    if found.network is not None:
        with np.errstate(divide="ignore"):
            z_N = np.clip(logit(found.network), -_MAX_LOG_ODDS, _MAX_LOG_ODDS)
        # The first term of a block says whether its channel found anything.
        beside_N = np.max([block[:, 0] for block in blocks], axis=0)
        blocks.insert(0, np.stack([z_N, z_N * beside_N], axis=1))
    return np.concatenate(blocks, axis=1)


def _bent(value_N: FloatArray, bends: Collection[tuple[float, float]]) -> list[FloatArray]:
    return [np.clip((value_N - low) / (high - low), 0.0, 1.0) for low, high in bends]
