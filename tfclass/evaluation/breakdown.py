"""The scores by length, by kinship to the training proteins and by the columns that tables often have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tfclass.config import EvaluationConfig
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.plain import plain_estimates
from tfclass.evaluation.proximity import Nearest
from tfclass.evaluation.scored import Scored
from tfclass.evaluation.subgroups import Slice, Slicing, by_column, by_identity, by_length, evaluate_slices

COLUMNS = ("kingdom",)


def break_down(
    test: LabelledProteins, scored: Scored, closest: Nearest, config: EvaluationConfig, rival: Scored | None = None
) -> dict[str, dict[str, Any]]:
    """Score every slice.

    Parameters
    ----------
    rival : Scored, optional
        The homology search's answers, shown beside the model's by identity.

    Returns
    -------
    dict of str to dict
        ``length``, ``identity`` and, where the table has it, ``kingdom``: ``title``, and ``slices`` or ``left_out``
        with the reason. A slice has ``label``, ``n``, ``n_clusters``, ``class_counts``, ``prevalence``, ``small``,
        ``metrics`` (null without a protein) and, by identity, ``top_hit``, the metrics of `rival`. JSON values.
    """
    slicings: dict[str, Slicing | str] = {"length": by_length(test.lengths, config.length_edges)}
    slicings["identity"] = closest.unknown or by_identity(closest.identity_N, config.identity_edges)
    slicings |= {c: by_column(c, test.frame[c].to_numpy(dtype=str)) for c in COLUMNS if c in test.frame}
    clusters_N = test.frame["cluster"].to_numpy(dtype=str)
    found: dict[str, dict[str, Any]] = {}
    for key, slicing in slicings.items():
        if isinstance(slicing, str):
            found[key] = {"title": "identity to the nearest training protein", "left_out": slicing}
            continue
        rows = [_row(s, test.classes, config) for s in evaluate_slices(scored, clusters_N, slicing, config)]
        if key == "identity" and rival is not None:
            _set_beside(rows, rival, clusters_N, slicing, config)
        found[key] = {"title": slicing.title, "slices": rows}
    return found


def _row(part: Slice, classes: tuple[str, ...], config: EvaluationConfig) -> dict[str, Any]:
    return {
        "label": part.label,
        "n": part.n,
        "n_clusters": part.n_clusters,
        "class_counts": dict(zip(classes, part.class_counts, strict=True)),
        "prevalence": part.prevalence,
        "small": part.small,
        "metrics": _metrics(part, config),
    }


def _metrics(part: Slice, config: EvaluationConfig) -> dict[str, dict[str, Any]] | None:
    if part.resampled is None:
        return None
    return plain_estimates(part.resampled.estimates(config.confidence), part.undefined)


def _set_beside(
    rows: list[dict[str, Any]],
    rival: Scored,
    clusters_N: npt.NDArray[np.str_],
    slicing: Slicing,
    config: EvaluationConfig,
) -> None:
    for row, part in zip(rows, evaluate_slices(rival, clusters_N, slicing, config), strict=True):
        row["top_hit"] = _metrics(part, config)
