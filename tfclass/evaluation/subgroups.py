"""Scores by subgroup of proteins: a mean over everything hides where a model fails."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic.dataclasses import dataclass

from tfclass.config import EvaluationConfig
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.bootstrap import Estimate
from tfclass.evaluation.homologues import LeftOut, Nearest
from tfclass.evaluation.metrics import resampled_metrics
from tfclass.evaluation.scored import Scored
from tfclass.typing import FloatArray, IntArray

NOT_STATED = "not stated"
_MAX_VALUES = 8
_COLUMNS = ("kingdom",)
_IDENTITY = "identity to the nearest training protein"


class Grouping(NamedTuple):
    """Division of N proteins into subgroups; `codes_N` are places in `labels`, -1 leaves a protein out."""

    title: str
    labels: tuple[str, ...]
    codes_N: IntArray


@dataclass(frozen=True)
class Subgroup:
    """The scores of one subgroup; `metrics` are None without a protein.

    Attributes
    ----------
    small : str
        Why there is too little to judge by; empty when there is enough.
    top_hit : dict of str to Estimate, or None
        Metrics of the homology search, where it is compared.
    """

    label: str
    n: int
    n_clusters: int
    class_counts: dict[str, int]
    prevalence: float | None
    small: str
    metrics: dict[str, Estimate] | None
    top_hit: dict[str, Estimate] | None = None


@dataclass(frozen=True)
class ScoredGrouping:
    """The subgroups of one grouping."""

    title: str
    subgroups: list[Subgroup]


def by_length(lengths_N: IntArray, edges: Sequence[int]) -> Grouping:
    """Divide by residues: up to the first of the rising edges, from one to the next, above the last.

    Examples
    --------
    >>> by_length(np.array([90, 200, 201]), (200, 400)).labels
    ('up to 200', '201 to 400', 'above 400')
    """
    labels = [f"{low + 1} to {high}" for low, high in pairwise(edges)]
    labels = (f"up to {edges[0]}", *labels, f"above {edges[-1]}")
    return Grouping("length in residues", labels, np.searchsorted(np.asarray(edges), lengths_N, side="left"))


def by_identity(identity_N: FloatArray, edges: Sequence[float]) -> Grouping:
    """Divide by identity to the nearest training protein: none found, then by rising identity.

    Parameters
    ----------
    identity_N : ndarray of float64, shape (N,)
        Fraction of identical residues, 0 to 1; NaN where no training protein was found.
    edges : sequence of float
        Rising; an edge belongs to the subgroup above it.

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
    return Grouping(_IDENTITY, labels, codes_N)


def by_column(title: str, values_N: npt.NDArray[np.str_]) -> Grouping:
    """Divide by a column of the table: the commonest eight values first, then all others, then the empty ones."""
    values_N = np.where(values_N == NOT_STATED, "", values_N)
    counts = pd.Series(values_N[values_N != ""]).value_counts(sort=False).sort_index()
    ordered = counts.sort_values(ascending=False, kind="stable").index.tolist()
    labels = [*ordered[:_MAX_VALUES], *(["other"] if len(ordered) > _MAX_VALUES else [])]
    labels += [NOT_STATED] if (values_N == "").any() else []
    place = {"": len(labels) - 1} | {value: min(i, _MAX_VALUES) for i, value in enumerate(ordered)}
    return Grouping(title, tuple(labels), np.array([place[value] for value in values_N.tolist()], dtype=np.int64))


def score_subgroups(
    test: LabelledProteins, scored: Scored, closest: Nearest, config: EvaluationConfig, top_hit: Scored | None = None
) -> dict[str, ScoredGrouping | LeftOut]:
    """Score every subgroup by ``length``, ``identity`` and, where the table has it, ``kingdom``.

    `top_hit` are the scores of the homology search, shown beside the model's by identity.
    """
    clusters_N = test.frame["cluster"].to_numpy(dtype=str)
    groupings = {"length": by_length(test.lengths, config.length_edges)}
    if not closest.unknown:
        groupings["identity"] = by_identity(closest.frame["identity"].to_numpy(), config.identity_edges)
    groupings |= {c: by_column(c, test.frame[c].to_numpy(dtype=str)) for c in _COLUMNS if c in test.frame}
    found: dict[str, ScoredGrouping | LeftOut] = {
        key: ScoredGrouping(
            grouping.title,
            score_grouping(scored, clusters_N, grouping, test.classes, config, top_hit if key == "identity" else None),
        )
        for key, grouping in groupings.items()
    }
    return found if not closest.unknown else found | {"identity": LeftOut(closest.unknown, _IDENTITY)}


def score_grouping(
    scored: Scored,
    clusters_N: npt.NDArray[np.str_],
    grouping: Grouping,
    classes: Sequence[str],
    config: EvaluationConfig,
    top_hit: Scored | None = None,
) -> list[Subgroup]:
    """Score each subgroup of a grouping, those without a protein too, with intervals over its own clusters."""
    subgroups = []
    for code, label in enumerate(grouping.labels):
        rows_N = grouping.codes_N == code
        own, own_clusters_N = scored.select(rows_N), clusters_N[rows_N]
        n, counts = len(own_clusters_N), np.bincount(own.labels_N, minlength=len(classes)).tolist()
        subgroup = Subgroup(
            label,
            n,
            n_clusters=len(np.unique(own_clusters_N)),
            class_counts=dict(zip(classes, counts, strict=True)),
            prevalence=counts[1] / n if n and len(counts) == 2 else None,
            small=_why_small(own, own_clusters_N, config.min_members) if n else "no protein",
            metrics=resampled_metrics(own, own_clusters_N, config).estimates() if n else None,
            top_hit=resampled_metrics(top_hit.select(rows_N), own_clusters_N, config).estimates()
            if n and top_hit is not None
            else None,
        )
        subgroups.append(subgroup)
    return subgroups


def _why_small(scored: Scored, clusters_N: npt.NDArray[np.str_], min_members: int) -> str:
    groups = {"protein": np.ones(len(clusters_N), dtype=bool)}
    if scored.n_classes == 2:
        groups = {"positive protein": scored.labels_N == 1, "negative protein": scored.labels_N == 0}
    for name, rows_N in groups.items():
        n, n_clusters = int(rows_N.sum()), len(np.unique(clusters_N[rows_N]))
        if n < min_members:
            return f"{n or 'no'} {name}{'s' if n > 1 else ''}"
        if n_clusters < min_members:
            return f"{name}s of {n_clusters} cluster{'s' if n_clusters > 1 else ''} only"
    return ""
