"""Intervals that respect homology: the bootstrap resamples whole clusters.

Sequences of one cluster are not independent; resampling single proteins would pretend to more data than there are.
The intervals are percentiles, corrected for the bias of the resamples: with many clusters they are right as often as
they claim, with some dozens a little less often. Three things to know: what the proteins show without exception, such
as a recall of 1, has an interval of no width; the calibration error, which noise can only raise, has one that lies too
high; and recall at a limit of false discoveries, decided by the few best-ranked negatives, one that is too narrow.

References
----------
.. [1] B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 14, 10.1201/9780429246593.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from tfclass.typing import FloatArray

# Resamples that are computed side by side. Few enough for the processor's cache with some thousand proteins.
_CHUNK = 64


class Estimate(NamedTuple):
    """A metric and its interval.

    `low` and `high` are NaN where no resample defines the metric, and where there is but one cluster to resample.
    """

    value: float
    low: float
    high: float


class Resampled(NamedTuple):
    """The metrics of a set of proteins and of its resamples.

    Attributes
    ----------
    values : dict of str to float
        On the proteins as they are; NaN where undefined.
    draws : dict of str to ndarray of float64, shape (R,)
        In each resample. The same clusters and seed give the same resamples, whatever is scored.
    """

    values: dict[str, float]
    draws: dict[str, FloatArray]

    def estimates(self, confidence: float) -> dict[str, Estimate]:
        """Give every metric with its bias-corrected percentile interval [1]_."""
        return {name: _estimate(value, self.draws[name], confidence) for name, value in self.values.items()}

    def less(self, other: "Resampled", confidence: float) -> dict[str, Estimate]:
        """Give every metric's difference to `other`, resample by resample.

        Both have met the same proteins, so the interval of the difference is narrower than those of the two suggest.

        Parameters
        ----------
        other : Resampled
            Made from the same labels, clusters and seed.

        Returns
        -------
        dict of str to Estimate
            For the metrics that both have; positive where this one's is greater.
        """
        return {
            name: _estimate(value - other.values[name], self.draws[name] - other.draws[name], confidence)
            for name, value in self.values.items()
            if name in other.values
        }


def resample(
    compute: Callable[[FloatArray], dict[str, FloatArray]],
    clusters_N: npt.NDArray[np.str_],
    *,
    n_resamples: int,
    seed: int,
) -> Resampled:
    """Compute metrics on the proteins and on resamples of their clusters.

    Parameters
    ----------
    compute : callable
        From weights of the proteins, float64 of shape (N, R), to every metric in each weighting, shape (R,).
    clusters_N : ndarray of str, shape (N,)
        Homology cluster of each protein; the unit that is resampled.
    """
    values = {name: float(value_R[0]) for name, value_R in compute(np.ones((len(clusters_N), 1))).items()}
    if len(np.unique(clusters_N)) < 2:
        # Every resample would be the same, which looks like certainty and is ignorance.
        return Resampled(values, {name: np.full(n_resamples, np.nan) for name in values})
    chunks = [compute(weights_NR) for weights_NR in _resamples(clusters_N, n_resamples, seed)]
    return Resampled(values, {name: np.concatenate([chunk[name] for chunk in chunks]) for name in values})


def _resamples(clusters_N: npt.NDArray[np.str_], n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield the weights of the proteins in some resamples at a time, shape (N, at most `_CHUNK`)."""
    names, membership_N = np.unique(clusters_N, return_inverse=True)
    n_clusters = len(names)
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, _CHUNK):
        n_chunk = min(_CHUNK, n_resamples - start)
        counts_RK = np.stack(
            [np.bincount(rng.integers(n_clusters, size=n_clusters), minlength=n_clusters) for _ in range(n_chunk)]
        )
        yield np.ascontiguousarray(counts_RK.T, dtype=np.float64)[membership_N]


def _estimate(value: float, draws_R: FloatArray, confidence: float) -> Estimate:
    defined = draws_R[np.isfinite(draws_R)]
    if not len(defined) or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    # Where the value stands among its resamples says how far they are off; an equal one counts for half.
    below = (np.mean(defined < value) + np.mean(defined <= value)) / 2
    bias = ndtri(np.clip(below, 0.5 / len(defined), 1 - 0.5 / len(defined)))
    tail = ndtri((1 - confidence) / 2)
    low, high = np.quantile(defined, ndtr([2 * bias + tail, 2 * bias - tail]))
    return Estimate(value, float(low), float(high))
