"""Intervals that respect homology: the bootstrap resamples whole clusters.

Sequences of one cluster are not independent; resampling single proteins would pretend to more data than there are.
The intervals are percentiles, corrected for the bias of the resamples: with many clusters they are right as often as
they claim, with some dozens a little less often. Three limits: a metric without an exception, such as a recall of 1,
has an interval of no width; that of the calibration error, which noise can only raise, lies too high; that of the
recall at a false discovery rate, decided by the few best-ranked negatives, is too narrow.

References
----------
.. [1] B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 14, 10.1201/9780429246593.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass
from scipy.special import ndtr, ndtri

from tfclass.config import EvaluationConfig
from tfclass.typing import FloatArray

# Resamples that are computed side by side. Few enough for the processor's cache with some thousand proteins.
_CHUNK = 64
_NO_INTERVAL = "no interval: there is one cluster only, or no resample defines it"


@dataclass(frozen=True)
class Estimate:
    """A metric and its interval; None where undefined, with the reason."""

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


class Resampled(NamedTuple):
    """The metrics of a set of proteins and of its resamples.

    Attributes
    ----------
    values : dict of str to float
        On the proteins as they are; NaN where undefined, for which `reasons` has the reason.
    draws : dict of str to ndarray of float64, shape (R,)
        In each resample. The same clusters and seed give the same resamples, whatever is scored.
    confidence : float
        Coverage of the intervals.
    """

    values: dict[str, float]
    draws: dict[str, FloatArray]
    confidence: float
    reasons: dict[str, str] = {}

    def estimates(self) -> dict[str, Estimate]:
        """Return every metric with its bias-corrected percentile interval [1]_."""
        return {name: self._estimate(name, value, self.draws[name]) for name, value in self.values.items()}

    def minus(self, other: "Resampled") -> dict[str, Estimate]:
        """Return the difference to `other` in every metric that both have, with its interval.

        Both are of the same labels, clusters and seed: the interval is that of the differences within each resample.
        """
        both = self._replace(reasons={**other.reasons, **self.reasons})
        return {
            name: both._estimate(name, value - other.values[name], self.draws[name] - other.draws[name])
            for name, value in self.values.items()
            if name in other.values
        }

    def _estimate(self, name: str, value: float, draws_R: FloatArray) -> Estimate:
        if not np.isfinite(value):
            return Estimate(None, None, None, self.reasons.get(name, "not defined on these proteins"))
        defined = draws_R[np.isfinite(draws_R)]
        if not len(defined):
            return Estimate(value, None, None, _NO_INTERVAL)
        # Where the value stands among its resamples says how far they are off; an equal one counts for half.
        below = (np.mean(defined < value) + np.mean(defined <= value)) / 2
        bias = ndtri(np.clip(below, 0.5 / len(defined), 1 - 0.5 / len(defined)))
        tail = ndtri((1 - self.confidence) / 2)
        low, high = np.quantile(defined, ndtr([2 * bias + tail, 2 * bias - tail]))
        return Estimate(value, float(low), float(high))


def resample(
    compute: Callable[[FloatArray], dict[str, FloatArray]],
    clusters_N: npt.NDArray[np.str_],
    config: EvaluationConfig,
    reasons: dict[str, str] | None = None,
) -> Resampled:
    """Compute metrics on the proteins and on resamples of their clusters.

    Parameters
    ----------
    compute : callable
        From weights of the proteins, float64 of shape (N, R), to every metric in each weighting, shape (R,).
    clusters_N : ndarray of str, shape (N,)
        Homology cluster of each protein; the unit that is resampled.
    config : EvaluationConfig
        Its `n_bootstrap`, `seed` and `confidence`.
    reasons : dict of str to str, optional
        Why a value is undefined, by metric.
    """
    values = {name: float(value_R[0]) for name, value_R in compute(np.ones((len(clusters_N), 1))).items()}
    if len(np.unique(clusters_N)) > 1:
        chunks = [compute(weights_NR) for weights_NR in _resamples(clusters_N, config.n_bootstrap, config.seed)]
    else:
        # Every resample would be the same, which looks like certainty and is ignorance.
        chunks = [dict.fromkeys(values, np.full(config.n_bootstrap, np.nan))]
    draws = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in values}
    return Resampled(values, draws, config.confidence, reasons or {})


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
