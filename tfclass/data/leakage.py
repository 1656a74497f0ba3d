"""How near the held-out proteins are to those that are trained on, protein by protein, and what to do about it.

Clusters alone do not settle it: members resemble their own representative, and may resemble those of other clusters
too. Here every held-out protein is compared with the training proteins themselves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfclass.data.table import LabelledProteins
from tfclass.search.mmseqs import nearest, search
from tfclass.typing import FloatArray, IntArray

Rows = IntArray
# (rows of queries, rows of targets) -> hits, whose query and target are rows of the table.
Look = Callable[[Rows, Rows], pd.DataFrame]

TRAIN = "train"
HELD_OUT = ("valid", "test")
# More hits of one protein would tell nothing new of how near it is.
MAX_HITS = 100
_N_BINS = 10
_PAIR_COLUMNS = ["identity", "query_coverage", "target_coverage", "e_value"]


class Limit(NamedTuple):
    """From where on a held-out protein is too near to a training protein.

    Attributes
    ----------
    identity : float
        Share of identical residues in the local alignment, from 0 to 1; more than this is too much,
    coverage : float
        if at least this share of the residues of one of the two, either one, is inside the alignment.
    """

    identity: float = 0.3
    coverage: float = 0.8


class Moved(NamedTuple):
    """What was done so that nothing is above the limit.

    Attributes
    ----------
    splits_N : ndarray of object (str), shape (N,)
    hits : DataFrame
        Of what is still held out, among all that are trained on now.
    clusters, proteins : int
        How many were moved into training.
    looks : int
        Searches, the last of which found nothing above the limit.
    """

    splits_N: npt.NDArray[np.object_]
    hits: pd.DataFrame
    clusters: int
    proteins: int
    looks: int


def homology_look(proteins: LabelledProteins, *, sensitivity: float, threads: int) -> Look:
    """Make a function that finds homologues among rows of a table by MMseqs2."""

    def look(queries: Rows, targets: Rows) -> pd.DataFrame:
        hits = search(
            [proteins.tokens[row] for row in queries],
            [proteins.tokens[row] for row in targets],
            sensitivity=sensitivity,
            threads=threads,
            max_hits=MAX_HITS,
        )
        return hits.assign(query=queries[hits["query"]], target=targets[hits["target"]])

    return look


def held_out(splits_N: npt.NDArray[np.object_]) -> Rows:
    """Give the rows of validation and test proteins."""
    return np.flatnonzero(np.isin(splits_N.astype(str), HELD_OUT))


def trained_on(splits_N: npt.NDArray[np.object_]) -> Rows:
    """Give the rows of training proteins."""
    return np.flatnonzero(splits_N == TRAIN)


def too_near(hits: pd.DataFrame, limit: Limit) -> pd.DataFrame:
    """Take the hits above the limit.

    Examples
    --------
    >>> hits = pd.DataFrame({"identity": [0.5, 0.5], "query_coverage": [0.9, 0.2], "target_coverage": [0.1, 0.2]})
    >>> too_near(hits, Limit(0.3, 0.8)).index.tolist()
    [0]
    """
    coverage = np.maximum(hits["query_coverage"], hits["target_coverage"])
    return hits.loc[(hits["identity"] > limit.identity) & (coverage >= limit.coverage)]


def move_into_training(proteins: LabelledProteins, hits: pd.DataFrame, limit: Limit, look: Look) -> Moved:
    """Move whole clusters from test and validation into training until none is too near to it.

    What is moved is trained on from then on, and may draw in others; so what is left is compared with what was moved,
    and in the end with all of training once more.

    Parameters
    ----------
    proteins : LabelledProteins
        With a ``split`` column.
    hits : DataFrame
        Of all held-out proteins among all training proteins.
    """
    splits_N = proteins.frame["split"].to_numpy(dtype=object).copy()
    clusters_N = proteins.frame["cluster"].to_numpy(dtype=object)
    before_N, looks, complete = splits_N.copy(), 1, True
    while True:
        near = np.unique(too_near(hits, limit)["query"].to_numpy(dtype=np.int64))
        if not len(near) and complete:
            break
        held = held_out(splits_N)
        moved = held[np.isin(clusters_N[held].astype(str), clusters_N[near].astype(str))]
        splits_N[moved] = TRAIN
        complete = not len(moved)
        hits = look(held_out(splits_N), trained_on(splits_N) if complete else moved)
        looks += 1
    moved = np.flatnonzero(splits_N != before_N)
    return Moved(splits_N, hits, len(set(clusters_N[moved])), len(moved), looks)


def nearest_table(proteins: LabelledProteins, hits: pd.DataFrame) -> pd.DataFrame:
    """Give the nearest training protein of each held-out one.

    Parameters
    ----------
    hits : DataFrame
        Of held-out proteins among training proteins, by row.

    Returns
    -------
    DataFrame
        A row for each held-out protein, in the order of the table: ``id``, ``split``, ``label``, ``nearest`` (an id,
        empty where nothing was found), ``nearest_label``, and ``identity``, ``query_coverage``, ``target_coverage`` and
        ``e_value`` (float64, NaN where nothing was found).
    """
    rows = held_out(proteins.frame["split"].to_numpy(dtype=object))
    place_of = pd.Series(np.arange(len(rows)), index=rows)
    own = hits.assign(query=place_of.reindex(hits["query"]).to_numpy())
    best = nearest(own, len(rows))
    # Of several alignments with one protein, the best stands first.
    pairs = own.drop_duplicates(["query", "target"]).set_index(["query", "target"])
    target = best["target"].to_numpy(dtype=np.int64)
    found = target >= 0
    coverage = pairs.reindex(pd.MultiIndex.from_arrays([best.index, target]))
    names = {
        column: np.where(found, proteins.frame[source].to_numpy(dtype=object)[target], "")
        for column, source in (("nearest", "id"), ("nearest_label", "label"))
    }
    table = proteins.frame.iloc[rows][["id", "split", "label"]].reset_index(drop=True).assign(**names)
    numbers = {name: coverage[name].to_numpy() for name in ("query_coverage", "target_coverage")}
    return table.assign(identity=best["identity"].to_numpy(), **numbers, e_value=best["e_value"].to_numpy())


def pairs_table(proteins: LabelledProteins, hits: pd.DataFrame) -> pd.DataFrame:
    """Name the pairs of hits: ``id``, ``split``, ``training_id``, identity, coverages and e-value."""
    frame = proteins.frame
    names = {"id": frame["id"].to_numpy()[hits["query"]], "split": frame["split"].to_numpy()[hits["query"]]}
    names["training_id"] = frame["id"].to_numpy()[hits["target"]]
    return pd.DataFrame(names).assign(**{column: hits[column].to_numpy() for column in _PAIR_COLUMNS})


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the numbers of such tables into text: shares with three places, e-values with two digits."""
    formats = {column: "{:.3f}" for column in _PAIR_COLUMNS} | {"e_value": "{:.1e}"}
    cells = {
        column: ["" if np.isnan(value) else formats[column].format(value) for value in table[column]]
        for column in _PAIR_COLUMNS
    }
    return table.assign(**cells)


def summarise(table: pd.DataFrame, hits: pd.DataFrame, limit: Limit, proteins: LabelledProteins) -> dict[str, Any]:
    """Summarise an audit, split by split.

    Parameters
    ----------
    table : DataFrame
        From `nearest_table`.

    Returns
    -------
    dict
        ``limit``; ``pairs_above_limit``; ``splits``: for each held-out split ``proteins``, what `identities` tells, and
        ``above_limit``, a number of proteins. JSON values.
    """
    near = too_near(hits, limit)
    offenders = set(proteins.frame["id"].to_numpy()[near["query"]])
    splits = {}
    for split in HELD_OUT:
        own = table.loc[table["split"] == split]
        if own.empty:
            continue
        offending = sum(name in offenders for name in own["id"])
        splits[split] = {"proteins": len(own), **identities(own["identity"].to_numpy()), "above_limit": offending}
    pairs = len(near.drop_duplicates(["query", "target"]))
    return {"limit": limit._asdict(), "pairs_above_limit": pairs, "splits": splits}


def identities(identity_N: FloatArray) -> dict[str, Any]:
    """Summarise how near proteins are to their nearest homologue.

    Parameters
    ----------
    identity_N : ndarray of float64, shape (N,)
        From 0 to 1; NaN where there is no homologue.

    Returns
    -------
    dict
        ``n_with_homologue`` and ``n_without``; ``median`` of those with one, null without any; ``histogram``: how many
        are in each of ten bins of equal width from 0 to 1. JSON values.

    Examples
    --------
    >>> identities(np.array([0.25, 0.95, np.nan]))
    {'n_with_homologue': 2, 'n_without': 1, 'median': 0.6, 'histogram': [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]}
    """
    found = identity_N[np.isfinite(identity_N)]
    return {
        "n_with_homologue": len(found),
        "n_without": len(identity_N) - len(found),
        "median": float(np.median(found)) if len(found) else None,
        "histogram": np.histogram(found, bins=_N_BINS, range=(0.0, 1.0))[0].tolist(),
    }
