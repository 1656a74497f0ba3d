"""Scores by kind of protein: a mean over everything hides where a model fails."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfclass.config import EvaluationConfig
from tfclass.evaluation.metrics import Resampled, resampled_metrics
from tfclass.evaluation.scored import Scored, why_undefined
from tfclass.typing import FloatArray, IntArray

NOT_STATED = "not stated"
_MOST_KINDS = 8


class Slicing(NamedTuple):
    """One way to divide the proteins.

    Attributes
    ----------
    title : str
        Such as ``length``.
    labels : tuple of str
        Of the slices, in the order in which to show them.
    codes_N : ndarray of int64, shape (N,)
        Index into `labels`; -1 leaves a protein out.
    """

    title: str
    labels: tuple[str, ...]
    codes_N: IntArray


class Slice(NamedTuple):
    """The proteins of one kind, and how the model fares on them.

    Attributes
    ----------
    n, n_clusters : int
        Proteins, and clusters they come from.
    class_counts : tuple of int, length C
    prevalence : float or None
        Share of the last class in a binary task; None in a multi-class one.
    resampled : Resampled or None
        The metrics; None in a slice without a protein. `Resampled.estimates` gives the intervals.
    undefined : dict of str to str
        Why a metric has no value, by metric.
    small : str
        Why the numbers are hardly worth looking at; empty when they are.
    """

    label: str
    n: int
    n_clusters: int
    class_counts: tuple[int, ...]
    prevalence: float | None
    resampled: Resampled | None
    undefined: dict[str, str]
    small: str


def by_length(lengths_N: IntArray, edges: Sequence[int]) -> Slicing:
    """Divide by residues: up to the first edge, from one to the next, above the last.

    Parameters
    ----------
    lengths_N : ndarray of int64, shape (N,)
    edges : sequence of int
        Rising; an edge belongs to the slice below it.

    Examples
    --------
    >>> by_length(np.array([90, 200, 201]), (200, 400)).labels
    ('up to 200', '201 to 400', 'above 400')
    """
    labels = [f"{low + 1} to {high}" for low, high in pairwise(edges)]
    labels = (f"up to {edges[0]}", *labels, f"above {edges[-1]}")
    return Slicing("length in residues", labels, np.searchsorted(np.asarray(edges), lengths_N, side="left"))


def by_identity(identity_N: FloatArray, edges: Sequence[float]) -> Slicing:
    """Divide by identity to the nearest training protein: none found, then by rising identity.

    Parameters
    ----------
    identity_N : ndarray of float64, shape (N,)
        Share of identical residues, 0 to 1; NaN where no training protein was found.
    edges : sequence of float
        Rising; an edge belongs to the slice above it.

    Raises
    ------
    ValueError
        An identity is not between 0 and 1, as when given in percent.

    Examples
    --------
    >>> by_identity(np.array([np.nan, 0.3]), (0.3, 0.5)).labels
    ('none found', 'below 30 %', '30 to 50 %', '50 % and above')
    """
    if ((identity_N < 0) | (identity_N > 1)).any():
        raise ValueError("an identity is not between 0 and 1")
    percent = [f"{100 * edge:g}" for edge in edges]
    labels = [f"{low} to {high} %" for low, high in pairwise(percent)]
    codes_N = np.searchsorted(np.asarray(edges), identity_N, side="right") + 1
    codes_N[np.isnan(identity_N)] = 0
    labels = ("none found", f"below {percent[0]} %", *labels, f"{percent[-1]} % and above")
    return Slicing("identity to the nearest training protein", labels, codes_N)


def by_column(title: str, values_N: npt.NDArray[np.str_]) -> Slicing:
    """Divide by a column of the table, such as ``kingdom``: the commonest values first.

    Parameters
    ----------
    values_N : ndarray of str, shape (N,)
        An empty value means that nothing is known. Beyond eight values the rare ones are taken together.
    """
    filled_N = np.where(values_N == "", NOT_STATED, values_N)
    names, codes_N, counts = np.unique(filled_N, return_inverse=True, return_counts=True)
    known = [i for i in np.argsort(-counts, kind="stable") if names[i] != NOT_STATED]
    labels = [str(names[i]) for i in known[:_MOST_KINDS]]
    place = np.full(len(names), -1)
    place[known[:_MOST_KINDS]] = np.arange(len(labels))
    if len(known) > _MOST_KINDS:
        place[known[_MOST_KINDS:]] = len(labels)
        labels.append("other")
    if NOT_STATED in names:
        place[place < 0] = len(labels)
        labels.append(NOT_STATED)
    return Slicing(title, tuple(labels), place[codes_N])


def evaluate_slices(
    scored: Scored, clusters_N: npt.NDArray[np.str_], slicing: Slicing, config: EvaluationConfig
) -> list[Slice]:
    """Score every slice, with intervals over its own clusters.

    Parameters
    ----------
    clusters_N : ndarray of str, shape (N,)

    Returns
    -------
    list of Slice
        One for each label, those without a protein too.
    """
    rows = [slicing.codes_N == code for code in range(len(slicing.labels))]
    return [
        _evaluate(label, scored.select(rows_N), clusters_N[rows_N], config)
        for label, rows_N in zip(slicing.labels, rows, strict=True)
    ]


def _evaluate(label: str, scored: Scored, clusters_N: npt.NDArray[np.str_], config: EvaluationConfig) -> Slice:
    counts = tuple(np.bincount(scored.labels_N, minlength=scored.n_classes).tolist())
    n = len(scored.labels_N)
    if not n:
        return Slice(label, 0, 0, counts, None, None, {}, "no protein")
    resampled = resampled_metrics(
        scored, clusters_N, n_bins=config.n_calibration_bins, n_resamples=config.n_bootstrap, seed=config.seed
    )
    prevalence = counts[1] / n if len(counts) == 2 else None
    small = _why_small(scored, clusters_N, config.min_members)
    return Slice(label, n, len(np.unique(clusters_N)), counts, prevalence, resampled, why_undefined(scored), small)


def _why_small(scored: Scored, clusters_N: npt.NDArray[np.str_], least: int) -> str:
    groups = {"protein": np.ones(len(clusters_N), dtype=bool)}
    if scored.n_classes == 2:
        groups = {"positive protein": scored.labels_N == 1, "negative protein": scored.labels_N == 0}
    for name, rows_N in groups.items():
        n, n_clusters = int(rows_N.sum()), len(np.unique(clusters_N[rows_N]))
        if n < least:
            return f"{n or 'no'} {name}{'s' if n > 1 else ''}"
        if n_clusters < least:
            return f"{name}s of {n_clusters} cluster{'s' if n_clusters > 1 else ''} only"
    return ""
