"""Thresholds of profiles, and which of them add nothing to the others."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfclass.search.hmmer import Hit
from tfclass.typing import BoolArray, FloatArray

# Of the clusters of training proteins above a profile's threshold, at least this share are transcription factors'.
MIN_PRECISION = 0.9
# Least threshold in bits: lower scores are too often chance.
MIN_THRESHOLD = 16.0
# A margin above a threshold that is as good as any greater one.
_AMPLE_BITS = 8.0


def threshold(bits: FloatArray, positive: BoolArray, weight: FloatArray) -> float:
    """Return the lowest score above which hits are precise: just above the first that would make them less so.

    Parameters
    ----------
    bits : ndarray of float64, shape (M,)
        Of the training proteins that a profile hits.
    positive : ndarray of bool, shape (M,)
        True for the proteins of the positive class.
    weight : ndarray of float64, shape (M,)
        One over the size of the protein's cluster, so that clusters count alike.

    Returns
    -------
    float
        In halves of a bit, numbers that HMMER's files, text and binary, hold exactly; at least `MIN_THRESHOLD`;
        infinite where no score will do.

    Examples
    --------
    >>> bits, positive = np.array([90.0, 60.0, 30.0, 20.0]), np.array([True, True, False, False])
    >>> threshold(bits, positive, np.ones(4))
    30.5
    """
    bits = np.floor(2 * bits) / 2
    order = np.argsort(-bits, kind="stable")
    right = np.cumsum((weight * positive)[order])
    wrong = np.cumsum((weight * ~positive)[order])
    falling = bits[order]
    # A score is above or below a threshold together with all that equal it.
    last_of_equals = np.append(falling[1:] < falling[:-1], True)
    precise = np.flatnonzero(last_of_equals & (right >= MIN_PRECISION * (right + wrong) - 1e-9))
    if not len(precise):
        return float("inf")
    below = falling[precise[-1] + 1 :]
    return max(MIN_THRESHOLD, float(below[0]) + 0.5) if len(below) else MIN_THRESHOLD


def threshold_of(hits: Sequence[Hit], positive_N: BoolArray, weight_N: FloatArray) -> float:
    """Return the `threshold` of a profile with these hits in N proteins."""
    rows = np.array([hit.protein for hit in hits], dtype=np.int64)
    return threshold(np.array([hit.bits for hit in hits]), positive_N[rows], weight_N[rows])


def redundant(
    margins: Sequence[Mapping[int, float]],
    clusters: Sequence[str],
    states: Sequence[int],
    least: Sequence[int],
    repeats: Sequence[bool],
) -> list[bool]:
    """Return for each profile whether it is redundant: it covers too few clusters alone. The longest goes first.

    Parameters
    ----------
    margins : sequence of mapping of int to float
        For each profile, the proteins of the positive class above its threshold, by how many bits.
    clusters : sequence of str
        Of the proteins.
    states : sequence of int
        Of the profiles.
    least : sequence of int
        Clusters that each profile must cover alone.
    repeats : sequence of bool
        Whether a profile repeats a known domain: then any margin of another is as good as its own.
    """
    covered = [{i: min(margin, _AMPLE_BITS) for i, margin in each.items()} for each in margins]
    by_protein: dict[int, dict[int, float]] = {}
    for profile, each in enumerate(covered):
        for i, margin in each.items():
            by_protein.setdefault(i, {})[profile] = margin
    dropped = [False] * len(covered)
    for profile in sorted(range(len(covered)), key=lambda k: (-states[k], k)):
        own = {
            clusters[i]
            for i, margin in covered[profile].items()
            if not any(
                other != profile and (repeats[profile] or bits >= margin) for other, bits in by_protein[i].items()
            )
        }
        if len(own) < least[profile]:
            dropped[profile] = True
            for i in covered[profile]:
                del by_protein[i][profile]
    return dropped


def by_profile(hits: Sequence[Hit], n: int) -> list[list[Hit]]:
    """Sort hits by their profile, of which there are `n`."""
    found: list[list[Hit]] = [[] for _ in range(n)]
    for hit in hits:
        found[hit.profile].append(hit)
    return found
